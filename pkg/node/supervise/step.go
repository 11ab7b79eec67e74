package supervise

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
)

// settle brings every service as far as it can go now, then answers those who
// wait for it.
func (e *Engine) settle() {
	// A pass goes from dependencies to dependents, so that one is nearly always
	// enough; stops travel the other way and need more. The bound is there
	// against a rule that contradicts another: PID 1 must not spin.
	for range 4*len(e.ordered) + 4 {
		changed := false
		for _, n := range e.ordered {
			if e.step(n) {
				changed = true
			}
		}
		if !changed {
			break
		}
	}
	for _, f := range e.funcs {
		e.spawn(f)
	}
	e.funcs = nil
	e.waiters = slices.DeleteFunc(e.waiters, func(w waiter) bool {
		met := w.met()
		if met {
			close(w.done)
		}
		return met
	})
	e.checkSettled()
	e.checkCritical()
}

// step takes one service one step and reports whether anything changed.
func (e *Engine) step(n *node) bool {
	if n.svc.Kind == Condition {
		return e.stepCondition(n)
	}
	n.down = !n.wanted || n.restart || slices.ContainsFunc(n.deps, n.lost)
	switch n.state {
	case control.Stopped, control.Blocked:
		return e.stepIdle(n)
	case control.Starting, control.Ready, control.Degraded:
		if n.down && !e.heldUp(n) {
			e.beginStop(n)
			return true
		}
		if n.beside && n.proc != nil && len(n.awaited()) == 0 {
			n.beside = false
			n.proc.Proceed()
		}
		if n.claims != "" {
			e.claim(n, n.claims)
			return n.claims == ""
		}
	case control.Backoff:
		if n.down {
			n.cancelTimer()
			e.idle(n)
			return true
		}
	case control.Done, control.Skipped:
		if n.down && !e.heldUp(n) {
			e.idle(n)
			return true
		}
	case control.Failed:
		if n.restart || !n.wanted {
			e.idle(n)
			return true
		}
	case control.Disabled:
		n.restart = false
	}
	return false
}

// stepIdle is step for a service of which nothing runs.
func (e *Engine) stepIdle(n *node) bool {
	n.restart = false
	if !n.wanted {
		if n.state == control.Blocked {
			e.to(n, control.Stopped, n.stopWhy)
			return true
		}
		return false
	}
	blockers := n.findBlockers()
	if len(blockers) == 0 {
		e.start(n)
		return true
	}
	changed := n.state != control.Blocked || !slices.Equal(n.blockers, blockers)
	if n.state != control.Blocked {
		e.to(n, control.Blocked, "")
	}
	n.blockers = blockers
	n.reason = "waits for " + describe(blockers)
	return changed
}

// idle puts a service where nothing runs: stopped, or waiting to start again.
func (e *Engine) idle(n *node) {
	n.restart = false
	if n.wanted {
		e.to(n, control.Blocked, "")
		n.blockers = n.findBlockers()
		n.reason = "waits for " + describe(n.blockers)
		return
	}
	e.to(n, control.Stopped, n.stopWhy)
}

// findBlockers lists those for whom n has to wait.
func (n *node) findBlockers() []*node {
	var out []*node
	for _, d := range n.deps {
		wait := false
		switch d.kind {
		case needs:
			wait = !d.n.satisfied() && !n.awaits(d.n)
		case milestone:
			wait = !d.n.once
		case wants, after:
			wait = d.n.moving() && !n.awaits(d.n)
		}
		if wait {
			out = append(out, d.n)
		}
	}
	return out
}

// lost reports whether d is why n must not run.
func (n *node) lost(d dep) bool { return d.kind == needs && d.n.broken() && !n.awaits(d.n) }

// awaits reports whether n, which comes after o, starts beside it.
func (n *node) awaits(o *node) bool { return slices.Contains(n.svc.Beside, o.svc.Name) && o.moving() }

// awaited lists those beside whom n started and who are not through yet.
func (n *node) awaited() []*node {
	var out []*node
	for _, d := range n.deps {
		if n.awaits(d.n) {
			out = append(out, d.n)
		}
	}
	return out
}

// heldUp reports whether others must be gone before n may go: those that need
// it; when the machine goes down all that come after it.
func (e *Engine) heldUp(n *node) bool {
	for _, d := range n.rdeps {
		if (d.kind == needs || e.shutdown) && d.n.active() {
			return true
		}
		// Who depends on a condition depends on him who raises it.
		if d.kind == provider && e.heldUp(d.n) {
			return true
		}
	}
	if e.shutdown && n.last {
		return slices.ContainsFunc(e.listed, func(o *node) bool { return !o.last && o.active() })
	}
	return false
}

