package shell

import (
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// typist is a person at a terminal.
type typist struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	home string

	mu   sync.Mutex
	cond *sync.Cond
	text string // on the screen since the last look
	end  bool
}

func startTyping(t *testing.T, termName string, args ...string) *typist {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "sh")); err != nil {
		t.Fatal(err)
	}
	// Whoever ran the tests under nohup(1) has SIGHUP ignored, and so would the
	// shell. A signal that is caught is at its default in a child.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	cmd := exec.Command(self)
	cmd.Args = append([]string{"-sh"}, args...)
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + bin + ":/bin:/usr/bin", "HOME=" + home, "TERM=" + termName, "USER=tester"}
	if err := os.WriteFile(filepath.Join(home, ".profile"), []byte("from_profile=yes\nPS1='<\\w> '\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	p := &typist{t: t, tty: tty, cmd: cmd, home: home}
	p.cond = sync.NewCond(&p.mu)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			p.mu.Lock()
			p.text += string(buf[:n])
			p.end = err != nil
			p.cond.Broadcast()
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		tty.Close()
		cmd.Process.Kill()
	})
	return p
}

// see waits until the screen shows want, and forgets what came before.
func (p *typist) see(want string) string {
	p.t.Helper()
	timer := time.AfterFunc(20*time.Second, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.end = true
		p.cond.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !strings.Contains(p.text, want) {
		if p.end {
			p.t.Fatalf("the screen shows %q, not %q", p.text, want)
		}
		p.cond.Wait()
	}
	i := strings.Index(p.text, want) + len(want)
	seen := p.text[:i]
	p.text = p.text[i:]
	return seen
}

func (p *typist) types(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.tty, keys); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the shell and checks its status.
func (p *typist) ends(status int) {
	p.t.Helper()
	p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("status %d, want %d", got, status)
	}
}

func TestInteractive(t *testing.T) {
	for _, name := range []string{"xterm", "dumb"} {
		t.Run(name, func(t *testing.T) {
			p := startTyping(t, name)
			p.see("<~> ")
			p.types("echo $from_profile\r")
			p.see("\nyes\r\n<~> ")
			p.types("cd /etc\r")
			p.see("</etc> ")
			p.types("if true; then\r")
			p.see("> ")
			p.types("echo inside\rfi\r")
			p.see("inside\r\n</etc> ")
			p.types("echo )\r")
			p.see("sh: ")
			p.see("</etc> ")
			p.types("echo $?\r")
			p.see("\n2\r\n</etc> ")
			p.types("sh -c 'echo run''ning; exec sleep 100'\r")
			p.see("running\r\n")
			p.types("\x03")
			p.see("</etc> ")
			p.types("echo status $?\r")
			p.see("status 130\r\n")
			p.types("echo lo''op; while true; do :; done\r")
			p.see("loop\r\n")
			p.types("\x03")
			p.see("</etc> ")
			p.types("for i in 1 2 3; do sh -c 'echo it''em; exec sleep 100'; done\r")
			p.see("item\r\n")
			p.types("\x03")
			if seen := p.see("</etc> "); strings.Contains(seen, "item") {
				t.Error("Ctrl-C ended one round of a loop only")
			}
			p.types("exit 5\r")
			p.ends(5)
		})
	}
}

