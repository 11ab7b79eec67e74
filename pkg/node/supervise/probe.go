package supervise

import (
	"context"
	"fmt"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// Backoff of the probe for readiness.
const (
	probeMin = 20 * time.Millisecond
	probeMax = time.Second
)

// check runs a probe once.
func (e *Engine) check(ctx context.Context, s *Service, p *Probe) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout())
	defer cancel()
	if p.Func == nil {
		return e.cfg.Runner.Check(ctx, s, p.Command)
	}
	return p.Func(ctx)
}

// probeReady tries the probe until it passes or the run is over.
func (e *Engine) probeReady(ctx context.Context, n *node, gen int) {
	for wait := probeMin; ; wait = min(2*wait, probeMax) {
		err := e.check(ctx, &n.svc, n.svc.Probe)
		if ctx.Err() != nil {
			return
		}
		e.post(func() {
			switch {
			case n.gen != gen:
			case err == nil:
				e.ready(n)
			default:
				n.text = "probe: " + err.Error()
			}
		})
		if err == nil || !pause(ctx, wait) {
			return
		}
	}
}

// watchHealth checks a service for as long as its run lasts and brings it down
// when it is in bad health.
func (e *Engine) watchHealth(n *node) {
	ctx, cancel := context.WithCancel(context.Background())
	former, gen := n.cancel, n.gen
	n.cancel = func() { former(); cancel() }
	p := n.svc.Health
	e.spawn(func() {
		for bad := 0; pause(ctx, p.interval()); {
			err := e.check(ctx, &n.svc, p)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				bad = 0
				continue
			}
			if bad++; bad < p.failures() {
				continue
			}
			e.post(func() {
				if n.gen == gen && (n.state == control.Ready || n.state == control.Degraded) {
					e.bringDown(n, fmt.Sprintf("in bad health, %d checks in a row: %v", bad, err))
				}
			})
			return
		}
	})
}

// pause waits; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
