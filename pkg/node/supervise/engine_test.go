package supervise

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

type scripts = map[string]func(*fakeProc, int)

func needing(name, on string) Service {
	return with(process(name), func(s *Service) { s.Needs = []string{on} })
}

func following(name, on string) Service {
	return with(process(name), func(s *Service) { s.After = []string{on} })
}

func TestNeedsWaitForReady(t *testing.T) {
	bubble(t, []Service{needing("b", "a"), process("a")}, scripts{"a": silent}, func(g *rig) {
		g.is("a", control.Starting)
		g.is("b", control.Blocked)
		g.last("a").say("ready")
		synctest.Wait()
		g.is("b", control.Ready)
	})
}

// Whatever becomes of a service, those that only come after it go on.
func TestAfterAndWantsGoOn(t *testing.T) {
	for name, a := range map[string]struct {
		s      Service
		script func(*fakeProc, int)
		state  control.State
	}{
		"crash loop": {process("a"), exits(1), control.Backoff},
		"failed":     {with(process("a"), func(s *Service) { s.Restart = Never }), exits(1), control.Failed},
		"permanent":  {process("a"), exits(ExitPermanent), control.Failed},
		"disabled":   {with(process("a"), func(s *Service) { s.Disabled = "not here" }), nil, control.Disabled},
		"no network": {with(process("a"), func(s *Service) { s.Needs = []string{"path:/none"} }), nil, control.Blocked},
	} {
		t.Run(name, func(t *testing.T) {
			wants := with(process("w"), func(s *Service) { s.Wants = []string{"a"} })
			bubble(t, []Service{a.s, following("b", "a"), wants}, scripts{"a": a.script}, func(g *rig) {
				g.is("a", a.state)
				g.is("b", control.Ready)
				g.is("w", control.Ready)
			})
		})
	}
}

func TestStartTimeoutIsNamedWithWhomItHeldUp(t *testing.T) {
	a := with(process("a"), func(s *Service) { s.StartTimeout = 3 * time.Second })
	slow := func(p *fakeProc, _ int) { time.AfterFunc(10*time.Second, func() { p.say("ready") }) }
	a.Needs = []string{"first"}
	first := process("first")
	first.StartTimeout = time.Minute
	bubble(t, []Service{first, a, following("b", "a")}, scripts{"a": silent, "first": slow}, func(g *rig) {
		g.after(11 * time.Second) // the timeout counts from when first was ready
		g.is("a", control.Starting)
		g.is("b", control.Blocked)
		g.after(2100 * time.Millisecond)
		g.is("a", control.Backoff)
		g.is("b", control.Ready)
		if !g.said("not ready 3s after it could start (first ready at 11.000 s); held up b") {
			t.Errorf("events: %v", g.events)
		}
	})
}

func TestBackoffDoublesToAMinute(t *testing.T) {
	bubble(t, []Service{process("a")}, scripts{"a": exits(1)}, func(g *rig) {
		g.after(6 * time.Minute)
		var gaps []time.Duration
		times := g.r.times["a"]
		for i := 1; i < len(times); i++ {
			gaps = append(gaps, times[i]-times[i-1])
		}
		const ms = time.Millisecond
		want := []time.Duration{200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 51200 * ms, time.Minute, time.Minute, time.Minute}
		if len(gaps) < len(want) || !slices.Equal(gaps[:len(want)], want) {
			t.Errorf("gaps %v, want %v", gaps, want)
		}
		if s := g.status("a"); !s.CrashLoop || s.Restarts != len(times)-1 {
			t.Errorf("crash loop not told: %+v", s)
		}
	})
}

func TestJitterShortensByAQuarterAtMost(t *testing.T) {
	e := &Engine{cfg: Config{Jitter: func() float64 { return 1 }}}
	if d := e.backoff(1); d != 150*time.Millisecond {
		t.Error(d)
	}
	if d := e.backoff(1 << 30); d != 45*time.Second {
		t.Error(d)
	}
}

func TestAMinuteOfReadyForgives(t *testing.T) {
	bubble(t, []Service{process("a")}, scripts{"a": func(p *fakeProc, nth int) {
		if nth < 4 {
			p.exit(Exit{Code: 1})
			return
		}
		p.say("ready")
	}}, func(g *rig) {
		g.after(30 * time.Second)
		if s := g.status("a"); s.Failures != 3 || s.State != control.Ready {
			t.Fatalf("%+v", s)
		}
		g.after(ResetAfter)
		if s := g.status("a"); s.Failures != 0 || s.Restarts != 3 {
			t.Errorf("%+v", s)
		}
		g.last("a").exit(Exit{Code: 1})
		g.after(200 * time.Millisecond)
		g.is("a", control.Ready)
	})
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   Kind
		policy Restart
		giveUp int
		code   int
		state  control.State
		starts int // after a second
	}{
		{"always, status 0", Process, Always, 0, 0, control.Backoff, 3},
		{"always, 125", Process, Always, 0, 125, control.Failed, 1},
		{"on-failure, 0", Process, OnFailure, 0, 0, control.Done, 1},
		{"on-failure, 1", Process, OnFailure, 0, 1, control.Backoff, 3},
		{"never", Process, Never, 0, 1, control.Failed, 1},
		{"gives up", Process, Always, 2, 1, control.Failed, 2},
		{"until-success, 1", Oneshot, UntilSuccess, 0, 1, control.Backoff, 3},
		{"until-success, 0", Oneshot, UntilSuccess, 0, 0, control.Done, 1},
		{"oneshot", Oneshot, Never, 0, 0, control.Done, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := process("a")
			s.Kind, s.Restart, s.GiveUpAfter = c.kind, c.policy, c.giveUp
			bubble(t, []Service{s}, scripts{"a": exits(c.code)}, func(g *rig) {
				g.after(time.Second)
				g.is("a", c.state)
				if n := len(g.r.starts); n != c.starts {
					t.Errorf("%d starts, want %d", n, c.starts)
				}
			})
		})
	}
}

