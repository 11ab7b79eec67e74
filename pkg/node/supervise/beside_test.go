package supervise

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// TestStartsBesideWhatItNeeds: it runs while that is on its way, in its turn or
// blocked itself, and only then; who comes after it waits until it is ready.
func TestStartsBesideWhatItNeeds(t *testing.T) {
	early := needing("sshd", "keys")
	early.Beside = []string{"keys"}
	keys := with(oneshot("keys"), func(s *Service) { s.Wants = []string{"settings"}; s.Restart = UntilSuccess })
	list := []Service{oneshot("settings"), keys, early, following("audit", "sshd")}
	bubble(t, list, scripts{"settings": silent, "keys": silent, "sshd": silent}, func(g *rig) {
		g.is("keys", control.Blocked)
		g.is("sshd", control.Starting)
		g.is("audit", control.Blocked)
		g.last("settings").exit(Exit{})
		synctest.Wait()
		g.is("keys", control.Starting)
		g.last("keys").exit(Exit{Code: 1})
		synctest.Wait()
		g.is("keys", control.Backoff) // and comes back: sshd waits on
		g.is("sshd", control.Starting)
		g.after(time.Second)
		g.last("keys").exit(Exit{})
		g.last("sshd").say("ready")
		synctest.Wait()
		g.is("sshd", control.Ready)
		g.is("audit", control.Ready)
		if n := len(g.r.procs["sshd"]); n != 1 {
			t.Errorf("sshd was started %d times", n)
		}
		// What is stopped on purpose is needed as ever.
		if err := g.Stop(g.t.Context(), "keys", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		g.is("sshd", control.Blocked)
	})
}

// TestStartsBesideWhatItWants: the one that is wanted begins first, and those
// that do not begin beside it wait for its end.
func TestStartsBesideWhatItWants(t *testing.T) {
	wanting := func(name string, early bool) Service {
		return with(process(name), func(s *Service) {
			if s.Wants = []string{"localmount"}; early {
				s.Beside = s.Wants
			}
		})
	}
	list := []Service{oneshot("localmount"), wanting("network", true), wanting("coldplug", false)}
	bubble(t, list, scripts{"localmount": silent}, func(g *rig) {
		g.is("localmount", control.Starting)
		g.is("network", control.Starting)
		g.is("coldplug", control.Blocked)
		g.last("localmount").exit(Exit{Code: 1})
		synctest.Wait()
		g.is("network", control.Ready)
		g.is("coldplug", control.Ready)
		if n := len(g.r.procs["network"]); n != 1 {
			t.Errorf("network was started %d times", n)
		}
	})
}

// TestBesideIsNotReadyFirst: it is believed when that is through beside which it began, and
// who comes after it waits as long. That which failed holds nobody.
func TestBesideIsNotReadyFirst(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		end  Exit
		want control.State
	}{
		"ready":               {"ready", Exit{}, control.Ready},
		"degraded":            {"degraded half of it", Exit{}, control.Degraded},
		"what it needs fails": {"ready", Exit{Code: 1}, control.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			early := with(needing("sshd", "keys"), func(s *Service) { s.Beside = []string{"keys"} })
			keys := with(oneshot("keys"), func(s *Service) { s.Restart = UntilSuccess })
			bubble(t, []Service{keys, early, following("audit", "sshd")}, scripts{"keys": silent, "sshd": silent}, func(g *rig) {
				g.last("sshd").say(c.says)
				synctest.Wait()
				g.is("sshd", control.Starting)
				g.is("audit", control.Blocked)
				if s, err := g.Status(g.t.Context(), "sshd"); err != nil || s.Reason != "says that it is "+string(c.want)+", waits for keys (starting)" {
					t.Errorf("svc status says %q, %v", s.Reason, err)
				}
				g.last("keys").exit(c.end)
				synctest.Wait()
				g.is("sshd", c.want)
				g.is("audit", control.Ready)
				if s, err := g.Status(g.t.Context(), "sshd"); err != nil || s.Reason != strings.TrimPrefix(strings.TrimPrefix(c.says, "degraded "), "ready") {
					t.Errorf("svc status says %q afterwards, %v", s.Reason, err)
				}
			})
		})
	}
}

// TestBesideWaitsTooLong: it is told by name for whom it waited, and starts anew.
func TestBesideWaitsTooLong(t *testing.T) {
	early := with(needing("sshd", "keys"), func(s *Service) { s.Beside, s.StartTimeout = []string{"keys"}, 3*time.Second })
	bubble(t, []Service{oneshot("keys"), early}, scripts{"keys": silent, "sshd": silent}, func(g *rig) {
		g.last("sshd").say("ready")
		g.after(3100 * time.Millisecond)
		g.is("sshd", control.Backoff)
		if !g.said("not ready 3s after it could start; it says that it is ready, waits for keys (starting)") {
			t.Errorf("events: %v", g.events)
		}
		g.after(time.Second) // started again; what the former run said does not count
		g.is("sshd", control.Starting)
		g.last("keys").exit(Exit{})
		synctest.Wait()
		g.is("sshd", control.Starting)
		g.last("sshd").say("ready")
		synctest.Wait()
		g.is("sshd", control.Ready)
	})
}

