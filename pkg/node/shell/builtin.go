package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// builtinFunc is a builtin that the interpreter lacks. It is reached under a
// name that no program has.
type builtinFunc func(sh *shell, ctx context.Context, hc interp.HandlerContext, args []string) error

func builtin(name string) builtinFunc {
	if !strings.HasPrefix(name, "sh:") {
		return nil
	}
	switch name {
	case "sh:bg":
		return runBackground
	case "sh:status":
		return giveStatus
	case "sh:fail":
		return sayFailure
	case "sh:bind":
		return bindJob
	case "sh:pid":
		return printPID
	case "sh:jobs":
		return printJobs
	case "sh:kill":
		return kill
	case "sh:trap":
		return trap
	case "sh:umask":
		return umask
	case "sh:ulimit":
		return ulimit
	}
	return nil
}

// overrides gives the words that run in place of args, if others do. It is
// called for every command.
func (sh *shell) overrides(hc interp.HandlerContext, args []string) []string {
	switch args[0] {
	case "kill", "umask", "ulimit", "jobs", "trap":
		return append([]string{"sh:" + args[0]}, args[1:]...)
	case "eval":
		text := strings.Join(args[1:], " ")
		if !strings.ContainsAny(text, `\&$`) {
			return args
		}
		text, err := sh.rewriteText(strings.NewReader(text), "")
		if err != nil {
			return args // the interpreter says what is wrong
		}
		return []string{"eval", text}
	case ".", "source":
		return sh.source(hc, args)
	case "hash":
		return []string{"true"} // nothing is remembered
	case "logout":
		return append([]string{"exit"}, args[1:]...)
	case "wait":
		names := []string{"wait"}
		for _, arg := range args[1:] {
			if j := sh.jobs.byPID(arg); j != nil {
				arg = j.interpName()
			}
			names = append(names, arg)
		}
		return names
	case "sh:job":
		j := sh.jobs.add(strings.Join(args[1:], " "))
		return []string{"eval", varJob + "=" + strconv.Itoa(j.id)}
	case "sh:enter":
		return []string{"eval", varIn + "=" + strconv.Quote(hc.Env.Get(varJob).String())}
	}
	return args
}

// giveStatus ends with the status it is told.
func giveStatus(_ *shell, _ context.Context, _ interp.HandlerContext, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		n = 1
	}
	return statusError(n)
}

// sayFailure stands in for a command that cannot run.
func sayFailure(_ *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	return fail(hc, statusUsage, "%s", strings.Join(args[1:], " "))
}

func (j *job) interpName() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.name
}

// bindJob tells a job what the interpreter calls it.
func bindJob(sh *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	if j := sh.jobs.get(hc.Env.Get(varJob).String()); j != nil && len(args) > 1 {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.name = args[1]
	}
	return nil
}

// printPID is $!.
func printPID(sh *shell, _ context.Context, hc interp.HandlerContext, _ []string) error {
	j := sh.jobs.get(hc.Env.Get(varJob).String())
	if j == nil {
		return nil
	}
	timer := time.NewTimer(pidTimeout)
	defer timer.Stop()
	select {
	case <-j.ready:
	case <-timer.C:
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pid > 0 {
		fmt.Fprintln(hc.Stdout, j.pid)
	} else {
		fmt.Fprintln(hc.Stdout, j.name)
	}
	return nil
}

func printJobs(sh *shell, _ context.Context, hc interp.HandlerContext, _ []string) error {
	sh.jobs.mu.Lock()
	defer sh.jobs.mu.Unlock()
	for _, j := range sh.jobs.list {
		j.mu.Lock()
		if !j.over {
			fmt.Fprintf(hc.Stdout, "%d running %s\n", j.pid, j.text)
		}
		j.mu.Unlock()
	}
	return nil
}

// kill is POSIX kill without job control's %n.
func kill(_ *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	args = args[1:]
	sig := syscall.SIGTERM
	if len(args) > 0 && args[0] == "-l" {
		return listSignals(hc, args[1:])
	}
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		name := args[0][1:]
		args = args[1:]
		if name == "s" && len(args) > 0 {
			name, args = args[0], args[1:]
		}
		var ok bool
		if sig, ok = signalNamed(name); !ok {
			return fail(hc, 1, "kill: unknown signal %s; kill -l lists them", name)
		}
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return fail(hc, statusUsage, "usage: kill [-s SIGNAL | -SIGNAL] PID… | kill -l [STATUS]")
	}
	var failed error
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			failed = fail(hc, 1, "kill: %s is no process id", arg)
			continue
		}
		if err := syscall.Kill(pid, sig); err != nil {
			failed = fail(hc, 1, "kill: %d: %v", pid, err)
		}
	}
	return failed
}

