package burn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Bounds on a child.
const (
	politeness = 3 * time.Second // between being asked to end and being killed
	despair    = 5 * time.Second // between being killed and being given up
	longLine   = 1 << 20
)

// errHung is of a child that did not end in its time.
var errHung = errors.New("it did not end in its time and was killed")

// child runs a program and calls line for each line that it writes, until it
// ends, ctx ends or limit is over. The error says how it ended, in the words for
// a report.
func (h host) child(ctx context.Context, limit time.Duration, args []string, stdin *os.File, line func([]byte)) error {
	timed, cancel := context.WithTimeoutCause(ctx, limit, errHung)
	defer cancel()
	cmd := exec.CommandContext(timed, args[0], args[1:]...)
	// The kernels' machine code is not kept: there is no disk to keep it on.
	cmd.Env = []string{"PATH=/bin:/usr/bin", "LC_ALL=C", "HOME=/root", "CUDA_CACHE_DISABLE=1", "CUDA_DEVICE_ORDER=PCI_BUS_ID"}
	cmd.Env = append(cmd.Env, h.env...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the parent
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = politeness
	if stdin != nil {
		cmd.Stdin = stdin
	}
	var said tail
	cmd.Stderr = &said
	out := &lines{line: line}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-timed.Done():
		// What hangs in the kernel cannot be killed: it is left behind.
		select {
		case err = <-ended:
		case <-time.After(politeness + despair):
			return errors.New("it hangs in the kernel and cannot be killed")
		}
	}
	out.flush()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case timed.Err() != nil:
		return fmt.Errorf("after %v: %w", limit.Round(100*time.Millisecond), errHung)
	case err == nil:
		return nil
	}
	if crash := said.crash(); crash != "" {
		return fmt.Errorf("it crashed: %s", crash)
	}
	return fmt.Errorf("%s%s", ending(err), said.text())
}

// ending names the signal or the status that a process ended with.
func ending(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err.Error()
	}
	if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return fmt.Sprintf("it was killed by signal %d (%v)", s.Signal(), s.Signal())
	}
	return fmt.Sprintf("it ended with status %d", exit.ExitCode())
}

// lines calls a function for each line that is written. One that is too long is
// cut.
type lines struct {
	line func([]byte)
	kept []byte
}

func (l *lines) Write(b []byte) (int, error) {
	for n := len(b); ; {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			l.kept = append(l.kept, b[:min(len(b), longLine-len(l.kept))]...)
			return n, nil
		}
		l.kept = append(l.kept, b[:min(i, longLine-len(l.kept))]...)
		l.flush()
		b = b[i+1:]
	}
}

func (l *lines) flush() {
	if len(l.kept) > 0 {
		l.line(l.kept)
	}
	l.kept = l.kept[:0]
}

// tail keeps the beginning and the end of what is written.
type tail struct{ head, b []byte }

func (t *tail) Write(b []byte) (int, error) {
	const kept = 1024
	t.head = append(t.head, b[:min(len(b), kept-len(t.head))]...)
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-kept):]
	return len(b), nil
}

// crash is the signal that a program in Go says that it received, as it does
// when a library of C crashes in it: such a program ends with status 2, not by
// the signal.
func (t *tail) crash() string {
	for line := range strings.Lines(string(t.head)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "[signal "))
		if name, what, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(name, "SIG") && !strings.Contains(name, " ") {
			what, _, _ = strings.Cut(what, " code=")
			return name + ": " + plain(what)
		}
	}
	return ""
}

// text is the last line, behind a colon.
func (t *tail) text() string {
	last := ""
	for s := bufio.NewScanner(bytes.NewReader(t.b)); s.Scan(); {
		if l := strings.TrimSpace(s.Text()); l != "" {
			last = l
		}
	}
	if last == "" {
		return ""
	}
	return ": " + plain(last)
}

func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, s)
}
