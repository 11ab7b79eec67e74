package supervise

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// start begins a run. Everything that it depends on is met.
func (e *Engine) start(n *node) {
	now := e.now()
	if n.firstMet == 0 {
		n.firstMet = now
	}
	n.gen++
	n.started = now
	n.exited, n.exit, n.asked, n.failText, n.skip, n.weak, n.text, n.claims = false, Exit{}, false, "", "", "", "", ""
	n.beside = len(n.svc.Beside) > 0
	e.to(n, control.Starting, "")
	if n.svc.Kind == Target {
		n.took = 0
		e.good(n, control.Done, "")
		return
	}
	e.event(n.svc.Name, control.Starting, "", false)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	e.arm(n, n.svc.startTimeout(), func() { e.startTimedOut(n) })
	if n.svc.Func != nil {
		e.runFunc(ctx, n)
		return
	}
	gen := n.gen
	proc, err := e.cfg.Runner.Start(&n.svc, e.cfg.Journal.Log(n.svc.Name), Handler{
		Notify: func(m notify.Message) {
			e.post(func() {
				if n.gen == gen {
					e.notified(n, m)
				}
			})
		},
		Exit: func(x Exit) {
			e.post(func() {
				if n.gen == gen {
					e.exited(n, x)
				}
			})
		},
	})
	if err != nil {
		n.exit = Exit{Err: err}
		e.gone(n)
		return
	}
	n.proc = proc
	switch {
	case n.svc.Kind != Process:
	case n.svc.Ready == ByStart:
		e.ready(n)
	case n.svc.Ready == ByProbe:
		e.spawn(func() { e.probeReady(ctx, n, gen) })
	}
}

// runFunc runs a function of PID 1 as a oneshot. A panic in it is its failure. It
// begins when all processes are started that can be: they have a time of their own,
// the function takes that of PID 1.
func (e *Engine) runFunc(ctx context.Context, n *node) {
	gen, f, log := n.gen, n.svc.Func, e.cfg.Journal.Log(n.svc.Name)
	e.funcs = append(e.funcs, func() {
		var err error
		func() {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic: %v", p)
					log.Write(debug.Stack())
				}
			}()
			err = f(ctx, log)
		}()
		log.Flush()
		e.post(func() {
			if n.gen == gen && !n.exited {
				var skip Skip
				if errors.As(err, &skip) {
					n.skip, err = string(skip), nil
				}
				n.exited, n.exit = true, Exit{Err: err}
				e.gone(n)
			}
		})
	})
}

// Skip is the error by which a Func says that it has nothing to do here.
type Skip string

func (s Skip) Error() string { return string(s) }

// notified takes one message from the service.
func (e *Engine) notified(n *node, m notify.Message) {
	switch m.Verb {
	case notify.VerbStatus:
		n.text = m.Text
	case notify.VerbReady:
		if m.Text != "" {
			n.text = m.Text
		}
		if n.svc.Kind == Process {
			e.ready(n)
		}
	case notify.VerbDegraded:
		n.weak = reasonOr(m.Text, "it did not say why")
		if n.svc.Kind == Process && (n.state == control.Starting || n.state == control.Ready || n.state == control.Degraded && n.reason != n.weak) {
			e.claim(n, control.Degraded)
		}
	case notify.VerbSkipped:
		n.skip = reasonOr(m.Text, "it did not say why")
	case notify.VerbCondition:
		if !slices.Contains(n.svc.Provides, m.Text) {
			e.event(n.svc.Name, "", fmt.Sprintf("raises condition %q, which is not its own: ignored", m.Text), false)
			return
		}
		e.setCondition(e.byName[m.Text], m.Up, "")
	}
}

func (e *Engine) ready(n *node) {
	if n.state == control.Starting || n.state == control.Degraded {
		e.claim(n, control.Ready)
	}
}

// claim takes a process at its word that it is ready or degraded. One that began beside
// others is believed when none of them is on its way any more: whoever comes after it
// comes after those too.
func (e *Engine) claim(n *node, s control.State) {
	n.claims = ""
	if list := n.awaited(); n.state == control.Starting && len(list) > 0 {
		n.claims, n.reason = s, "says that it is "+string(s)+", waits for "+describe(list)
		return
	}
	reason := ""
	if s == control.Degraded {
		reason = n.weak
	}
	e.good(n, s, reason)
}