// markLast marks those that go last on shutdown, and whom they depend on: the
// network has to outlive the log shipper.
func (e *Engine) markLast() {
	var mark func(n *node)
	mark = func(n *node) {
		if n.last {
			return
		}
		n.last = true
		for _, d := range n.deps {
			mark(d.n)
		}
	}
	for _, n := range e.listed {
		if n.svc.StopLast {
			mark(n)
		}
	}
}

// stepCondition lowers a condition whose provider is gone for good or on
// purpose: nobody vouches for it. A provider that fell and is coming back
// leaves it as it was.
func (e *Engine) stepCondition(n *node) bool {
	n.down = false
	for _, d := range n.deps { // at most one: its provider
		p := d.n
		n.down = p.down
		switch p.state {
		case control.Stopped, control.Blocked, control.Failed, control.Disabled, control.Done:
			if n.state == control.Ready {
				e.setCondition(n, false, p.svc.Name+", which raises it, is "+string(p.state))
				return true
			}
		}
	}
	return false
}

func (e *Engine) setCondition(n *node, up bool, why string) {
	if up == (n.state == control.Ready) {
		return
	}
	if up {
		n.once = true
		if n.readyAt == 0 {
			n.readyAt = e.now()
		}
		e.to(n, control.Ready, why)
		e.event(n.svc.Name, control.Ready, why, false)
		return
	}
	e.to(n, control.Stopped, reasonOr(why, "does not hold"))
	e.event(n.svc.Name, control.Stopped, n.reason, false)
}

// describe names services and what they are in, with the chain behind them:
// "sshsetup (failed: exit status 1)".
func describe(list []*node) string {
	parts := make([]string, len(list))
	for i, n := range list {
		parts[i] = n.describe(0)
	}
	return strings.Join(parts, ", ")
}

func (n *node) describe(depth int) string {
	s := n.svc.Name + " (" + string(n.state)
	switch {
	case n.svc.Kind == Condition && n.state != control.Ready:
		s = n.svc.Name + " (does not hold"
	case n.state == control.Blocked && len(n.blockers) > 0 && depth < 8:
		s += " on "
		for i, b := range n.blockers {
			if i > 0 {
				s += ", "
			}
			s += b.describe(depth + 1)
		}
	case n.reason != "" && (n.state == control.Failed || n.state == control.Backoff || n.state == control.Disabled):
		s += ": " + n.reason
	}
	return s + ")"
}

// checkSettled notes the moment at which nothing of the boot is on its way any
// more and says what did not come up.
func (e *Engine) checkSettled() {
	if !e.booted || e.settledAt > 0 || e.shutdown {
		return
	}
	for _, n := range e.ordered {
		if n.moving() {
			return
		}
	}
	e.settledAt = e.now()
	var good, bad int
	var failed []string
	for _, n := range e.listed {
		switch {
		case n.svc.Kind == Condition || n.state == control.Disabled:
		case n.state.Good() || n.state == control.Degraded:
			good++
		default:
			bad++
			failed = append(failed, n.describe(0))
		}
	}
	text := fmt.Sprintf("boot settled %.3f s after PID 1 began: %d services up", (e.settledAt - e.cfg.PID1).Seconds(), good)
	if bad > 0 {
		text += fmt.Sprintf(", %d not: %s", bad, strings.Join(failed, "; "))
	}
	e.event(journal.PID1, "", text, false)
}

// checkCritical raises the alarm, once each, for a critical service that
// cannot come up any more.
func (e *Engine) checkCritical() {
	if e.shutdown {
		return
	}
	for _, n := range e.ordered {
		if !n.svc.Critical || n.mourned || !n.wanted {
			continue
		}
		if culprit := n.doomed(0); culprit != nil {
			n.mourned = true
			reason := culprit.describe(0)
			if culprit != n {
				e.event(n.svc.Name, control.Blocked, "cannot start: held up by "+n.describe(0), true)
			}
			e.cfg.OnCritical(n.svc.Name, reason)
		}
	}
}

// doomed returns who failed for good, of n and those that it cannot do
// without; nil: nobody.
func (n *node) doomed(depth int) *node {
	if n.state == control.Failed {
		return n
	}
	if n.state == control.Blocked && depth < 32 {
		for _, b := range n.blockers {
			if c := b.doomed(depth + 1); c != nil {
				return c
			}
		}
	}
	return nil
}
