package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"mvdan.cc/sh/v3/syntax"
)

// interactiveSignals do not end an interactive shell (POSIX, sh, ASYNCHRONOUS
// EVENTS).
var interactiveSignals = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGTSTP}

// errAgain is the end of a line that Ctrl-C gave up.
var errAgain = errors.New("line given up")

// interact reads lines, shows prompts and runs what was typed, until exit,
// Ctrl-D or the end of the input.
func (sh *shell) interact() {
	sh.signals.listen(interactiveSignals...)
	lines := newLineEditor(sh)
	defer lines.close()
	for {
		err := sh.readAndRun(lines)
		switch {
		case err == nil:
			return
		case errors.Is(err, errAgain):
			sh.setStatus(statusInterrupt)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			sh.exitTrap(context.Background())
			return
		default:
			if !syntax.IsIncomplete(err) {
				fmt.Fprintf(sh.stderr, "sh: %v\n", err)
				sh.setStatus(statusUsage)
			}
			if lines.end {
				sh.exitTrap(context.Background())
				return
			}
		}
	}
}

// readAndRun parses and runs lines until an error, which is io.EOF at the end
// of input, or exit, where it is nil.
func (sh *shell) readAndRun(lines *lineEditor) error {
	lines.reset()
	for stmts, err := range sh.parser.InteractiveSeq(lines) {
		if lines.err != nil {
			return lines.err
		}
		if err != nil {
			return err
		}
		if sh.parser.Incomplete() {
			continue
		}
		if !sh.runLine(stmts) {
			return nil
		}
	}
	if lines.err != nil {
		return lines.err
	}
	return io.EOF
}

// runLine runs one line's statements so that Ctrl-C stops them.
func (sh *shell) runLine(stmts []*syntax.Stmt) bool {
	if len(stmts) == 0 {
		return true
	}
	// Not cancelled at the end of the line: what it left in the background may
	// not have begun yet.
	ctx, cancel := context.WithCancel(context.Background())
	sh.signals.onInterrupt(cancel)
	defer sh.signals.onInterrupt(nil)
	on := sh.runStmts(ctx, stmts)
	if sh.status == statusInterrupt {
		fmt.Fprintln(sh.stderr)
		sh.setStatus(statusInterrupt)
	}
	return on
}

// setStatus makes $? say how a line ended that did not run.
func (sh *shell) setStatus(status int) {
	stmt := callStmt(litWord("sh:status"), litWord(strconv.Itoa(status)))
	sh.status = sh.statusOf(sh.runner.Run(context.Background(), stmt))
}
