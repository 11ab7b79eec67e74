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

// TestEarlyStartsBesideWhatItNeeds: it runs while that is on its way, in its turn or
// blocked itself, and only then; who comes after it waits until it is ready.
func TestEarlyStartsBesideWhatItNeeds(t *testing.T) {
	early := needing("sshd", "keys")
	early.Early = true
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

// TestEarlyStartsBesideWhatItWants: the one that is wanted begins first, and those
// that are not early wait for its end.
func TestEarlyStartsBesideWhatItWants(t *testing.T) {
	wanting := func(name string, early bool) Service {
		return with(process(name), func(s *Service) { s.Wants, s.Early = []string{"localmount"}, early })
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

// TestEarlyIsNotReadyFirst: it is believed when that is through beside which it began, and
// who comes after it waits as long. That which failed holds nobody.
func TestEarlyIsNotReadyFirst(t *testing.T) {
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
			early := with(needing("sshd", "keys"), func(s *Service) { s.Early = true })
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

// TestEarlyThatWaitsTooLong: it is told by name for whom it waited, and starts anew.
func TestEarlyThatWaitsTooLong(t *testing.T) {
	early := with(needing("sshd", "keys"), func(s *Service) { s.Early, s.StartTimeout = true, 3*time.Second })
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

// TestProcessesBeginBeforeFunctions: what runs inside PID 1 takes its time, which is
// short when everything is to be started.
func TestProcessesBeginBeforeFunctions(t *testing.T) {
	early := with(needing("network", "localmount"), func(s *Service) { s.Early = true })
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

// TestEarlyWithoutWhatItNeeds: what is not on its way is not waited for with a process.
func TestEarlyWithoutWhatItNeeds(t *testing.T) {
	early := with(needing("sshd", "keys"), func(s *Service) { s.Early = true })
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
