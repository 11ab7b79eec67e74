package control

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// The socket is made with plain system calls: package net would double what
// PID 1 carries, for one kind of socket that never leaves the machine.

// dial connects to the socket at path. The file is in non-blocking mode, so
// deadlines work on it.
func dial(path string) (*os.File, error) {
	fd, err := newSocket()
	if err != nil {
		return nil, err
	}
	if err := connect(fd, path); err != nil {
		syscall.Close(fd)
		switch {
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
			return nil, fmt.Errorf("connect to PID 1 at %s: %w; only root may, try sudo", path, err)
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
			return nil, fmt.Errorf("connect to PID 1 at %s: %w; is this machine running bee's init?", path, err)
		}
		return nil, fmt.Errorf("connect to PID 1 at %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func newSocket() (int, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("make unix socket: %w", err)
	}
	return fd, nil
}

func connect(fd int, path string) error {
	for {
		err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		if err != syscall.EINTR {
			return err
		}
	}
}

// Listen makes the socket at path, mode 0600. A socket that a former process
// left there goes first.
func Listen(path string) (*os.File, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("listen at %s: something that is no socket is in the way; remove it", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen at %s: %w", path, err)
		}
	}
	fd, err := newSocket()
	if err != nil {
		return nil, err
	}
	// The socket's own mode (fchmod before bind) masks that of the file that
	// bind makes: at no moment may others connect.
	err = syscall.Fchmod(fd, 0o600)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err == nil {
		err = syscall.Listen(fd, 16)
	}
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// accept waits for the next connection. It returns os.ErrClosed when the
// listener is closed.
func accept(l *os.File) (*os.File, error) {
	// Both calls fail for one reason alone, a closed listener, and do not say it
	// by os.ErrClosed.
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("accept control connection: %w: %w", os.ErrClosed, err)
	}
	fd, aerr := -1, error(nil)
	err = raw.Read(func(lfd uintptr) bool {
		for {
			fd, _, aerr = syscall.Accept4(int(lfd), syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
			if aerr != syscall.EINTR {
				return aerr != syscall.EAGAIN
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("accept control connection: %w: %w", os.ErrClosed, err)
	}
	if aerr != nil {
		return nil, fmt.Errorf("accept control connection: %w", aerr)
	}
	return os.NewFile(uintptr(fd), "control client"), nil
}

// peer asks the kernel who is at the other end (SO_PEERCRED, unix(7)).
func peer(conn *os.File) (cred syscall.Ucred, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return cred, err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		var c *syscall.Ucred
		if c, serr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); serr == nil {
			cred = *c
		}
	})
	if err == nil {
		err = serr
	}
	if err != nil {
		return cred, fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	return cred, nil
}
