package supervise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
)

// Timing of restarts.
const (
	BackoffMin     = 200 * time.Millisecond
	BackoffMax     = 60 * time.Second
	ResetAfter     = 60 * time.Second // ready for so long: earlier failures are forgiven
	CrashLoopAfter = 5                // failures in a row that are called a crash loop
)

// Config is what an Engine needs.
type Config struct {
	Plan    *Plan
	Runner  Runner
	Journal *journal.Journal
	Paths   Paths // nil: no path condition ever holds

	// Guard wraps every goroutine that the engine starts: PID 1 must survive a
	// panic in each. nil: called as it is.
	Guard func(func())
	// OnEvent is called by the loop for each event; it must not block.
	OnEvent func(control.Event)
	// OnCritical is called once for a critical service that failed for good or
	// is held up by one that did. It must not block.
	OnCritical func(service, reason string)
	// Jitter returns a number in [0, 1) that shortens each backoff by up to a
	// quarter. nil: none.
	Jitter func() float64
	// BroughtUp is the uptime at which early boot was over, for Blame.
	PID1, BroughtUp time.Duration
}

// Engine runs services. Its methods may be called from any goroutine; Run is
// the one that owns all state.
type Engine struct {
	cfg   Config
	inbox chan func()
	ended chan struct{} // closed when Run has returned

	byName  map[string]*node
	listed  []*node // as given, conditions last
	ordered []*node // everyone after those that it depends on

	waiters   []waiter
	funcs     []func() // to be begun at the end of settle
	booted    bool
	settledAt time.Duration
	shutdown  bool
	allDown   chan struct{} // closed when a shutdown has stopped everything
}

type waiter struct {
	met  func() bool
	done chan struct{}
}

// New makes an engine; nothing runs before Boot.
func New(cfg Config) *Engine {
	if cfg.Guard == nil {
		cfg.Guard = func(f func()) { f() }
	}
	if cfg.Jitter == nil {
		cfg.Jitter = func() float64 { return 0 }
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(control.Event) {}
	}
	if cfg.OnCritical == nil {
		cfg.OnCritical = func(string, string) {}
	}
	e := &Engine{
		cfg:     cfg,
		inbox:   make(chan func(), 256),
		ended:   make(chan struct{}),
		allDown: make(chan struct{}),
		byName:  map[string]*node{},
	}
	for i := range cfg.Plan.all {
		n := newNode(&cfg.Plan.all[i], e.now())
		e.listed = append(e.listed, n)
		e.byName[n.svc.Name] = n
	}
	for _, n := range e.listed {
		for _, ed := range n.svc.edges() {
			n.link(ed.kind, e.byName[ed.to])
		}
		for _, c := range n.svc.Provides {
			e.byName[c].link(provider, n)
		}
	}
	for _, i := range cfg.Plan.order {
		e.ordered = append(e.ordered, e.listed[i])
	}
	e.markLast()
	return e
}