func TestConditions(t *testing.T) {
	net := with(process("net"), func(s *Service) { s.Provides = []string{"route"} })
	bubble(t, []Service{net, needing("ship", "route"), with(process("m"), func(s *Service) { s.Milestone = []string{"route"} })}, nil, func(g *rig) {
		g.is("ship", control.Blocked)
		g.last("net").say("condition other up")
		synctest.Wait()
		if !g.said("not its own") {
			t.Error("a foreign condition was taken")
		}
		g.last("net").say("condition route up")
		synctest.Wait()
		g.is("ship", control.Ready)
		g.is("m", control.Ready)

		// A provider that falls and comes back leaves its condition as it was.
		g.last("net").exit(Exit{Code: 1})
		synctest.Wait()
		g.is("route", control.Ready)
		g.is("ship", control.Ready)
		g.after(time.Second)
		g.last("net").say("condition route down")
		synctest.Wait()
		g.is("ship", control.Blocked)
		g.is("m", control.Ready) // once is enough
	})
}

func TestStopTakesDependentsFirstAndBringsThemBack(t *testing.T) {
	bubble(t, []Service{process("a"), needing("b", "a"), needing("c", "b")}, nil, func(g *rig) {
		if err := g.Stop(g.t.Context(), "a", ""); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(g.r.stops, " "); got != "c b a" {
			t.Errorf("stopped in the order %s", got)
		}
		g.is("a", control.Stopped)
		g.is("c", control.Blocked)
		if err := g.Start(g.t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.is("c", control.Ready)
		if err := g.Restart(g.t.Context(), "b", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.is("b", control.Ready)
		g.is("c", control.Ready)
	})
}

func TestOneThatFellDoesNotStopWhoNeedsIt(t *testing.T) {
	bubble(t, []Service{process("a"), needing("b", "a")}, nil, func(g *rig) {
		g.last("a").exit(Exit{Code: 1})
		synctest.Wait()
		g.is("a", control.Backoff)
		g.is("b", control.Ready)
		g.after(time.Second)
		g.is("a", control.Ready)
		if len(g.r.procs["b"]) != 1 {
			t.Error("b was restarted")
		}
	})
}

func TestDeafIsKilled(t *testing.T) {
	bubble(t, []Service{process("a")}, scripts{"a": deaf}, func(g *rig) {
		began := g.r.clock.Uptime()
		if err := g.Stop(g.t.Context(), "a", ""); err != nil {
			t.Fatal(err)
		}
		if d := g.r.clock.Uptime() - began; d != DefaultStopTimeout || !g.last("a").killed {
			t.Errorf("after %s, killed %v", d, g.last("a").killed)
		}
	})
}

func TestShutdownOrder(t *testing.T) {
	sshd := with(process("sshd"), func(s *Service) { s.StopLast = true; s.Needs = []string{"keys"} })
	bubble(t, []Service{oneshot("keys"), sshd, process("net"), following("audit", "net"), process("deaf")}, scripts{"deaf": deaf}, func(g *rig) {
		g.r.stops = nil
		down := g.Shutdown("test")
		synctest.Wait()
		if err := g.Start(g.t.Context(), "net"); err == nil || !strings.Contains(err.Error(), "going down") {
			t.Errorf("start was not refused: %v", err)
		}
		g.is("sshd", control.Ready) // an operator still looks through it
		g.after(DefaultStopTimeout)
		select {
		case <-down:
		default:
			t.Fatal("not down after the stop timeout")
		}
		if got := strings.Join(g.r.stops, " "); got != "audit net deaf sshd" {
			t.Errorf("order %s", got)
		}
		left, err := g.Remaining(g.t.Context())
		if err != nil || len(left) > 0 {
			t.Error(left, err)
		}
	})
}

func TestUndyingDoesNotHoldTheShutdown(t *testing.T) {
	bubble(t, []Service{process("a")}, scripts{"a": func(p *fakeProc, _ int) { p.deaf, p.undying = true, 2; p.say("ready") }}, func(g *rig) {
		down := g.Shutdown("test")
		g.after(DefaultStopTimeout + time.Second)
		select {
		case <-down:
		default:
			t.Error("waits for what does not die")
		}
		if !g.said("2 of its processes do not die") {
			t.Error("nobody was told")
		}
	})
}

func TestCriticalThatFailsForGood(t *testing.T) {
	keys := with(oneshot("keys"), func(s *Service) { s.Restart = OnFailure })
	sshd := with(needing("sshd", "keys"), func(s *Service) { s.Critical = true })
	bubble(t, []Service{keys, sshd}, scripts{"keys": exits(ExitPermanent)}, func(g *rig) {
		if len(g.critical) != 1 || !strings.HasPrefix(g.critical[0], "sshd: keys (failed") {
			t.Errorf("critical: %q", g.critical)
		}
		why, err := g.Why(g.t.Context(), "sshd")
		if err != nil || len(why.Chain) != 1 || why.Chain[0].Name != "keys" {
			t.Errorf("%+v, %v", why, err)
		}
	})
}

func TestFuncs(t *testing.T) {
	for _, c := range []struct {
		name  string
		f     func(context.Context, io.Writer) error
		state control.State
		says  string
	}{
		{"good", func(context.Context, io.Writer) error { return nil }, control.Done, ""},
		{"skips", func(context.Context, io.Writer) error { return Skip("nothing here") }, control.Skipped, "nothing here"},
		{"fails", func(context.Context, io.Writer) error { return errNo }, control.Failed, "no"},
		{"panics", func(context.Context, io.Writer) error { panic("oops") }, control.Failed, "panic: oops"},
		{"hangs", func(ctx context.Context, _ io.Writer) error { <-ctx.Done(); return ctx.Err() }, control.Failed, "not done 2m0s after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, []Service{funcService(c.f)}, nil, func(g *rig) {
				g.after(3 * time.Minute)
				g.is("inside", c.state)
				if s := g.status("inside"); !strings.Contains(s.Reason, c.says) {
					t.Errorf("reason %q", s.Reason)
				}
			})
		})
	}
}

