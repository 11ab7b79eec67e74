package supervise

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// List returns every service and condition, in the order of the list.
func (e *Engine) List(ctx context.Context) (out []control.Status, err error) {
	err = e.call(ctx, func() error {
		for _, n := range e.listed {
			out = append(out, e.status(n))
		}
		return nil
	})
	return out, err
}

// Status returns one service.
func (e *Engine) Status(ctx context.Context, name string) (out control.Status, err error) {
	err = e.call(ctx, func() error {
		n, err := e.find(name)
		if err == nil {
			out = e.status(n)
		}
		return err
	})
	return out, err
}

func (e *Engine) status(n *node) control.Status {
	clock := e.cfg.Journal.Clock()
	log := e.cfg.Journal.Log(n.svc.Name)
	s := control.Status{
		Name: n.svc.Name, Kind: n.svc.Kind.String(), Summary: n.svc.Summary,
		Wanted: control.Down, State: n.state, Reason: n.reason, Text: n.text,
		Since: clock.Wall(n.since), Until: clock.Wall(n.until),
		Restarts: n.restarts, Failures: n.failures, CrashLoop: n.failures >= CrashLoopAfter,
		StartedAt: clock.Wall(n.started), ReadyAfter: n.took, ReadyAt: n.readyAt,
		LastExit: n.lastExit, LastLog: n.lastLog, LogDropped: log.Dropped(),
		Critical: n.svc.Critical, Internal: n.svc.Func != nil, Command: n.svc.Command,
		Needs: n.svc.Needs, Wants: n.svc.Wants, After: n.svc.After, Milestone: n.svc.Milestone, Provides: n.svc.Provides,
	}
	if n.wanted {
		s.Wanted = control.Up
	}
	for _, b := range n.blockers {
		s.Blockers = append(s.Blockers, b.svc.Name)
	}
	for _, d := range n.rdeps {
		if d.kind == needs || d.kind == milestone {
			s.NeededBy = append(s.NeededBy, d.n.svc.Name)
		}
	}
	if n.proc != nil {
		s.PID, s.Memory = n.proc.PID(), n.proc.Memory()
	}
	return s
}

// Why explains one service: those who hold it up, each followed by its own,
// and its latest events.
func (e *Engine) Why(ctx context.Context, name string) (out control.Why, err error) {
	err = e.call(ctx, func() error {
		n, err := e.find(name)
		if err != nil {
			return err
		}
		out.Status = e.status(n)
		seen := map[*node]bool{n: true}
		var walk func(n *node)
		walk = func(n *node) {
			// Of a condition its provider is the one to look at.
			var next []*node
			if n.svc.Kind == Condition && n.state != control.Ready {
				for _, d := range n.deps {
					next = append(next, d.n)
				}
			}
			for _, b := range append(next, n.blockers...) {
				if !seen[b] {
					seen[b] = true
					out.Chain = append(out.Chain, e.status(b))
					walk(b)
				}
			}
		}
		walk(n)
		out.Events = e.cfg.Journal.Events(name, 10)
		return nil
	})
	return out, err
}

// Blame tells where the boot's time went; the chain is that of the service
// named.
func (e *Engine) Blame(ctx context.Context, name string) (out control.Blame, err error) {
	err = e.call(ctx, func() error {
		n, err := e.find(name)
		if err != nil {
			return err
		}
		out = control.Blame{PID1: e.cfg.PID1, BroughtUp: e.cfg.BroughtUp, Settled: e.settledAt}
		for ; n != nil; n = n.gate() {
			out.Chain = append(out.Chain, n.blame())
		}
		for _, n := range e.listed {
			if n.svc.Kind != Condition && n.firstMet > 0 {
				out.Services = append(out.Services, n.blame())
			}
		}
		slices.SortStableFunc(out.Services, func(a, b control.BlameEntry) int { return cmp.Compare(b.Took, a.Took) })
		return nil
	})
	return out, err
}

// gate returns the one among its dependencies that let n start: the last to
// hold it up. nil: it could start at once.
func (n *node) gate() *node {
	var gate *node
	var at time.Duration
	for _, d := range n.deps {
		t := d.n.settledAt
		if d.kind == wants || d.kind == after {
			if t > n.firstMet { // it went on without
				continue
			}
		}
		if t > at {
			gate, at = d.n, t
		}
	}
	return gate
}

func (n *node) blame() control.BlameEntry {
	b := control.BlameEntry{Name: n.svc.Name, State: n.state, Met: n.firstMet, Ready: n.readyAt}
	switch {
	case n.svc.Kind == Condition:
		b.Met = n.readyAt
	case n.readyAt > 0:
		b.Took = n.readyAt - n.firstMet
	case n.settledAt > 0: // the time that it took to fail
		b.Took = n.settledAt - n.firstMet
	}
	return b
}
