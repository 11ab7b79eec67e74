package supervise

import (
	"context"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// node is one service and what has become of it. Only the engine's loop
// touches it.
type node struct {
	svc   Service
	deps  []dep // whom it depends on
	rdeps []dep // who depends on it
	last  bool  // goes down after all that are not last

	wanted  bool // up
	restart bool // is to go down once, and come back
	stopWhy string

	state    control.State
	reason   string
	since    time.Duration // uptimes, here and below
	until    time.Duration // end of the backoff
	deadline time.Duration // by when the state must have ended; 0: it may last
	blockers []*node
	down     bool // worked out by settle: it must not run now

	// The run at hand. gen tells its messages from those of an earlier one.
	gen      int
	proc     Running            // nil: none
	cancel   context.CancelFunc // of the run's goroutines: function, probes
	timer    *time.Timer
	exited   bool
	exit     Exit
	asked    bool          // to stop: its end is no failure
	failText string        // why the supervisor itself ended it; a failure
	skip     string        // it said that it has nothing to do
	weak     string        // it said that it is degraded
	claims   control.State // ready or degraded, as it says, before those were whom it comes after; empty: neither
	beside   bool          // it was not told yet that those are through beside which it began

	// Its history.
	text      string // what it said of itself last
	once      bool   // was ready or done
	restarts  int
	failures  int // in a row
	lastExit  string
	lastLog   []string
	firstMet  time.Duration // its dependencies were met for the first time
	started   time.Duration // last start
	readyAt   time.Duration // first time
	took      time.Duration // last start to ready or done
	settledAt time.Duration // for the first time it held nobody up any more
	mourned   bool          // OnCritical was called for it
}

type dep struct {
	kind edgeKind
	n    *node
}

func newNode(s *Service, now time.Duration) *node {
	return &node{svc: *s, state: control.Stopped, since: now, wanted: s.Kind == Condition}
}

func (n *node) link(kind edgeKind, to *node) {
	n.deps = append(n.deps, dep{kind, to})
	to.rdeps = append(to.rdeps, dep{kind, n})
}

// active reports whether something of it runs.
func (n *node) active() bool {
	switch n.state {
	case control.Starting, control.Ready, control.Degraded, control.Stopping:
		return n.svc.Kind == Process || n.svc.Kind == Oneshot
	}
	return false
}

// satisfied reports whether it is what a need asks for.
func (n *node) satisfied() bool {
	switch n.state {
	case control.Ready, control.Degraded, control.Done, control.Skipped:
		return !n.down
	}
	return false
}

// broken reports whether a service that needs n must not run on. One that fell
// by itself and is coming back breaks nothing.
func (n *node) broken() bool {
	if n.down {
		return true
	}
	switch n.state {
	case control.Stopped, control.Disabled, control.Failed:
		return true
	case control.Stopping:
		return n.asked
	case control.Blocked:
		return true
	}
	return false
}

// moving reports whether it is on its way to an end, so that who wants it
// waits. What waits for a condition, or for something that failed, may wait
// for ever and holds nobody up.
func (n *node) moving() bool {
	switch n.state {
	case control.Starting:
		return true
	case control.Stopping:
		return n.failText == "" && (n.wanted || n.exited)
	case control.Blocked, control.Stopped:
		if !n.wanted || n.svc.Kind == Condition {
			return false
		}
		for _, b := range n.blockers {
			if !b.moving() {
				return false
			}
		}
		return true
	}
	return false
}

func (n *node) cancelTimer() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
	n.deadline = 0
}

// to changes the state. It makes no event: the caller knows what to say.
func (e *Engine) to(n *node, s control.State, reason string) {
	n.state, n.reason, n.since = s, reason, e.now()
	if s != control.Backoff {
		n.until = 0
	}
	if s != control.Blocked {
		n.blockers = nil
	}
	switch s {
	case control.Ready, control.Degraded, control.Done, control.Skipped, control.Failed, control.Backoff:
		if n.settledAt == 0 {
			n.settledAt = n.since
		}
	}
}

// arm sets the timer of the state at hand.
func (e *Engine) arm(n *node, d time.Duration, f func()) {
	n.cancelTimer()
	gen, timer := n.gen, (*time.Timer)(nil)
	timer = e.after(d, func() {
		if n.gen == gen && n.timer == timer {
			n.timer, n.deadline = nil, 0
			f()
		}
	})
	n.timer, n.deadline = timer, e.now()+d
}
