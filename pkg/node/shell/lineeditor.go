package shell

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// maxHistory bounds the lines that are kept, in memory only.
const maxHistory = 500

// lineEditor is the input of an interactive shell: lines typed at a prompt,
// with editing, history and completion where the terminal can do that.
type lineEditor struct {
	sh      *shell
	fd      int
	plain   bool        // no editing: TERM=dumb, or not a terminal
	start   *term.State // as it was found
	lines   *lineInput  // plain
	history history

	rest []byte // of the line that is being given out
	err  error  // what Read ended with
	end  bool   // of input
}

func newLineEditor(sh *shell) *lineEditor {
	e := &lineEditor{sh: sh, fd: int(sh.stdin.Fd()), lines: newLineInput(sh.stdin)}
	name := os.Getenv("TERM")
	e.plain = name == "" || name == "dumb" || !term.IsTerminal(e.fd)
	if state, err := term.GetState(e.fd); err == nil {
		e.start = state
		e.noSuspend()
	}
	return e
}

// noSuspend takes Ctrl-Z away: nothing here could continue what it stops.
func (e *lineEditor) noSuspend() {
	t, err := unix.IoctlGetTermios(e.fd, unix.TCGETS)
	if err != nil {
		return
	}
	t.Cc[unix.VSUSP] = 0 // _POSIX_VDISABLE
	if err := unix.IoctlSetTermios(e.fd, unix.TCSETS, t); err != nil {
		fmt.Fprintf(e.sh.stderr, "sh: set up terminal: %v\n", err)
	}
}

func (e *lineEditor) close() {
	if e.start != nil {
		term.Restore(e.fd, e.start)
	}
}

// reset forgets the rest of a line that was in error.
func (e *lineEditor) reset() { e.rest, e.err = nil, nil }

// Read gives the parser a line when it needs one.
func (e *lineEditor) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	if len(e.rest) == 0 {
		line, err := e.readLine()
		if err != nil {
			e.err = err
			e.end = errors.Is(err, io.EOF)
			return 0, err
		}
		e.rest = append([]byte(line), '\n')
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// readLine shows the prompt that is due and reads a line.
func (e *lineEditor) readLine() (string, error) {
	for {
		again := e.sh.parser.Incomplete()
		prompt := e.sh.prompt(again)
		line, err := e.edit(prompt)
		if errors.Is(err, errAgain) && !again {
			e.sh.setStatus(statusInterrupt)
			continue
		}
		return line, err
	}
}

func (e *lineEditor) edit(prompt string) (string, error) {
	if e.plain {
		io.WriteString(e.sh.stderr, prompt)
		if len(e.lines.line) == 0 {
			if e.lines.end {
				return "", io.EOF
			}
			if err := e.lines.fill(); err != nil {
				return "", err
			}
		}
		line := string(e.lines.line)
		e.lines.line = nil
		if line == "" {
			return "", io.EOF
		}
		return strings.TrimSuffix(line, "\n"), nil
	}
	state, err := term.MakeRaw(e.fd)
	if err != nil {
		e.plain = true
		return e.edit(prompt)
	}
	defer term.Restore(e.fd, state)
	e.keepEnter()
	keys := &keyReader{f: e.sh.stdin}
	// Earlier lines of a prompt are printed once; only the last is redrawn.
	if i := strings.LastIndexByte(prompt, '\n'); i >= 0 {
		io.WriteString(e.sh.stderr, strings.ReplaceAll(prompt[:i+1], "\n", "\r\n"))
		prompt = prompt[i+1:]
	}
	t := term.NewTerminal(readWriter{keys, e.sh.stderr}, prompt)
	t.History = &e.history
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		line, pos, choices := e.sh.complete(line, pos)
		if len(choices) > 0 {
			fmt.Fprintln(t, strings.Join(choices, "  "))
		}
		return line, pos, true
	}
	stop := followSize(e.fd, t)
	defer stop()
	line, err := t.ReadLine()
	switch {
	case keys.interrupted:
		io.WriteString(e.sh.stderr, "^C\r\n")
		return "", errAgain
	case errors.Is(err, io.EOF):
		io.WriteString(e.sh.stderr, "\r\n")
	}
	return line, err
}

// keepEnter lets Enter arrive as the end of a line although the terminal is raw:
// what is typed ahead for a command is read by it later, in line mode, when it
// is too late to translate (termios(3), ICRNL).
func (e *lineEditor) keepEnter() {
	t, err := unix.IoctlGetTermios(e.fd, unix.TCGETS)
	if err == nil {
		t.Iflag |= unix.ICRNL
		err = unix.IoctlSetTermios(e.fd, unix.TCSETS, t)
	}
	if err != nil {
		fmt.Fprintf(e.sh.stderr, "sh: set up terminal: %v\r\n", err)
	}
}

// followSize keeps the editor's idea of the window true.
func followSize(fd int, t *term.Terminal) (stop func()) {
	resize := func() {
		// A serial console does not know its size and says 0.
		if w, h, err := term.GetSize(fd); err == nil && w > 0 && h > 0 {
			t.SetSize(w, h)
		}
	}
	resize()
	ch := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(ch, unix.SIGWINCH)
	go func() {
		for {
			select {
			case <-ch:
				resize()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		close(done)
	}
}

// keyReader reads key by key, so that what was typed ahead stays for the
// command, and tells Ctrl-C from Ctrl-D, which x/term does not.
type keyReader struct {
	f           *os.File
	interrupted bool
}

func (k *keyReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := k.f.Read(p[:1])
	switch {
	case n != 1:
	case p[0] == 3:
		k.interrupted = true
	case p[0] == '\n': // see keepEnter; x/term knows Enter as it comes from a raw terminal
		p[0] = '\r'
	}
	return n, err
}

type readWriter struct {
	io.Reader
	io.Writer
}

// history is the lines typed, newest first. Empty lines, repetitions and lines
// that begin with a blank are not kept.
type history struct{ lines []string }

func (h *history) Add(line string) {
	if line == "" || line[0] == ' ' || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	if len(h.lines) >= maxHistory {
		h.lines = h.lines[1:]
	}
	h.lines = append(h.lines, line)
}

func (h *history) Len() int          { return len(h.lines) }
func (h *history) At(idx int) string { return h.lines[len(h.lines)-1-idx] }
