package supervise

import (
	"context"
	"errors"
	"fmt"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
)

// Arbiter owns the machine's console and lends it out.
type Arbiter interface {
	// Take makes the caller the owner until release, or until lost is closed.
	Take() (lost <-chan struct{}, release func())
	// Release takes the console away from whoever owns it.
	Release()
}

// Backend answers the control socket: an engine, its journal, the console and
// the way down. It implements control.Backend.
type Backend struct {
	*Engine
	Console Arbiter
	// Down begins to leave the machine; it returns when that is under way.
	Down func(a control.Action, reason string) error
}

// Blame is that of the engine; without a name the chain is sshd's, which is
// what a boot is about, else that of the last in the list.
func (b Backend) Blame(ctx context.Context, service string) (control.Blame, error) {
	if service == "" {
		service = "sshd"
		if b.byName[service] == nil {
			service = b.listed[len(b.cfg.Plan.services)-1].svc.Name
		}
	}
	return b.Engine.Blame(ctx, service)
}

var errSlow = errors.New("too slow a reader: lines were lost, ask again")

// Log implements control.Backend.
func (b Backend) Log(ctx context.Context, r control.Request, emit func(control.LogLine) error) error {
	return stream(ctx, b, r, b.cfg.Journal.Lines, b.cfg.Journal.FollowLines, emit)
}

// Events implements control.Backend.
func (b Backend) Events(ctx context.Context, r control.Request, emit func(control.Event) error) error {
	return stream(ctx, b, r, b.cfg.Journal.Events, b.cfg.Journal.FollowEvents, emit)
}

func stream[T any](ctx context.Context, b Backend, r control.Request, get func(string, int) []T,
	follow func(string, int) ([]T, *journal.Follower[T]), emit func(T) error) error {
	if r.Service != "" && r.Service != journal.PID1 && b.byName[r.Service] == nil {
		return fmt.Errorf("no service is called %q; svc list shows them, %q is PID 1 itself", r.Service, journal.PID1)
	}
	if !r.Follow {
		return emitAll(get(r.Service, r.Lines), emit)
	}
	past, f := follow(r.Service, r.Lines)
	defer f.Stop()
	if err := emitAll(past, emit); err != nil {
		return err
	}
	for {
		select {
		case v, ok := <-f.C():
			if !ok {
				return errSlow
			}
			if err := emit(v); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func emitAll[T any](list []T, emit func(T) error) error {
	for _, v := range list {
		if err := emit(v); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown implements control.Backend.
func (b Backend) Shutdown(_ context.Context, a control.Action, reason string) error {
	return b.Down(a, reason)
}

// TakeConsole implements control.Backend.
func (b Backend) TakeConsole() (<-chan struct{}, func()) { return b.Console.Take() }

// ReleaseConsole implements control.Backend.
func (b Backend) ReleaseConsole() { b.Console.Release() }
