package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// errInterrupted ends a line of an interactive shell whose command died of
// Ctrl-C.
var errInterrupted = errors.New("interrupted")

// call sees every command before it runs: it lets pending signal traps in and
// routes what the interpreter lacks to builtins of this package.
func (sh *shell) call(ctx context.Context, args []string) ([]string, error) {
	if actions := sh.signals.pending(); len(actions) > 0 {
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = quote(a)
		}
		return []string{"eval", strings.Join(actions, "\n") + "\n" + strings.Join(words, " ")}, nil
	}
	return sh.overrides(interp.HandlerCtx(ctx), args), nil
}

// exec runs a program. Processes are a shell's job, hence os/exec.
func (sh *shell) exec(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		hc := interp.HandlerCtx(ctx)
		if run := builtin(args[0]); run != nil {
			return run(sh, ctx, hc, args)
		}
		job := sh.jobs.current(hc.Env)
		defer job.end()
		path, err := interp.LookPathDir(hc.Dir, hc.Env, args[0])
		if err != nil {
			return sh.notFound(hc, args[0])
		}
		env := exported(hc.Env)
		if sh.replace && sh.canReplace(hc) {
			sh.become(hc.Dir, path, args, env)
		}
		err = sh.runProcess(hc, job, path, args, env)
		if errors.Is(err, unix.ENOEXEC) { // a script without #! (POSIX, 2.9.1.6)
			self, serr := os.Executable()
			if serr != nil {
				return fail(hc, statusNotRunable, "%s: %v", args[0], serr)
			}
			if strings.Contains(args[0], "/") {
				path = args[0] // $0 as it was called
			}
			err = sh.runProcess(hc, job, self, append([]string{"sh", path}, args[1:]...), env)
		}
		return err
	}
}

// notFound tells apart what is not there from what may not be run.
func (sh *shell) notFound(hc interp.HandlerContext, name string) error {
	if strings.Contains(name, "/") {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(hc.Dir, file)
		}
		switch fi, err := os.Stat(file); {
		case err == nil && fi.IsDir():
			return fail(hc, statusNotRunable, "%s: is a directory", name)
		case err == nil:
			return fail(hc, statusNotRunable, "%s: permission denied", name)
		}
	}
	return fail(hc, statusNotFound, "%s: not found", name)
}

// runProcess starts a program, waits for it and gives its status.
func (sh *shell) runProcess(hc interp.HandlerContext, job *job, path string, args, env []string) error {
	cmd := &exec.Cmd{Path: path, Args: args, Env: env, Dir: hc.Dir, Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr}
	if job != nil {
		// Ctrl-C is not for the background, nor is the shell's input (POSIX, 2.9.3.1).
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: sh.opts.interactive}
		if hc.Stdin == io.Reader(sh.stdin) {
			cmd.Stdin = nil
		}
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, unix.ENOEXEC) {
			return unix.ENOEXEC
		}
		return fail(hc, statusNotRunable, "%s: %v", args[0], errors.Unwrap(err))
	}
	foreground := job == nil
	if foreground {
		sh.signals.enter()
	} else {
		job.started(cmd.Process.Pid)
	}
	err := cmd.Wait()
	if foreground {
		sh.signals.leave()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fail(hc, 1, "%s: %v", args[0], err)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return statusError(cmd.ProcessState.ExitCode())
	}
	if sig := status.Signal(); sig == syscall.SIGINT && foreground && sh.opts.interactive {
		return errInterrupted
	} else if foreground && sig != syscall.SIGPIPE && sig != syscall.SIGINT && sh.opts.interactive {
		fmt.Fprintf(sh.stderr, "%s: %v\n", args[0], sig)
	}
	return statusError(statusSignal + int(status.Signal()))
}

// statusError is a status as the interpreter wants it.
func statusError(status int) error {
	if status == 0 {
		return nil
	}
	return interp.ExitStatus(uint8(status))
}

// canReplace reports whether nothing of the shell is needed after the command.
func (sh *shell) canReplace(hc interp.HandlerContext) bool {
	return hc.Stdin == io.Reader(sh.stdin) && hc.Stdout == io.Writer(sh.stdout) && hc.Stderr == io.Writer(sh.stderr) &&
		sh.jobs.none() && !sh.signals.any()
}

// become replaces the shell by a program: sh -c "CMD" costs one process, as in
// other shells. It returns only if that fails, and the usual way tells why.
func (sh *shell) become(dir, path string, args, env []string) {
	here, err := os.Getwd()
	if err != nil || os.Chdir(dir) != nil {
		return
	}
	syscall.Exec(path, args, env)
	os.Chdir(here)
}

// exported is the environment of a program. Each gives older values first.
func exported(env expand.Environ) []string {
	var list []string
	at := map[string]int{}
	env.Each(func(name string, v expand.Variable) bool {
		i, seen := at[name]
		set := v.IsSet() && v.Exported && v.Kind == expand.String
		switch {
		case seen && set:
			list[i] = name + "=" + v.String()
		case seen:
			list[i] = ""
		case set:
			at[name] = len(list)
			list = append(list, name+"="+v.String())
		}
		return true
	})
	return slices.DeleteFunc(list, func(kv string) bool { return kv == "" })
}

// fail writes what is wrong to the command's standard error.
func fail(hc interp.HandlerContext, status int, format string, args ...any) error {
	fmt.Fprintf(hc.Stderr, "sh: "+format+"\n", args...)
	return statusError(status)
}
