package enter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that PID 1 hands on to the program.
var forwarded = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT, unix.SIGWINCH}

// supervise starts the program, forwards signals and reaps until the program
// has ended. Its descendants die with this process.
func supervise(spec Spec) (int, error) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, append(forwarded, unix.SIGCHLD)...)

	pid, err := start(spec)
	if err != nil {
		return 0, err
	}
	for s := range signals {
		if s != unix.SIGCHLD {
			// ESRCH: the program ended just now; its SIGCHLD is under way.
			if err := unix.Kill(pid, s.(syscall.Signal)); err != nil && !errors.Is(err, unix.ESRCH) {
				return 0, fmt.Errorf("forward %v to %s: %w", s, spec.Args[0], err)
			}
			continue
		}
		status, ended, err := reap(pid)
		if err != nil {
			return 0, fmt.Errorf("wait for %s: %w", spec.Args[0], err)
		}
		if ended {
			return status, nil
		}
	}
	return 0, errors.New("wait for signals: the channel closed")
}

// start starts the program in a session of its own.
func start(spec Spec) (int, error) {
	program, err := lookPath(spec.Args[0], spec.Env)
	if err != nil {
		return 0, err
	}
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	for i := range spec.Files {
		fd := uintptr(3 + i)
		files = append(files, os.NewFile(fd, fmt.Sprintf("inherited descriptor %d", fd)))
	}
	dir := spec.Dir
	if dir == "" {
		dir = "/"
	}
	unix.Umask(0o022)
	p, err := os.StartProcess(program, spec.Args, &os.ProcAttr{
		Dir: dir, Env: spec.Env, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: spec.TTY},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", spec.Args[0], err)
	}
	for _, f := range files[3:] {
		if err := f.Close(); err != nil {
			return 0, fmt.Errorf("close %s: %w", f.Name(), err)
		}
	}
	pid := p.Pid
	// PID 1 reaps with wait4(-1): the os package must not wait too.
	if err := p.Release(); err != nil {
		return 0, fmt.Errorf("release %s: %w", spec.Args[0], err)
	}
	return pid, nil
}

// reap collects every child that has ended; status is that of pid if it is
// among them.
func reap(pid int) (status int, ended bool, err error) {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD) || err == nil && got == 0:
			return status, ended, nil
		case err != nil:
			return 0, false, err
		}
		if got == pid {
			ended, status = true, ws.ExitStatus()
			if ws.Signaled() {
				status = 128 + int(ws.Signal())
			}
		}
	}
}

// lookPath finds a program in the PATH of env, inside the new root.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	var list string
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			list = v
		}
	}
	for _, dir := range filepath.SplitList(list) {
		file := filepath.Join(dir, name)
		if st, err := os.Stat(file); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("start %s: %w: it is in none of %s of the tools tree; is its package in the lock's group?", name, exec.ErrNotFound, list)
}
