package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
)

// Where the kernel names its consoles, the one behind /dev/console last
// (kernel: Documentation/admin-guide/serial-console.rst).
const (
	activePath  = "sys/class/tty/console/active"
	cmdlinePath = "proc/cmdline"
)

// Active lists the consoles' device names, as bootparam.Consoles does.
func Active(root fs.FS) ([]string, error) {
	active, err := fs.ReadFile(root, activePath)
	if err != nil {
		return nil, fmt.Errorf("find the consoles: %w", err)
	}
	cmdline, err := fs.ReadFile(root, cmdlinePath)
	if err != nil {
		return nil, fmt.Errorf("find the consoles: %w", err)
	}
	return bootparam.Consoles(string(active), string(cmdline)), nil
}

// tty is a console device.
type tty struct {
	name string
	f    *os.File
	in   *bufio.Reader
}

// openTTY opens a console without making it the controlling terminal.
func openTTY(name string) (*tty, error) {
	f, err := os.OpenFile("/dev/"+name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t := &tty{name: name, f: f, in: bufio.NewReader(f)}
	return t, t.cooked()
}

// cooked sets line mode with echo (termios(3)): the last program may have left
// anything behind.
func (t *tty) cooked() error {
	fd := int(t.f.Fd())
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("prepare console %s: %w", t.name, err)
	}
	mode.Iflag |= unix.ICRNL | unix.BRKINT
	mode.Oflag |= unix.OPOST | unix.ONLCR
	mode.Lflag |= unix.ICANON | unix.ECHO | unix.ECHOE | unix.ISIG | unix.IEXTEN
	mode.Iflag &^= unix.IXOFF
	mode.Cflag |= unix.CREAD | unix.CLOCAL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, mode); err != nil {
		return fmt.Errorf("prepare console %s: %w", t.name, err)
	}
	return nil
}

func (t *tty) Name() string                { return t.name }
func (t *tty) Write(b []byte) (int, error) { return t.f.Write(b) }
func (t *tty) Enter() error                { return enter(t.in) }

// Shell runs root's shell on the terminal, in a session of its own.
func (t *tty) Shell(ctx context.Context) error {
	f, err := os.OpenFile("/dev/"+t.name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	term := "linux"
	if !strings.HasPrefix(t.name, "tty") || strings.ContainsAny(t.name[3:4], "SAU") {
		term = "vt220"
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-l")
	cmd.Dir = "/root"
	cmd.Env = []string{"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "PATH=/bin", "TERM=" + term}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil // how a person leaves a shell is nobody's business
	}
	return errors.Join(err, t.cooked())
}