// good notes that a service does its work or has done it.
func (e *Engine) good(n *node, s control.State, reason string) {
	now := e.now()
	first := n.state == control.Starting
	if first {
		n.took = now - n.started
		n.cancelTimer()
	}
	n.once = true
	if n.readyAt == 0 {
		n.readyAt = now
	}
	e.to(n, s, reason)
	text := seconds(n.took)
	switch {
	case s == control.Degraded, s == control.Skipped:
		text = reason
	case reason != "":
		text += "; " + reason
	case n.svc.Kind == Target, !first:
		text = ""
	}
	e.event(n.svc.Name, s, text, s == control.Degraded)
	if n.svc.Kind != Process {
		n.failures = 0
		return
	}
	if first {
		// Ready for so long: what was before is forgiven. A state that may last
		// has no deadline.
		e.arm(n, ResetAfter, func() { n.failures = 0 })
		n.deadline = 0
		if n.svc.Health != nil {
			e.watchHealth(n)
		}
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// startTimedOut fails a service that did not get ready in time, by name and
// with those around it.
func (e *Engine) startTimedOut(n *node) {
	var b strings.Builder
	verb := "ready"
	if n.svc.Kind == Oneshot {
		verb = "done"
	}
	fmt.Fprintf(&b, "not %s %s after it could start", verb, n.svc.startTimeout())
	var met []string
	for _, d := range n.deps {
		if d.n.readyAt > 0 {
			met = append(met, fmt.Sprintf("%s %s at %s", d.n.svc.Name, d.n.state, seconds(d.n.readyAt)))
		}
	}
	if len(met) > 0 {
		b.WriteString(" (" + strings.Join(met, ", ") + ")")
	}
	var held []string
	for _, d := range n.rdeps {
		if slices.Contains(d.n.blockers, n) {
			held = append(held, d.n.svc.Name)
		}
	}
	if len(held) > 0 {
		b.WriteString("; held up " + strings.Join(held, ", "))
	}
	if n.claims != "" {
		b.WriteString("; it " + n.reason)
	}
	if n.text != "" {
		b.WriteString("; it said last: " + n.text)
	}
	e.bringDown(n, b.String())
}

// bringDown ends a run that the supervisor itself holds for failed.
func (e *Engine) bringDown(n *node, why string) {
	n.failText = why
	e.event(n.svc.Name, control.Stopping, why, false)
	e.terminate(n, why)
}

// beginStop ends a run that is not wanted any more.
func (e *Engine) beginStop(n *node) {
	n.asked = true
	why := n.stopWhy
	if n.wanted && !n.restart {
		var broken []*node
		for _, d := range n.deps {
			if n.lost(d) {
				broken = append(broken, d.n)
			}
		}
		why = "needs " + describe(broken)
	}
	e.event(n.svc.Name, control.Stopping, why, false)
	e.terminate(n, why)
}

// terminate asks a run to end and kills it when it does not in time.
func (e *Engine) terminate(n *node, why string) {
	e.to(n, control.Stopping, why)
	if n.cancel != nil {
		n.cancel()
	}
	gen := n.gen
	e.arm(n, n.svc.stopTimeout(), func() {
		if n.proc == nil { // a function that does not come back: it is left alone
			e.event(n.svc.Name, "", "does not come back, left to itself inside PID 1", true)
			n.exited = true
			n.exit = Exit{Err: errors.New("did not come back when told to")}
			e.gone(n)
			return
		}
		e.event(n.svc.Name, "", fmt.Sprintf("did not end within %s: killed", n.svc.stopTimeout()), false)
		e.kill(n, gen)
	})
	if n.proc != nil {
		n.proc.Terminate()
	}
}

// kill ends everything of a run and then takes it for gone.
func (e *Engine) kill(n *node, gen int) {
	n.cancelTimer()
	n.deadline = e.now() + killSlack
	n.proc.Kill(func(left int) {
		e.post(func() {
			if n.gen != gen || n.proc == nil {
				return
			}
			if left > 0 {
				e.event(n.svc.Name, "", fmt.Sprintf("%d of its processes do not die; the kernel holds them, see /proc/*/stack", left), true)
				n.exited = true // its exit will never be told
			}
			if n.exited { // else everything is dead and the exit status is on its way
				e.gone(n)
			}
		})
	})
}

// killSlack is how long a kill may take before it counts as no progress.
const killSlack = 20 * time.Second

// exited takes the end of the program itself; what it started may live on.
func (e *Engine) exited(n *node, x Exit) {
	if n.exited || n.proc == nil {
		return
	}
	n.exited, n.exit = true, x
	if n.state != control.Stopping {
		e.to(n, control.Stopping, "ended with "+x.String())
	}
	if n.cancel != nil {
		n.cancel()
	}
	e.kill(n, n.gen)
}

// gone decides what follows when nothing of a run is left.
func (e *Engine) gone(n *node) {
	n.cancelTimer()
	if n.cancel != nil {
		n.cancel()
		n.cancel = nil
	}
	n.proc = nil
	x := n.exit
	n.lastExit = x.String()
	text := n.lastExit
	if n.failText != "" {
		text = n.failText
	}
	switch {
	case n.asked:
		e.idle(n)
		e.event(n.svc.Name, control.Stopped, "", false)
	case n.failText != "" || !x.ok():
		e.failed(n, text, n.failText == "" && x.Code == ExitPermanent)
	case n.svc.Kind == Oneshot && n.skip != "":
		n.took = e.now() - n.started
		e.good(n, control.Skipped, n.skip)
	case n.svc.Kind == Oneshot:
		n.took = e.now() - n.started
		n.state = control.Starting // for good: this is the end of the start
		e.good(n, control.Done, n.weak)
	case n.svc.Restart == Always:
		e.failed(n, text+", though it is to stay", false)
	case n.skip != "":
		e.good(n, control.Skipped, n.skip)
	default:
		text = reasonOr(n.weak, reasonOr(n.text, text)) // its last words say more than a status of 0
		e.to(n, control.Done, text)
		e.event(n.svc.Name, control.Done, text, false)
	}
}

// failed decides between another start and failure for good.
func (e *Engine) failed(n *node, text string, permanent bool) {
	n.failures++
	n.lastLog = e.cfg.Journal.Log(n.svc.Name).Tail(n.started, 10, 2<<10)
	switch {
	case !n.wanted:
		e.idle(n)
	case permanent:
		e.fail(n, text+": it says that another start is useless")
	case n.svc.Restart == Never:
		e.fail(n, text)
	case n.svc.GiveUpAfter > 0 && n.failures >= n.svc.GiveUpAfter:
		e.fail(n, fmt.Sprintf("%s; given up after %d failures in a row", text, n.failures))
	default:
		d := e.backoff(n.failures)
		reason := text
		if n.failures >= CrashLoopAfter {
			reason = fmt.Sprintf("crash loop, %d failures in a row: %s", n.failures, text)
		}
		e.to(n, control.Backoff, reason)
		e.arm(n, d, func() {
			n.restarts++
			e.to(n, control.Stopped, "")
		})
		n.until = n.since + d
		e.event(n.svc.Name, control.Backoff, fmt.Sprintf("%s; again in %s", reason, seconds(d)),
			n.failures == 1 || n.failures == CrashLoopAfter)
	}
}

func (e *Engine) fail(n *node, text string) {
	e.to(n, control.Failed, text)
	e.event(n.svc.Name, control.Failed, text, true)
}

// backoff returns how long to wait after so many failures in a row: 0.2 s that
// doubles up to 60 s, less up to a quarter so that machines of a rack do not
// beat in time.
func (e *Engine) backoff(failures int) time.Duration {
	d := BackoffMax
	if failures < 10 {
		d = min(BackoffMax, BackoffMin<<(failures-1))
	}
	return d - time.Duration(e.cfg.Jitter()*float64(d)/4)
}
