// Package pid1 puts the parts of PID 1 together: early boot, console, journal,
// processes, engine, control socket, watchdog, and the way down.
//
// PID 1 must not die: the kernel would panic. Every goroutine runs under a
// guard; a panic in one makes PID 1 replace itself by a small rescue mode that
// keeps collecting children, keeps the log pipes of the running services open,
// so that they (sshd!) run on, and offers a shell on the console. What Go
// cannot recover from (a fatal error of its runtime: out of memory, corrupted
// maps, a stack without bounds) still ends in a kernel panic; PID 1 is kept
// small, exempt from the OOM killer and free of foreign bytes against that, and
// pstore and the watchdog are what is left after it.
package pid1

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/bringup"
	"github.com/bee-os/bee/pkg/node/power"
	"github.com/bee-os/bee/pkg/node/supervise"
	"github.com/bee-os/bee/pkg/node/supervise/bootlog"
	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
	"github.com/bee-os/bee/pkg/node/supervise/proc"
)

// RescueShell is the service that PID 1 starts when nobody else offers a
// console.
const RescueShell = "rescue-shell"

// Config is what differs between a machine and a test.
type Config struct {
	Services func(bootparam.Params) []supervise.Service
	Early    []bringup.Row // before the command line is read
	Footing  []bringup.Row // before the first service
	Cmdline  string        // file
	Kernel   string        // device of the kernel's log
	Consoles string        // file that lists the kernel's consoles
	Shell    []string
	Local    func(context.Context, io.Writer) error // the file systems of services, for who gets a shell before these; may be nil
	TTY      string                                 // of shells, and of the banner
	LogDir   string
	Control  string        // path of the socket
	Cgroup   string        // mount point of cgroup v2
	Watchdog string        // device; empty: none
	Deadline time.Duration // of a shutdown
	Patience time.Duration // without an owner of the console, until the rescue shell
	BootOver time.Duration // from when on the machine is there for its users: see afterBoot
	Earlier  int           // process that was started before this one's own runtime: see watchEarlier; 0: none, negative: errno
}

// Machine is the Config of a real machine.
func Machine(services func(bootparam.Params) []supervise.Service) Config {
	return Config{
		Services: services,
		Early:    bringup.Early,
		Footing:  bringup.Footing,
		Cmdline:  "/proc/cmdline",
		Kernel:   "/dev/kmsg",
		Consoles: "/sys/class/tty/console/active",
		Shell:    []string{"/bin/sh", "-l"},
		Local:    bringup.LocalMount,
		TTY:      "/dev/console",
		LogDir:   "/var/log",
		Control:  control.Path,
		Cgroup:   "/sys/fs/cgroup",
		Watchdog: power.WatchdogDevice,
		Deadline: 30 * time.Second,
		Patience: 10 * time.Second,
		BootOver: 15 * time.Second,
	}
}

// pid1 is the state of a running PID 1.
type pid1 struct {
	cfg       Config
	params    bootparam.Params
	began     time.Duration // uptime
	broughtUp time.Duration
	clock     *journal.Clock
	journal   *journal.Journal
	console   *bootlog.Console
	reaper    *proc.Reaper
	runner    *proc.Runner
	cgroups   *proc.Cgroups // nil: there are none
	engine    *supervise.Engine

	panicked sync.Once
	leaving  sync.Once
	dog      watchdog
}

// Run is PID 1. It returns only an error: that it is not PID 1, or what kept it
// from going on.
func Run(cfg Config, args []string) error {
	if len(args) > 1 && args[1] == rescueArg {
		return rescue(cfg, args[2:])
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("init: this is the program of PID 1 and runs as nothing else; svc speaks to the one that runs")
	}
	// The other processor has its own work in a boot, and each thread that Go's
	// runtime makes to have PID 1 on both takes longer than it saves. See afterBoot.
	if runtime.GOMAXPROCS(0) != 1 { // the entry did not say so already
		runtime.GOMAXPROCS(1)
	}
	newPID1(cfg).run()
	return nil
}

func newPID1(cfg Config) *pid1 {
	began := uptime()
	return &pid1{cfg: cfg, began: began, clock: journal.NewClock(began)}
}

// run does not return: it is shut down by reboot(2), or replaced by rescue.
func (p *pid1) run() {
	// The first line goes straight to what the kernel opened for us. A serial line
	// takes its time, and one that is stopped by flow control all of it: nothing
	// waits.
	p.spawn(func() { fmt.Fprintf(os.Stderr, "bee: pid 1 at %.3f s\r\n", p.began.Seconds()) })
	p.guard(p.boot)
	select {}
}

// uptime is the kernel's clock since its start.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// guard runs f and hands over to rescue mode should it panic.
func (p *pid1) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			p.handover(fmt.Sprint(r), debug.Stack())
		}
	}()
	f()
}

