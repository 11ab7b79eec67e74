package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// Process is a machine that runs.
type Process struct {
	Console *Console
	QMP     *QMP
	Started time.Time // monotonic: subtract, do not print

	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	temp  string // folder of the joined initrd, or empty
	ended chan struct{}
	err   error // valid after ended
}

// Start starts the machine in the sandbox. It is killed when ctx ends; Close
// must be called when it is no longer needed.
func Start(ctx context.Context, s *sandbox.Sandbox, m Machine) (_ *Process, err error) {
	p := &Process{name: m.name(), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start machine %s: %w", m.name(), err), p.removeTemp())
		}
	}()
	initrd, err := p.joinInitrds(m.Initrds)
	if err != nil {
		return nil, err
	}
	step, err := m.step(initrd)
	if err != nil {
		return nil, err
	}
	near, far, err := socketPair()
	if err != nil {
		return nil, err
	}
	// Both descriptors are duplicated where they are needed.
	defer func() { err = errors.Join(err, far.Close()) }()
	defer func() { err = errors.Join(err, near.Close()) }()
	conn, err := net.FileConn(near)
	if err != nil {
		return nil, fmt.Errorf("make QMP connection: %w", err)
	}
	p.QMP = newQMP(conn)
	step.Files = []*os.File{far}

	in, typed, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	said, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make console: %w", err), in.Close(), typed.Close())
	}
	stderr := new(sandbox.Tail)
	step.Stdin, step.Stdout, step.Stderr = in, out, stderr
	p.stdin = typed
	if p.cmd, err = s.Command(ctx, step); err == nil {
		p.Started = time.Now()
		err = p.cmd.Start()
	}
	err = errors.Join(err, in.Close(), out.Close())
	if err != nil {
		return nil, errors.Join(sandbox.Explain(err, ""), typed.Close(), said.Close(), conn.Close())
	}
	p.Console = newConsole(p.Started, typed)
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.Console.read(said)
	}()
	go func() {
		defer close(p.ended)
		err := p.cmd.Wait()
		<-read
		p.err = errors.Join(endError(ctx, m.name(), err, stderr.String()), conn.Close(), said.Close())
	}()
	return p, nil
}

// endError says how QEMU ended; a machine that powered off is no error.
func endError(ctx context.Context, name string, err error, stderr string) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if stderr != "" {
		stderr = ": " + stderr
	}
	return fmt.Errorf("run machine %s: %w%s", name, sandbox.Explain(err, stderr), stderr)
}

// Ended is closed when QEMU is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait waits until QEMU is gone and says why, if not because the guest powered
// off. The error holds what QEMU wrote to standard error.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of machine %s: %w; it said last:\n%s", p.name, context.Cause(ctx), p.Console.Tail(25))
	}
}

// Close ends the machine at once, as if its power had been cut, and waits for
// QEMU to be gone. A machine that has ended already is fine.
func (p *Process) Close() error {
	var errs []error
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		errs = append(errs, fmt.Errorf("kill machine %s: %w", p.name, err))
	}
	<-p.ended
	return errors.Join(append(errs, p.stdin.Close(), p.removeTemp())...)
}

// Port is where on the host's 127.0.0.1 a forwarded port of the guest is.
func (p *Process) Port(ctx context.Context, guest int) (int, error) {
	text, err := p.QMP.Monitor(ctx, "info usernet")
	if err != nil {
		select { // QEMU may have refused its command line: what it wrote says more
		case <-p.ended:
			err = errors.Join(err, p.err)
		case <-time.After(time.Second):
		}
		return 0, err
	}
	ports, err := parseForwards(text)
	if err != nil {
		return 0, err
	}
	port, ok := ports[guest]
	if !ok {
		return 0, fmt.Errorf("find forwarded port %d of machine %s: QEMU says\n%s", guest, p.name, text)
	}
	return port, nil
}

// joinInitrds writes the parts of the initrd into one file, each at a multiple
// of 4 bytes, as the kernel wants segments to begin. One part is used as it is.
func (p *Process) joinInitrds(parts []string) (_ string, err error) {
	switch len(parts) {
	case 0:
		return "", nil
	case 1:
		return parts[0], nil
	}
	if p.temp, err = os.MkdirTemp("", "bee-vm-"); err != nil {
		return "", fmt.Errorf("join initrds: %w", err)
	}
	out, err := os.Create(p.temp + "/initrd")
	if err != nil {
		return "", fmt.Errorf("join initrds: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for _, part := range parts {
		if err := appendAligned(out, part); err != nil {
			return "", fmt.Errorf("join initrds: %w", err)
		}
	}
	return out.Name(), nil
}

func appendAligned(out *os.File, part string) (err error) {
	in, err := os.Open(part)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	n, err := io.Copy(out, in)
	if err != nil {
		return err
	}
	_, err = out.Write(make([]byte, (4-n%4)%4))
	return err
}

func (p *Process) removeTemp() error {
	if p.temp == "" {
		return nil
	}
	return os.RemoveAll(p.temp)
}

// socketPair makes two connected Unix sockets.
func socketPair() (near, far *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make QMP connection: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "qmp"), os.NewFile(uintptr(fds[1]), "qmp of QEMU"), nil
}