// Run is the engine's loop; it ends with ctx. What runs then is left to itself,
// only the goroutines and timers of the engine end.
func (e *Engine) Run(ctx context.Context) {
	defer close(e.ended)
	defer func() {
		for _, n := range e.listed {
			n.cancelTimer()
			if n.cancel != nil {
				n.cancel()
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-e.inbox:
			f()
			e.settle()
		}
	}
}

// post hands f to the loop. After the loop's end it does nothing.
func (e *Engine) post(f func()) {
	select {
	case e.inbox <- f:
	case <-e.ended:
	}
}

var errEnded = errors.New("the supervisor has ended")

// call runs f in the loop and waits for it.
func (e *Engine) call(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case e.inbox <- func() { result <- f() }:
	case <-e.ended:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-result:
		return err
	case <-e.ended:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await runs f in the loop and then waits until met says so; met is asked by
// the loop after every change.
func (e *Engine) await(ctx context.Context, f func() error, met func() bool) error {
	done := make(chan struct{})
	err := e.call(ctx, func() error {
		err := f()
		if err == nil {
			e.waiters = append(e.waiters, waiter{met, done})
		}
		return err
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-e.ended:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spawn starts a goroutine under the guard.
func (e *Engine) spawn(f func()) { go e.cfg.Guard(f) }

func (e *Engine) now() time.Duration { return e.cfg.Journal.Clock().Uptime() }

// after posts f when d has gone by.
func (e *Engine) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { e.cfg.Guard(func() { e.post(f) }) })
}

// Boot wants every service up that is not disabled, and begins to watch the
// paths that somebody waits for.
func (e *Engine) Boot() {
	e.post(func() {
		e.booted = true
		for _, n := range e.listed {
			switch {
			case n.svc.Disabled != "":
				e.to(n, control.Disabled, n.svc.Disabled)
			case n.svc.Kind != Condition:
				n.wanted = true
			case isPath(n.svc.Name):
				e.watch(n)
			}
		}
	})
}

func (e *Engine) watch(n *node) {
	path := strings.TrimPrefix(n.svc.Name, PathPrefix)
	err := errors.New("nobody watches paths here")
	if e.cfg.Paths != nil {
		err = e.cfg.Paths.Watch(path, func(exists bool) {
			e.post(func() { e.setCondition(n, exists, "") })
		})
	}
	if err != nil {
		e.event(n.svc.Name, "", fmt.Sprintf("watch %s: %v; the condition will not hold", path, err), true)
	}
}

// Condition raises or lowers a condition from inside PID 1.
func (e *Engine) Condition(name string, up bool) error {
	return e.call(context.Background(), func() error {
		n, err := e.find(name)
		if err != nil {
			return err
		}
		if n.svc.Kind != Condition {
			return fmt.Errorf("set condition: %s is a %s", name, n.svc.Kind)
		}
		e.setCondition(n, up, "")
		return nil
	})
}

func (e *Engine) find(name string) (*node, error) {
	if n := e.byName[name]; n != nil {
		return n, nil
	}
	known := make([]string, 0, len(e.listed))
	for _, n := range e.listed {
		known = append(known, n.svc.Name)
	}
	return nil, fmt.Errorf("no service is called %q; there are %s", name, strings.Join(known, " "))
}

// event records what happened to a service and tells who listens.
func (e *Engine) event(service string, state control.State, text string, urgent bool) {
	ev := e.cfg.Journal.Event(control.Event{Service: service, State: state, Text: text, Urgent: urgent})
	e.cfg.OnEvent(ev)
}

// Start wants a service up and all that it needs, wants or has as a
// milestone. One that failed gets a fresh start.
func (e *Engine) Start(ctx context.Context, name string) error {
	return e.call(ctx, func() error {
		n, err := e.find(name)
		if err != nil {
			return err
		}
		if err := e.mayStart(n); err != nil {
			return err
		}
		e.want(n)
		return nil
	})
}

func (e *Engine) mayStart(n *node) error {
	switch {
	case e.shutdown:
		return fmt.Errorf("start %s: refused, the machine is going down", n.svc.Name)
	case n.svc.Kind == Condition:
		return fmt.Errorf("start %s: it is a condition, nobody can start it; svc why %s tells who raises it", n.svc.Name, n.svc.Name)
	}
	return nil
}

// want marks a service and those that it pulls up.
func (e *Engine) want(n *node) {
	n.wanted = true
	switch n.state {
	case control.Failed, control.Skipped, control.Disabled, control.Backoff:
		n.failures = 0
		n.cancelTimer()
		e.to(n, control.Stopped, "")
	}
	for _, d := range n.deps {
		pulls := d.kind == needs || d.kind == wants || d.kind == milestone
		if pulls && d.n.svc.Kind != Condition && !d.n.wanted && d.n.state != control.Disabled {
			e.want(d.n)
		}
	}
}

// Stop wants a service down and waits until nothing of it is left. Those that
// need it go first; they stay wanted and come back with it.
func (e *Engine) Stop(ctx context.Context, name, why string) error {
	var n *node
	return e.await(ctx, func() (err error) {
		if n, err = e.find(name); err != nil {
			return err
		}
		if n.svc.Kind == Condition {
			return fmt.Errorf("stop %s: it is a condition, nobody can stop it", name)
		}
		n.wanted = false
		n.stopWhy = reasonOr(why, "stopped by an operator")
		return nil
	}, func() bool { return !n.active() })
}

// Restart stops a service, with it those that need it, and starts them again.
// It waits for the stop.
func (e *Engine) Restart(ctx context.Context, name, why string) error {
	var n *node
	return e.await(ctx, func() (err error) {
		if n, err = e.find(name); err != nil {
			return err
		}
		if err := e.mayStart(n); err != nil {
			return err
		}
		n.restart = n.state != control.Stopped && n.state != control.Disabled
		n.stopWhy = reasonOr(why, "restarted by an operator")
		e.want(n)
		return nil
	}, func() bool { return !n.restart })
}

// Shutdown wants everything down, for good, and returns a channel that is
// closed when nothing runs any more. Dependents go first; what is marked
// StopLast, and whom that depends on, go after all others.
func (e *Engine) Shutdown(why string) <-chan struct{} {
	e.post(func() {
		if e.shutdown {
			return
		}
		e.shutdown = true
		e.event(journal.PID1, "", why, true)
		for _, n := range e.listed {
			if n.svc.Kind != Condition {
				n.wanted = false
				n.stopWhy = "the machine is going down"
			}
		}
		e.waiters = append(e.waiters, waiter{func() bool {
			for _, n := range e.listed {
				if n.active() {
					return false
				}
			}
			return true
		}, e.allDown})
	})
	return e.allDown
}

// Remaining names the services of which something still runs.
func (e *Engine) Remaining(ctx context.Context) (names []string, err error) {
	err = e.call(ctx, func() error {
		for _, n := range e.listed {
			if n.active() {
				names = append(names, n.svc.Name)
			}
		}
		return nil
	})
	return names, err
}

// Progress returns nil while the loop answers and no critical service is
// stuck: in a state that a timer should have ended. The watchdog is fed on it.
func (e *Engine) Progress(ctx context.Context) error {
	return e.call(ctx, func() error {
		for _, n := range e.listed {
			if n.svc.Critical && n.deadline > 0 && e.now() > n.deadline+10*time.Second {
				return fmt.Errorf("%s is %s and should not be any more", n.svc.Name, n.state)
			}
		}
		return nil
	})
}

func reasonOr(why, otherwise string) string {
	if why != "" {
		return why
	}
	return otherwise
}