func TestEditing(t *testing.T) {
	p := startTyping(t, "xterm")
	p.see("<~> ")
	p.types("echo one\r")
	p.see("one\r\n<~> ")
	p.types("\x1b[A\x7f\x7f\x7ftwo\r") // up, and change the word
	p.see("\ntwo\r\n<~> ")
	p.types("echo no\x03") // give the line up
	p.see("^C\r\n<~> ")
	p.types("echo $?\r")
	p.see("\n130\r\n<~> ")
	p.types("echo 'open\r")
	p.see("> ")
	p.types("\x03") // give the whole command up
	p.see("<~> ")
	if err := os.Mkdir(filepath.Join(p.home, "long name"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.types("echo lon\tx\r")
	p.see("long name/x\r\n<~> ")
	// What is typed ahead belongs to the command.
	p.types("head -n 1\rtyped ahead\r")
	p.see("\ntyped ahead\r\n")
	p.see("<~> ")
	p.types("stty -a | grep -c 'susp = <undef>'\r")
	p.see("\n1\r\n<~> ")
	p.types("exi\t 3\r")
	p.ends(3)
}

func TestEndOfInput(t *testing.T) {
	p := startTyping(t, "xterm")
	p.see("<~> ")
	p.types("trap 'echo bye' EXIT; false\r")
	p.see("<~> ")
	p.types("\x04")
	p.see("bye")
	p.ends(1)
}

// TestNested: Ctrl-C is for the inner shell.
func TestNested(t *testing.T) {
	p := startTyping(t, "xterm")
	p.see("<~> ")
	p.types("PS1='in> '; export PS1; sh -i\r")
	p.see("in> ")
	p.types("sh -c 'echo run''ning; exec sleep 100'\r")
	p.see("running\r\n")
	p.types("\x03")
	p.see("in> ")
	p.types("exit 7\r")
	p.see("in> ")
	p.types("PS1='<\\w> '\r")
	p.see("<~> ")
	p.types("sleep 100 &\r")
	p.see("<~> ")
	p.types("echo job $!\r")
	p.see("\njob ")
	pid := strings.TrimSpace(p.see("\r\n"))
	p.types("\x03") // not for the background
	p.see("<~> ")
	p.types("jobs\r")
	p.see(pid + " running sleep 100\r\n")
	p.types("kill $!; wait $!; echo $?\r")
	p.see("\n143\r\n")
	p.types("kill -TERM $$; echo alive\r") // an interactive shell stays
	p.see("\nalive\r\n")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.ends(-1)
}

func TestExpandPrompt(t *testing.T) {
	v := promptValues{user: "bee", host: "hive.example.org", dir: "/home/bee/x", home: "/home/bee"}
	for text, want := range map[string]string{
		defaultPS1:          "bee@hive:~/x$ ",
		`\H\n\W \\ \q \[\]`: "hive.example.org\nx \\ \\q ",
		`\`:                 `\`,
	} {
		if got := expandPrompt(text, v); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	v.root, v.dir = true, "/home/beeper"
	if got := expandPrompt(`\w\$`, v); got != "/home/beeper#" {
		t.Errorf("got %q", got)
	}
}

func TestComplete(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"alpha", "alphabet", "it's", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "sub", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	sh, err := newShell(options{name: "sh"}, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	sh.runQuiet("cd " + quote(dir) + "; VERYLONG=1; myfunction() { :; }")
	for _, tt := range []struct {
		line, want string
		choices    []string
	}{
		{"ls al", "ls alpha", nil},
		{"ls alpha", "ls alpha", []string{"alpha", "alphabet"}},
		{"ls alphab", "ls alphabet ", nil},
		{"ls it", `ls it\'s `, nil},
		{"ls 'it", `ls it\'s `, nil},
		{"cat sub/", "cat sub/deep/", nil},
		{"cat su", "cat sub/", nil},
		{"ls .h", "ls .hidden ", nil},
		{"ls nope", "ls nope", nil},
		{"myf", "myfunction ", nil},
		{"true; myf", "true; myfunction ", nil},
		{"sudo myf", "sudo myfunction ", nil},
		{"echo myf", "echo myf", nil},
		{"echo $VERYL", "echo $VERYLONG ", nil},
	} {
		line, pos, choices := sh.complete(tt.line, len(tt.line))
		if line != tt.want || pos != len(tt.want) || !slices.Equal(choices, tt.choices) {
			t.Errorf("%q: got %q at %d and %q, want %q and %q", tt.line, line, pos, choices, tt.want, tt.choices)
		}
	}
}

// FuzzComplete: no line panics, and what stands behind the cursor stays.
func FuzzComplete(f *testing.F) {
	for _, s := range []string{"ls /et", "echo $HO", "a 'b", `x\`, "~/", "if t", "ü\xff"} {
		f.Add(s, len(s))
	}
	sh, err := newShell(options{name: "sh"}, os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		f.Fatal(err)
	}
	sh.runQuiet(":")
	f.Fuzz(func(t *testing.T, line string, pos int) {
		if pos < 0 || pos > len(line) {
			return
		}
		after := line[pos:]
		line, pos, _ = sh.complete(line, pos)
		if pos < 0 || pos > len(line) || line[pos:] != after {
			t.Errorf("%q at %d does not end in %q", line, pos, after)
		}
	})
}

// FuzzRewrite: what parses still does after it was put right.
func FuzzRewrite(f *testing.F) {
	for _, s := range []string{"a & wait $!", `x=a\ b`, "{ a; b & } &", `echo "$(b & echo $! "$0")"`, "case a in b) c & ;; esac", `a=\`, "f() { x & }", "cat <<X &\n$!\nX\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sh := &shell{}
		out, err := sh.rewriteText(strings.NewReader(text), "")
		if err != nil {
			return
		}
		if _, err := sh.rewriteText(strings.NewReader(out), ""); err != nil {
			t.Errorf("%q became %q: %v", text, out, err)
		}
	})
}