// TestProceed: its standard input ends once, when the last of those is through beside
// which it began, whatever became of it; what it waits for as others do is not among them.
func TestProceed(t *testing.T) {
	for name, c := range map[string]struct {
		drivers scripts
		end     func(g *rig)
	}{
		"ready":                     {scripts{"coldplug": silent}, func(g *rig) { g.last("coldplug").say("ready") }},
		"fails and will come again": {scripts{"coldplug": silent}, func(g *rig) { g.last("coldplug").exit(Exit{Code: 1}) }},
		"hangs":                     {scripts{"coldplug": clinging}, func(g *rig) { g.after(DefaultStartTimeout + DefaultStopTimeout + time.Second) }},
		"stopped": {scripts{"coldplug": silent}, func(g *rig) {
			if err := g.Stop(g.t.Context(), "coldplug", ""); err != nil {
				g.t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			audit := with(oneshot("audit"), func(s *Service) {
				s.Wants, s.After, s.Beside, s.StartTimeout = []string{"coldplug"}, []string{"nvidia", "sshd"}, []string{"coldplug", "nvidia"}, time.Hour
			})
			c.drivers["nvidia"], c.drivers["sshd"], c.drivers["audit"] = silent, silent, silent
			bubble(t, []Service{process("coldplug"), oneshot("nvidia"), process("sshd"), audit}, c.drivers, func(g *rig) {
				g.is("audit", control.Blocked)
				g.last("sshd").say("ready")
				synctest.Wait()
				g.is("audit", control.Starting)
				g.last("nvidia").exit(Exit{})
				synctest.Wait()
				if p := g.last("audit"); p.proceeds != 0 {
					t.Fatal("it was told to go on while coldplug was on its way")
				}
				c.end(g)
				synctest.Wait()
				g.is("audit", control.Starting)
				if p := g.last("audit"); p.proceeds != 1 {
					t.Errorf("it was told %d times to go on", p.proceeds)
				}
				g.last("audit").exit(Exit{})
				synctest.Wait()
				g.is("audit", control.Done)
			})
		})
	}
}

// TestProceedAtOnce: one that is started when all are through is told at once, at every
// start anew.
func TestProceedAtOnce(t *testing.T) {
	audit := with(following("audit", "coldplug"), func(s *Service) { s.Beside = s.After })
	bubble(t, []Service{process("coldplug"), audit}, scripts{}, func(g *rig) {
		for want := 1; want <= 2; want++ {
			if l := g.r.procs["audit"]; len(l) != want || l[want-1].proceeds != 1 {
				t.Fatalf("start %d: %d processes", want, len(l))
			}
			if err := g.Restart(g.t.Context(), "audit", ""); err != nil {
				t.Fatal(err)
			}
			g.after(time.Second)
		}
	})
}

// TestProcessesBeginBeforeFunctions: what runs inside PID 1 takes its time, which is
// short when everything is to be started.
func TestProcessesBeginBeforeFunctions(t *testing.T) {
	early := with(needing("network", "localmount"), func(s *Service) { s.Beside = []string{"localmount"} })
	var started, before []string
	ready := func(p *fakeProc, _ int) {
		time.Sleep(time.Millisecond) // whatever was begun runs meanwhile
		started = append(started, p.s.Name)
		p.say("ready")
	}
	local := Service{Name: "localmount", Kind: Oneshot, Func: func(context.Context, io.Writer) error {
		before = slices.Clone(started)
		return nil
	}}
	bubble(t, []Service{local, early, process("other")}, scripts{"network": ready, "other": ready}, func(g *rig) {
		g.after(10 * time.Millisecond)
		g.is("network", control.Ready)
		if !slices.Equal(before, []string{"network", "other"}) {
			t.Errorf("before the function %q were started", before)
		}
	})
}

// TestBesideWhatIsNotOnItsWay: what is not on its way is not waited for with a process.
func TestBesideWhatIsNotOnItsWay(t *testing.T) {
	early := with(needing("sshd", "keys"), func(s *Service) { s.Beside = []string{"keys"} })
	for name, keys := range map[string]Service{
		"failed":   with(oneshot("keys"), func(s *Service) { s.Restart = Never }),
		"disabled": with(oneshot("keys"), func(s *Service) { s.Disabled = "not here" }),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, []Service{keys, early}, scripts{"keys": exits(1)}, func(g *rig) {
				g.is("sshd", control.Blocked)
				if l := g.r.procs["sshd"]; len(l) > 0 && !l[len(l)-1].ended {
					t.Error("it runs")
				}
			})
		})
	}
}
