package supervise

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// fakeRunner starts nothing. script says what a service does at its nth start
// (from 1); none: it says ready, or as a oneshot exits with status 0, at once.
type fakeRunner struct {
	script map[string]func(p *fakeProc, nth int)
	procs  map[string][]*fakeProc
	stops  []string // services in the order in which their programs ended
	starts []string
	clock  *journal.Clock
	times  map[string][]time.Duration // of starts
}

type fakeProc struct {
	r        *fakeRunner
	s        *Service
	h        Handler
	deaf     bool // ignores TERM
	ended    bool
	termed   time.Duration
	killed   bool
	proceeds int
	undying  int // processes that survive the kill
}

func (r *fakeRunner) Start(s *Service, log *journal.Log, h Handler) (Running, error) {
	p := &fakeProc{r: r, s: s, h: h}
	r.procs[s.Name] = append(r.procs[s.Name], p)
	r.starts = append(r.starts, s.Name)
	r.times[s.Name] = append(r.times[s.Name], r.clock.Uptime())
	if f := r.script[s.Name]; f != nil {
		f(p, len(r.procs[s.Name]))
		return p, nil
	}
	if s.Kind == Oneshot {
		p.exit(Exit{})
	} else {
		p.say("ready")
	}
	return p, nil
}

func (r *fakeRunner) Check(context.Context, *Service, []string) error { return nil }

func (p *fakeProc) say(line string) {
	m, err := notify.Parse([]byte(line))
	if err != nil {
		panic(err)
	}
	p.h.Notify(m)
}

func (p *fakeProc) exit(x Exit) {
	if !p.ended {
		p.ended = true
		p.r.stops = append(p.r.stops, p.s.Name)
		p.h.Exit(x)
	}
}

func (p *fakeProc) PID() int      { return 100 }
func (p *fakeProc) Memory() int64 { return 0 }
func (p *fakeProc) Proceed()      { p.proceeds++ }
func (p *fakeProc) Terminate() {
	p.termed = p.r.clock.Uptime()
	if !p.deaf {
		p.exit(Exit{Signal: syscall.SIGTERM})
	}
}
func (p *fakeProc) Kill(gone func(int)) {
	p.killed = true
	if p.undying == 0 {
		p.exit(Exit{Signal: syscall.SIGKILL})
	}
	gone(p.undying)
}

// rig is an engine in a bubble of fake time.
type rig struct {
	*Engine
	t        *testing.T
	r        *fakeRunner
	events   []control.Event
	critical []string
}

// bubble boots the services with the scripts and runs check; time is fake.
func bubble(t *testing.T, list []Service, script map[string]func(*fakeProc, int), check func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		clock := journal.NewClock(time.Second)
		g := &rig{t: t, r: &fakeRunner{script: script, procs: map[string][]*fakeProc{}, clock: clock, times: map[string][]time.Duration{}}}
		plan, err := NewPlan(list)
		if err != nil {
			t.Fatal(err)
		}
		e := New(Config{
			Plan: plan, Runner: g.r, Journal: journal.New(journal.Config{Clock: clock}),
			OnEvent:    func(ev control.Event) { g.events = append(g.events, ev) },
			OnCritical: func(name, reason string) { g.critical = append(g.critical, name+": "+reason) },
		})
		g.Engine = e
		ctx, cancel := context.WithCancel(t.Context())
		go e.Run(ctx)
		e.Boot()
		synctest.Wait()
		check(g)
		cancel()
		synctest.Wait()
	})
}

// after lets fake time go by. The call into the loop orders what the test read
// before it with what the loop writes after it, for the race detector.
func (g *rig) after(d time.Duration) {
	g.t.Helper()
	if _, err := g.List(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
	time.Sleep(d)
	synctest.Wait()
}

func (g *rig) status(name string) control.Status {
	g.t.Helper()
	s, err := g.Status(g.t.Context(), name)
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func (g *rig) is(name string, want control.State) {
	g.t.Helper()
	if s := g.status(name); s.State != want {
		g.t.Errorf("%s is %s (%s), want %s", name, s.State, s.Reason, want)
	}
}

func (g *rig) last(name string) *fakeProc {
	g.t.Helper()
	l := g.r.procs[name]
	if len(l) == 0 {
		g.t.Fatalf("%s was never started", name)
	}
	return l[len(l)-1]
}

func (g *rig) said(part string) bool {
	return slices.ContainsFunc(g.events, func(e control.Event) bool { return strings.Contains(e.Text, part) })
}

// Scripts.
func silent(*fakeProc, int)       {}
func clinging(p *fakeProc, _ int) { p.deaf, p.undying = true, 1 }
func exits(code int) func(*fakeProc, int) {
	return func(p *fakeProc, _ int) { p.exit(Exit{Code: code}) }
}
func deaf(p *fakeProc, _ int) { p.deaf = true; p.say("ready") }

func process(name string) Service {
	return Service{Name: name, Command: []string{"/bin/" + name}, Restart: Always}
}

func oneshot(name string) Service {
	return Service{Name: name, Kind: Oneshot, Command: []string{"/bin/" + name}}
}

func with(s Service, set func(*Service)) Service { set(&s); return s }

func funcService(f func(context.Context, io.Writer) error) Service {
	return Service{Name: "inside", Kind: Oneshot, Func: f}
}

var errNo = errors.New("no")