func (p *pid1) spawn(f func()) { go p.guard(f) }

// say records an event of PID 1 itself.
func (p *pid1) say(urgent bool, format string, args ...any) {
	p.console.Event(p.journal.Event(control.Event{Service: journal.PID1, Text: fmt.Sprintf(format, args...), Urgent: urgent}))
}

// watchEarlier tells how the program ended that does work of services beside the
// start of PID 1 itself. Without it a boot takes longer, and that is all.
func (p *pid1) watchEarlier() {
	failed := func(why any) {
		p.say(false, "load network drivers ahead of the services: %v; coldplug does it, and the boot takes a little longer", why)
	}
	switch pid := p.cfg.Earlier; {
	case pid < 0:
		failed(syscall.Errno(-pid))
	case pid > 0:
		started := func() (int, error) { return pid, nil }
		p.reaper.Start(started, func(ws syscall.WaitStatus) { // has no error of its own
			if ws.ExitStatus() != 0 {
				p.spawn(func() { failed(proc.ExitOf(ws)) })
			}
		})
	}
}

// boot does everything up to the start of the services.
func (p *pid1) boot() {
	errs := bringup.Run(p.cfg.Early)
	if !bringup.BootSlack.Given() { // by the entry, before there was a second thread
		errs = append(errs, bringup.Run([]bringup.Row{bringup.BootSlack})...)
	}
	errs = append(errs, p.findFooting()...)
	cmdline, err := os.ReadFile(p.cfg.Cmdline)
	if err != nil {
		errs = append(errs, fmt.Errorf("read kernel command line: %w; no parameter is known", err))
	}
	params, warnings := bootparam.Parse(string(cmdline))
	p.params = params
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		errs = append(errs, fmt.Errorf("exempt PID 1 from the OOM killer: %w", err))
	}
	p.console = &bootlog.Console{Guard: p.guard, Debug: params.Debug, Blocked: func(name string) {
		p.spawn(func() { p.say(true, "console %s takes nothing more (flow control?): lines for it are left out", name) })
	}}
	errs = append(errs, p.attachConsoles(string(cmdline))...)
	jc := journal.Config{Clock: p.clock, Dir: p.cfg.LogDir}
	if f, err := os.OpenFile(p.cfg.Kernel, os.O_WRONLY, 0); err != nil {
		errs = append(errs, fmt.Errorf("write to the kernel's log: %w", err))
	} else {
		jc.Kernel = journal.NewKernelWriter(f, p.guard).Write
	}
	p.journal = journal.New(jc)
	p.broughtUp = p.clock.Uptime()
	p.say(false, "PID 1 began at %.3f s, brought up in %.1f ms", p.began.Seconds(), (p.broughtUp-p.began).Seconds()*1000)
	for _, w := range warnings {
		p.say(true, "%s", w)
	}
	for _, err := range errs {
		p.say(true, "%v", err)
	}
	p.startEngine()
}