func listSignals(hc interp.HandlerContext, args []string) error {
	if len(args) == 0 {
		for sig := syscall.Signal(1); sig < 32; sig++ {
			fmt.Fprintln(hc.Stdout, signalName(sig))
		}
		return nil
	}
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 0 || n > 255 {
			return fail(hc, 1, "kill: %s is no exit status", arg)
		}
		fmt.Fprintln(hc.Stdout, signalName(syscall.Signal(n&127)))
	}
	return nil
}

// trap takes signals; EXIT and ERR go on to the interpreter's.
func trap(sh *shell, ctx context.Context, hc interp.HandlerContext, args []string) error {
	args = args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "-l" {
		return listSignals(hc, nil)
	}
	if len(args) == 0 || args[0] == "-p" {
		for _, line := range sh.signals.list() {
			fmt.Fprintln(hc.Stdout, line)
		}
		return hc.Builtin(ctx, []string{"trap"})
	}
	action := "-"
	if _, isSignal := signalNamed(args[0]); len(args) > 1 && !isNumber(args[0]) || !isSignal && args[0] != "EXIT" && args[0] != "ERR" {
		action, args = args[0], args[1:]
	}
	if len(args) == 0 {
		return fail(hc, statusUsage, "usage: trap [ACTION] SIGNAL…; for ACTION '' they are ignored, for - reset")
	}
	for _, arg := range args {
		if name := strings.ToUpper(arg); name == "0" || name == "EXIT" || name == "ERR" {
			if name == "0" {
				name = "EXIT"
			}
			if err := hc.Builtin(ctx, []string{"trap", "--", action, name}); err != nil {
				return err
			}
			continue
		}
		sig, ok := signalNamed(arg)
		if !ok {
			return fail(hc, 1, "trap: unknown signal %s; trap -l lists them", arg)
		}
		sh.signals.set(sig, action, sh.opts.interactive)
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// umask is POSIX umask with octal masks.
func umask(_ *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) == 1 {
		old := unix.Umask(0)
		unix.Umask(old)
		fmt.Fprintf(hc.Stdout, "%04o\n", old)
		return nil
	}
	mask, err := strconv.ParseUint(args[1], 8, 9)
	if err != nil || len(args) > 2 {
		return fail(hc, statusUsage, "usage: umask [OCTAL]")
	}
	unix.Umask(int(mask))
	return nil
}

// limits are those of getrlimit(2) by ulimit's letters, with ulimit's units.
var limits = []struct {
	flag     byte
	resource int
	unit     uint64
	name     string
}{
	{'c', unix.RLIMIT_CORE, 512, "core file (512 bytes)"},
	{'d', unix.RLIMIT_DATA, 1024, "data segment (KiB)"},
	{'f', unix.RLIMIT_FSIZE, 512, "file size (512 bytes)"},
	{'l', unix.RLIMIT_MEMLOCK, 1024, "locked memory (KiB)"},
	{'n', unix.RLIMIT_NOFILE, 1, "open files"},
	{'s', unix.RLIMIT_STACK, 1024, "stack (KiB)"},
	{'t', unix.RLIMIT_CPU, 1, "CPU time (s)"},
	{'u', unix.RLIMIT_NPROC, 1, "processes"},
	{'v', unix.RLIMIT_AS, 1024, "address space (KiB)"},
}

func ulimit(_ *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	flag, hard, soft, value := byte('f'), false, false, ""
	for _, arg := range args[1:] {
		if !strings.HasPrefix(arg, "-") {
			value = arg
			continue
		}
		for _, c := range []byte(arg[1:]) {
			switch c {
			case 'H':
				hard = true
			case 'S':
				soft = true
			default:
				flag = c
			}
		}
	}
	for _, l := range limits {
		if flag != 'a' && flag != l.flag {
			continue
		}
		var r syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &r); err != nil {
			return fail(hc, 1, "ulimit: %s: %v", l.name, err)
		}
		if value == "" || flag == 'a' {
			n := r.Cur
			if hard {
				n = r.Max
			}
			text := "unlimited"
			if n != unix.RLIM_INFINITY {
				text = strconv.FormatUint(n/l.unit, 10)
			}
			if flag == 'a' {
				text = fmt.Sprintf("-%c %-24s %s", l.flag, l.name, text)
			}
			fmt.Fprintln(hc.Stdout, text)
			if flag != 'a' {
				return nil
			}
			continue
		}
		n := uint64(unix.RLIM_INFINITY)
		if value != "unlimited" {
			v, err := strconv.ParseUint(value, 10, 53)
			if err != nil {
				return fail(hc, statusUsage, "ulimit: %s is no limit", value)
			}
			n = v * l.unit
		}
		if hard || !soft {
			r.Max = n
		}
		if soft || !hard {
			r.Cur = n
		}
		if err := syscall.Setrlimit(l.resource, &r); err != nil {
			return fail(hc, 1, "ulimit: %s: %v", l.name, err)
		}
		return nil
	}
	if flag != 'a' {
		return fail(hc, statusUsage, "ulimit: unknown limit -%c; ulimit -a lists them", flag)
	}
	return nil
}
