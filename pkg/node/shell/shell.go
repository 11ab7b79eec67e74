// Package shell is the node's sh: a POSIX-like shell (with bash's syntax, which
// holds POSIX's) on mvdan.cc/sh, for operators at the console and over SSH and
// for scripts.
//
// Where it differs from a shell that forks: subshells are goroutines, so $$ and
// umask are the same in them, and a signal to the shell reaches them all;
// `exec CMD` runs CMD as a child unless it is the last thing of sh -c; there is
// no job control (no fg, bg, Ctrl-Z).
//
// Files: /etc/profile and ~/.profile for login shells. Environment: HOME, PATH
// (default /bin), PS1 and PS2 (with \u \h \w \W \$ \n), TERM.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Exit statuses of POSIX, 2.8.2, and of all shells.
const (
	statusUsage      = 2
	statusNotRunable = 126
	statusNotFound   = 127
	statusSignal     = 128 // plus the signal's number
	statusInterrupt  = statusSignal + 2
)

// Main is the command sh: args as in os.Args. It returns the exit status.
func Main(args []string, stdin, stdout, stderr *os.File) int {
	opts, err := parseOptions(args)
	if err != nil {
		fmt.Fprintf(stderr, "sh: %v\n%s", err, usage)
		return statusUsage
	}
	opts.interactive = opts.interactive || !opts.hasCommand && opts.script == "" &&
		term.IsTerminal(int(stdin.Fd())) && term.IsTerminal(int(stderr.Fd()))
	sh, err := newShell(opts, stdin, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "sh:", err)
		return statusUsage
	}
	return sh.run()
}

// shell is one running shell.
type shell struct {
	opts                  options
	stdin, stdout, stderr *os.File
	runner                *interp.Runner
	parser                *syntax.Parser
	status                int // of the last command
	signals               *signals
	jobs                  jobs
	mu                    sync.Mutex
	sources               []string // what `.` reads, rewritten
	replace               bool     // the next command is the last: it may take the shell's place
}

func newShell(opts options, stdin, stdout, stderr *os.File) (*shell, error) {
	sh := &shell{opts: opts, stdin: stdin, stdout: stdout, stderr: stderr, parser: syntax.NewParser()}
	sh.signals = newSignals()
	runner, err := interp.New(
		interp.Interactive(true), // aliases, as POSIX has them everywhere
		interp.Env(environ(os.Environ())),
		interp.StdIO(stdin, stdout, stderr),
		interp.Params(append([]string{"--"}, opts.params...)...),
		interp.CallHandler(sh.call),
		interp.ExecHandlers(sh.exec),
		interp.OpenHandler(sh.open),
	)
	if err != nil {
		return nil, err
	}
	sh.runner = runner
	return sh, nil
}

// environ fills in what no command can do without.
func environ(env []string) expand.Environ {
	for _, kv := range []string{"PATH=/bin", "PS2=> ", "PS4=+ "} {
		name, _, _ := strings.Cut(kv, "=")
		if !hasVar(env, name) {
			env = append(env, kv)
		}
	}
	return expand.ListEnviron(env...)
}

func hasVar(env []string, name string) bool {
	for _, kv := range env {
		if strings.HasPrefix(kv, name+"=") {
			return true
		}
	}
	return false
}

// run runs what the options name and returns the exit status.
func (sh *shell) run() int {
	if !sh.runQuiet(varName + "=" + quote(sh.opts.name)) {
		return sh.status
	}
	if sh.opts.login && !sh.profile() {
		return sh.status
	}
	if len(sh.opts.set) > 0 {
		sh.runQuiet("set " + strings.Join(sh.opts.set, " "))
		if sh.status != 0 {
			return sh.status
		}
	}
	switch {
	case sh.opts.hasCommand:
		sh.runText(strings.NewReader(sh.opts.command), true)
	case sh.opts.script != "":
		f, err := os.Open(sh.opts.script)
		if err != nil {
			fmt.Fprintf(sh.stderr, "sh: %v\n", err)
			return statusNotFound
		}
		defer f.Close()
		sh.runText(f, false)
	case sh.opts.interactive:
		sh.interact()
	default:
		sh.runText(newLineInput(sh.stdin), false)
	}
	return sh.status
}