// findFooting makes what the first service needs under it, and the control groups.
func (p *pid1) findFooting() []error {
	errs := bringup.Run(p.cfg.Footing)
	var err error
	if p.cgroups, err = proc.NewCgroups(p.cfg.Cgroup); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// plan is the list of services, found sound, or why it is not.
type plan struct {
	*supervise.Plan
	err error
}

func (p *pid1) plan() plan {
	sound, err := supervise.NewPlan(p.services())
	if err == nil {
		return plan{sound, nil}
	}
	// A test of the list keeps this from becoming an image. Should it: say so, and
	// run what can be relied on, a shell.
	alone, broken := supervise.NewPlan([]supervise.Service{p.shellService("")})
	if broken != nil {
		panic(broken)
	}
	return plan{alone, err}
}

// startEngine makes the supervisor and starts the boot.
func (p *pid1) startEngine() {
	p.reaper = proc.NewReaper()
	p.watchEarlier()
	p.spawn(p.reaper.Run)
	p.runner = &proc.Runner{Reaper: p.reaper, Guard: p.guard, Warn: func(text string) { p.say(false, "%s", text) }}
	p.runner.Cgroups = p.cgroups
	time.AfterFunc(p.cfg.BootOver, func() { p.guard(p.afterBoot) })
	cfg := supervise.Config{
		Runner:     p.runner,
		Journal:    p.journal,
		Guard:      p.guard,
		OnEvent:    p.console.Event,
		OnCritical: p.emergency,
		Jitter:     rand.Float64,
		PID1:       p.began,
		BroughtUp:  p.broughtUp,
	}
	paths, err := proc.NewPaths()
	if err != nil {
		p.say(true, "watch paths: %v; path conditions will not hold", err)
	} else {
		p.spawn(paths.Run)
		cfg.Paths = paths
	}
	list := p.plan()
	if list.err != nil {
		p.say(true, "%v", list.err)
	}
	cfg.Plan = list.Plan
	p.engine = supervise.New(cfg)
	p.spawn(func() { p.engine.Run(context.Background()) })
	listen := sync.OnceFunc(func() {
		signals := heardSignals() // first: whom svc answers may send one
		p.spawn(func() { p.handleSignals(signals) })
		p.spawn(p.serveControl)
	})
	if p.params.Shell {
		listen()
		p.say(true, "bee.shell: no service runs yet; the boot goes on when this shell ends")
		if p.cfg.Local != nil {
			if err := p.cfg.Local(context.Background(), p.journal.Log(journal.PID1)); err != nil {
				p.say(true, "%v", err)
			}
		}
		if err := runShell(p.reaper, p.cfg.Shell, p.cfg.TTY); err != nil {
			p.say(true, "%v", err)
		}
	}
	p.engine.Boot()
	listen()
	p.spawn(p.offerShell)
	p.spawn(p.tellLastReset)
	if paths != nil {
		p.watchdog(paths)
	}
}

// afterBoot ends what holds for a boot alone: that PID 1 has one processor, control
// groups that count nothing, the order of niceness, which sharing the processors by
// service would undo, and timers that may be late.
func (p *pid1) afterBoot() {
	runtime.GOMAXPROCS(runtime.NumCPU())
	debug.SetMemoryLimit(64 << 20) // it stays far below; to say so takes a boot its time
	if p.cgroups != nil {
		if err := p.cgroups.Enable(); err != nil {
			p.say(true, "%v", err)
		}
		if err := p.cgroups.Share(); err != nil {
			p.say(true, "%v", err)
		}
	}
	if err := bringup.BootSlack.End(); err != nil {
		p.say(true, "%v", err)
	}
}

// services is the list with PID 1's own shell at its end.
func (p *pid1) services() []supervise.Service {
	return append(p.cfg.Services(p.params), p.shellService("PID 1 starts it when nobody else offers a console"))
}

func (p *pid1) shellService(disabled string) supervise.Service {
	return supervise.Service{
		Name: RescueShell, Summary: "root shell on the console, for when all else fails", Kind: supervise.Process,
		Command: p.cfg.Shell, Env: []string{"TERM=linux"}, Dir: "/root", TTY: p.cfg.TTY,
		Ready: supervise.ByStart, Restart: supervise.Always, Disabled: disabled,
	}
}

func (p *pid1) serveControl() {
	if err := os.MkdirAll(filepath.Dir(p.cfg.Control), 0o755); err != nil {
		p.say(true, "listen for svc: %v", err)
		return
	}
	l, err := control.Listen(p.cfg.Control)
	if err != nil {
		p.say(true, "listen for svc: %v", err)
		return
	}
	s := &control.Server{
		Backend: supervise.Backend{Engine: p.engine, Console: p.console, Down: p.down},
		Guard:   p.guard,
		Warn:    func(err error) { p.say(false, "%v", err) },
	}
	p.spawn(func() {
		if err := s.Serve(context.Background(), l); err != nil {
			p.say(true, "answer svc: %v", err)
		}
	})
}

// emergency is called when something that SSH needs failed for good.
func (p *pid1) emergency(service, reason string) {
	p.spawn(func() {
		if !p.params.RebootOnFailure {
			p.say(true, "%s is out of order (%s); the console offers a shell, the machine stays up", service, reason)
			return
		}
		p.say(true, "%s is out of order (%s): rebooting in 10 s as bee.reboot_on_failure asks", service, reason)
		time.Sleep(10 * time.Second) // for a person to read it
		if err := p.down(control.Reboot, service+" failed for good"); err != nil {
			p.say(true, "%v", err)
		}
	})
}

// attachConsoles opens every console of the machine: serial and VGA both show
// the boot.
func (p *pid1) attachConsoles(cmdline string) (errs []error) {
	var names []string
	if active, err := os.ReadFile(p.cfg.Consoles); err != nil {
		errs = append(errs, fmt.Errorf("find the consoles: %w", err))
	} else {
		names = bootparam.Consoles(string(active), cmdline)
	}
	attached := 0
	for _, name := range names {
		// O_NONBLOCK: a serial line without carrier must not hold the open up.
		fd, err := syscall.Open("/dev/"+name, syscall.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if err == nil {
			err = syscall.SetNonblock(fd, false)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("open console %s: %w", name, err))
			continue
		}
		p.console.Attach(name, os.NewFile(uintptr(fd), name))
		attached++
	}
	if attached == 0 {
		p.console.Attach("console", os.Stderr)
	}
	return errs
}
