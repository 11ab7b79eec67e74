package pid1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/node/bringup"
	"github.com/bee-os/bee/pkg/node/power"
	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
	"github.com/bee-os/bee/pkg/node/supervise/proc"
)

// rescueArg is the first argument of PID 1 in rescue mode; those after it are
// <service>:<descriptor> of the log pipes, watchdog, reboot.
const rescueArg = "rescue"

const selfExe = "/proc/self/exe"

// handover is the end of PID 1 as a supervisor: it tells what happened and
// replaces the program, which keeps the process.
func (p *pid1) handover(reason string, stack []byte) {
	p.panicked.Do(func() {
		text := fmt.Sprintf("bee: PID 1 panicked: %s\n%s", reason, stack)
		p.cfg.lastWords(text)
		args := []string{"init", rescueArg}
		if p.runner != nil {
			for name, fd := range p.runner.Pipes() {
				if err := keep(fd); err == nil {
					args = append(args, name+":"+strconv.Itoa(fd))
				}
			}
		}
		if p.dog.release() {
			args = append(args, "watchdog")
		}
		if p.params.RebootOnFailure {
			args = append(args, "reboot")
		}
		err := syscall.Exec(selfExe, args, os.Environ())
		p.cfg.lastWords(fmt.Sprintf("bee: replace PID 1 by its rescue mode: %v\n", err))
		// What is left is to be that mode ourselves, threads and all.
		if err := rescue(p.cfg, args[2:]); err != nil {
			p.cfg.lastWords(err.Error() + "\n")
		}
	})
	runtime.Goexit() // another goroutine is at it
}

// keep lets a descriptor live through exec.
func keep(fd int) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, 0); errno != 0 {
		return errno
	}
	return nil
}

// lastWords writes to the console and to the kernel's log, whatever holds them
// up: not for longer than a second.
func (cfg Config) lastWords(text string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if f, err := os.OpenFile(cfg.Kernel, os.O_WRONLY, 0); err == nil {
			for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
				fmt.Fprintf(f, "<10>%.900s\n", line)
			}
			f.Close()
		}
		io.WriteString(os.Stderr, strings.ReplaceAll(text, "\n", "\r\n"))
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// rescue is PID 1 after a panic: it collects children, takes what the services
// that still run write, and offers a shell. It restarts nothing.
func rescue(cfg Config, args []string) error {
	if os.Getpid() != 1 {
		return errors.New("init: rescue mode is for PID 1")
	}
	r := proc.NewReaper()
	go r.Run()
	clock := journal.NewClock(uptime())
	logs := journal.New(journal.Config{Clock: clock, Dir: cfg.LogDir})
	for _, arg := range args {
		name, number, ok := strings.Cut(arg, ":")
		fd, err := strconv.Atoi(number)
		if !ok || err != nil || fd < 3 {
			continue
		}
		go io.Copy(logs.Log(name), os.NewFile(uintptr(fd), name)) // ends with the last writer
	}
	leave := func(a control.Action) error {
		return errors.Join(power.Sync(), power.Unmount(), power.Final(a))
	}
	if slices.Contains(args, "reboot") {
		cfg.lastWords("bee: rebooting as bee.reboot_on_failure asks\n")
		if err := leave(control.Reboot); err != nil {
			cfg.lastWords(err.Error() + "\n")
		}
	}
	if slices.Contains(args, "watchdog") {
		if dog, err := power.OpenWatchdog(cfg.Watchdog, power.DefaultWatchdog); dog != nil {
			go dog.Guard(context.Background(), func(context.Context) error { return nil }, func(error) {})
		} else {
			cfg.lastWords(fmt.Sprintf("bee: %v; it may reset the machine\n", err))
		}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, wayOut()...)
	go func() {
		for s := range signals {
			if a, ok := actionOf(s); ok {
				if err := leave(a); err != nil {
					cfg.lastWords(err.Error() + "\n")
				}
			}
		}
	}()
	if err := bringup.BootSlack.End(); err != nil { // nobody else will, should this be a boot
		cfg.lastWords("bee: " + err.Error() + "\n")
	}
	cfg.lastWords("bee: rescue mode: services that run go on without a supervisor; ctrl-alt-del reboots, this shell is root's\n")
	for {
		began := time.Now()
		if err := runShell(r, cfg.Shell, cfg.TTY); err != nil {
			cfg.lastWords("bee: " + err.Error() + "\n")
		}
		if time.Since(began) < time.Second {
			time.Sleep(2 * time.Second) // a shell that does not run must not be tried in a circle
		}
	}
}

// runShell runs a shell on the console and waits for its end.
func runShell(r *proc.Reaper, argv []string, tty string) error {
	fd, err := syscall.Open(tty, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s for a shell: %w", tty, err)
	}
	defer syscall.Close(fd)
	ended := make(chan syscall.WaitStatus, 1)
	start := func(ctty bool) error {
		_, err := r.Start(func() (int, error) {
			return syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
				Dir:   "/",
				Env:   []string{"PATH=/bin", "HOME=/root", "TERM=linux", "USER=root"},
				Files: []uintptr{uintptr(fd), uintptr(fd), uintptr(fd)},
				Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: ctty},
			})
		}, func(ws syscall.WaitStatus) { ended <- ws })
		return err
	}
	// A console that cannot be a controlling terminal still carries a shell.
	if err := start(true); err != nil {
		if err = start(false); err != nil {
			return fmt.Errorf("start %s on %s: %w", argv[0], tty, err)
		}
	}
	<-ended
	return nil
}