// profile reads the login files. It reports false if one of them said exit.
func (sh *shell) profile() bool {
	files := []string{"/etc/profile"}
	if home := os.Getenv("HOME"); home != "" {
		files = append(files, filepath.Join(home, ".profile"))
	}
	for _, name := range files {
		if _, err := os.Stat(name); err != nil {
			continue
		}
		if !sh.runQuiet(". " + quote(name)) {
			return false
		}
	}
	return true
}

// runQuiet runs shell text of this package's own, untraced.
func (sh *shell) runQuiet(text string) bool {
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		fmt.Fprintf(sh.stderr, "%s: %v\n", sh.opts.name, err)
		return true
	}
	return sh.runStmts(context.Background(), file.Stmts)
}

// runText runs a program as it is read, statement by statement: what comes
// after `exit` need not be a program, and statements may read from the same
// input. With whole, r holds nothing else, and a command that is all of it may
// take the shell's place.
func (sh *shell) runText(r io.Reader, whole bool) {
	ctx := context.Background()
	var stmts []*syntax.Stmt
	for stmt, err := range sh.parser.StmtsSeq(r) {
		if err != nil {
			sh.runStmts(ctx, stmts)
			if sh.runner.Exited() && len(stmts) > 0 {
				return
			}
			fmt.Fprintf(sh.stderr, "%s: %v\n", sh.opts.name, err)
			sh.status = statusUsage
			sh.exitTrap(ctx)
			return
		}
		if whole {
			stmts = append(stmts, stmt)
			continue
		}
		if !sh.runStmts(ctx, []*syntax.Stmt{stmt}) {
			return
		}
	}
	sh.replace = whole && len(stmts) == 1 && isSimple(stmts[0])
	if !sh.runStmts(ctx, stmts) {
		return
	}
	sh.exitTrap(ctx)
}

// isSimple reports whether stmt is one plain command.
func isSimple(stmt *syntax.Stmt) bool {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) > 0 && !stmt.Background && !stmt.Negated && !stmt.Coprocess && len(stmt.Redirs) == 0
}

// runStmts runs statements and reports whether the shell goes on.
func (sh *shell) runStmts(ctx context.Context, stmts []*syntax.Stmt) bool {
	for _, stmt := range stmts {
		sh.rewrite(stmt)
		err := sh.runner.Run(ctx, stmt)
		sh.status = sh.statusOf(err)
		if errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) {
			return true // back to the prompt
		}
		if sh.runner.Exited() {
			return false
		}
	}
	return true
}

// statusOf is the exit status of a statement.
func (sh *shell) statusOf(err error) int {
	var status interp.ExitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, context.Canceled), errors.Is(err, errInterrupted):
		return statusInterrupt
	}
	fmt.Fprintf(sh.stderr, "%s: %v\n", sh.opts.name, err)
	return 1
}

// exitTrap runs what waits for the end: pending signal traps, then EXIT.
func (sh *shell) exitTrap(ctx context.Context) {
	status := sh.status
	for _, action := range sh.signals.pending() {
		file, err := syntax.NewParser().Parse(strings.NewReader(action), "")
		if err != nil {
			fmt.Fprintf(sh.stderr, "%s: trap: %v\n", sh.opts.name, err)
			continue
		}
		if !sh.runStmts(ctx, file.Stmts) {
			return
		}
	}
	if err := sh.runner.Run(ctx, &syntax.File{Name: sh.opts.name}); err != nil && sh.runner.Exited() {
		status = sh.statusOf(err)
	}
	sh.status = status
}

// quote makes s one word of the shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