// A process that is not to stay ends well with what it said last: that there was
// nothing to do, or what was wrong.
func TestProcessThatMayEnd(t *testing.T) {
	for _, c := range []struct {
		name    string
		restart Restart
		says    []string
		state   control.State
		reason  string
	}{
		{"done", OnFailure, nil, control.Done, "exit status 0"},
		{"done, and it says what", OnFailure, []string{"status all of it"}, control.Done, "all of it"},
		{"done badly", OnFailure, []string{"degraded half of it"}, control.Done, "half of it"},
		{"skipped", Never, []string{"skipped nothing here"}, control.Skipped, "nothing here"},
		{"to stay", Always, []string{"skipped nothing here"}, control.Backoff, "though it is to stay"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := with(process("a"), func(s *Service) { s.Restart = c.restart })
			script := func(p *fakeProc, nth int) {
				p.say("ready")
				for _, line := range c.says {
					p.say(line)
				}
			}
			bubble(t, []Service{a, following("b", "a")}, scripts{"a": script}, func(g *rig) {
				g.is("b", control.Ready)
				g.last("a").exit(Exit{})
				synctest.Wait()
				g.is("a", c.state)
				if s := g.status("a"); !strings.Contains(s.Reason, c.reason) {
					t.Errorf("reason %q", s.Reason)
				}
			})
		})
	}
}

func TestHealthRestarts(t *testing.T) {
	var sick atomic.Bool
	a := with(process("a"), func(s *Service) {
		s.Health = &Probe{Func: func(context.Context) error {
			if sick.Load() {
				return errNo
			}
			return nil
		}}
	})
	bubble(t, []Service{a}, nil, func(g *rig) {
		g.after(time.Minute)
		if len(g.r.procs["a"]) != 1 {
			t.Fatal("restarted though it is well")
		}
		sick.Store(true)
		g.after(31 * time.Second)
		sick.Store(false)
		g.after(time.Second)
		if len(g.r.procs["a"]) != 2 {
			t.Errorf("%d starts", len(g.r.procs["a"]))
		}
		g.is("a", control.Ready)
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		list []Service
		says string
	}{
		{[]Service{needing("a", "b"), needing("b", "a")}, "a → b → a"},
		{[]Service{needing("a", "ghost")}, `"ghost", which nobody is called`},
		{[]Service{process("a"), process("a")}, "twice"},
		{[]Service{process("b"), with(following("a", "b"), func(s *Service) { s.Beside = []string{"c"} })}, "in none of"},
		{[]Service{process("b"), with(process("a"), func(s *Service) { s.Milestone, s.Beside = []string{"b"}, []string{"b"} })}, "in none of"},
		{[]Service{process("b"), with(following("a", "b"), func(s *Service) { s.Beside, s.TTY = s.After, "/dev/tty1" })}, "without a terminal"},
		{[]Service{process("A")}, "a name is made of"},
		{[]Service{{Name: "a"}}, "either a Command or a Func"},
		{[]Service{with(process("a"), func(s *Service) { s.Command = []string{"sh"} })}, "absolute path"},
		{[]Service{with(oneshot("a"), func(s *Service) { s.Restart = Always })}, "is a process"},
	} {
		if _, err := NewPlan(c.list); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want one with %q", err, c.says)
		}
	}
}
