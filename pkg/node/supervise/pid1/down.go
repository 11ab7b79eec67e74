package pid1

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/node/power"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// wayOut lists the signals that ask PID 1 to leave the machine.
func wayOut() []os.Signal {
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPWR}
}

// actionOf is what a signal means: that of busybox init, which most tools know.
// SIGINT is ctrl-alt-del, SIGPWR a dying power supply.
func actionOf(s os.Signal) (control.Action, bool) {
	switch s {
	case syscall.SIGINT, syscall.SIGTERM:
		return control.Reboot, true
	case syscall.SIGUSR1:
		return control.Halt, true
	case syscall.SIGUSR2, syscall.SIGPWR:
		return control.Poweroff, true
	}
	return "", false
}

// heardSignals makes PID 1 hear signals; until then the kernel drops them.
func heardSignals() <-chan os.Signal {
	c := make(chan os.Signal, 4)
	signal.Notify(c, append(wayOut(), syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGHUP)...)
	return c
}

// handleSignals serves those who know no socket. SIGQUIT, which would end a Go
// program, writes all stacks into the log.
func (p *pid1) handleSignals(c <-chan os.Signal) {
	for s := range c {
		if a, ok := actionOf(s); ok {
			if err := p.down(a, "asked by "+s.String()); err != nil {
				p.say(true, "%v", err)
			}
			continue
		}
		if s == syscall.SIGQUIT {
			buf := make([]byte, 256<<10)
			p.journal.Log("bee").Write(buf[:runtime.Stack(buf, true)])
		}
		p.say(false, "signal %s: not followed", s)
	}
}

// down begins to leave the machine, once; a later call is told so. Everything
// happens under one hard deadline, which a timer here and the watchdog enforce.
func (p *pid1) down(a control.Action, reason string) error {
	if err := power.Supported(a); err != nil {
		return err
	}
	p.leaving.Do(func() {
		p.spawn(func() { p.leave(a, reason) })
	})
	return nil
}

func (p *pid1) leave(a control.Action, reason string) {
	deadline := time.Now().Add(p.cfg.Deadline)
	// The last resort needs nothing but a timer and reboot(2).
	time.AfterFunc(p.cfg.Deadline, func() {
		p.cfg.lastWords("bee: the deadline of the shutdown has passed: " + string(a) + " now\n")
		p.finish(a)
	})
	p.dog.lastBite(p.cfg.Deadline + 10*time.Second)
	text := string(a)
	if reason != "" {
		text += ": " + reason
	}
	down := p.engine.Shutdown(text)
	// A third of the time is kept for what follows.
	wait := time.NewTimer(p.cfg.Deadline * 2 / 3)
	select {
	case <-down:
		wait.Stop()
	case <-wait.C:
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		left, err := p.engine.Remaining(ctx)
		cancel()
		if err != nil {
			p.last("the supervisor does not answer, going on without it: " + err.Error())
		} else {
			p.last("did not end in time: " + strings.Join(left, " "))
		}
	}
	power.Sweep(power.OthersAlive)
	for _, step := range []func() error{power.Sync, power.Unmount} {
		if time.Now().After(deadline) {
			break
		}
		if err := step(); err != nil {
			p.last(err.Error())
		}
	}
	p.last(text)                      // the reason too: a screen or a shell may have held the console when it was told first
	time.Sleep(20 * time.Millisecond) // for the line to leave the machine
	p.finish(a)
}

// last shows a line whoever owns the console.
func (p *pid1) last(text string) {
	p.console.Force("bee: " + text)
	p.journal.Log("bee").Write([]byte(text + "\n"))
}

// finish makes the call that ends this kernel's work. Should that fail, a
// reboot is better than a machine that is nothing.
func (p *pid1) finish(a control.Action) {
	if a != control.Reboot {
		// A reboot leaves the watchdog armed, against one that hangs.
		if err := p.dog.disarm(); err != nil {
			p.cfg.lastWords("bee: " + err.Error() + "\n")
		}
	}
	err := power.Final(a)
	p.cfg.lastWords("bee: " + err.Error() + "; rebooting instead\n")
	if err := power.Final(control.Reboot); err != nil {
		p.cfg.lastWords("bee: " + err.Error() + "\n")
	}
}
