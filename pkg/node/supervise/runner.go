package supervise

import (
	"context"
	"fmt"
	"syscall"

	"github.com/bee-os/bee/pkg/node/supervise/journal"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// Runner is what the engine needs of an operating system. Package proc has the
// real one.
type Runner interface {
	// Start starts the service's program in a session and a cgroup of its
	// own, its output going to log. What becomes of it is told through h, from
	// any goroutine: notify lines first, then one Exit.
	Start(s *Service, log *journal.Log, h Handler) (Running, error)

	// Check runs a probe's command with the rights of s and returns nil when
	// it exits with status 0. It leaves nothing behind when ctx ends.
	Check(ctx context.Context, s *Service, command []string) error
}

// Running is one started program and all that it started in turn.
type Running interface {
	PID() int
	Proceed()              // ends its standard input: those are through beside which it began
	Terminate()            // asks the program itself to end (SIGTERM)
	Kill(gone func(n int)) // kills everything that is left and then calls gone, with how many would not die
	Memory() int64         // bytes in use by all of it; 0: unknown
}

// Handler is where a Runner tells what happens to one program.
type Handler struct {
	Notify func(notify.Message)
	Exit   func(Exit)
}

// Exit is how a program ended.
type Exit struct {
	Code   int            // exit status, when Signal is 0
	Signal syscall.Signal // that killed it
	OOM    bool           // the kernel killed something in its cgroup for want of memory
	Err    error          // a function's error, or why a program could not be started
}

func (x Exit) ok() bool { return x.Code == 0 && x.Signal == 0 && x.Err == nil }

func (x Exit) String() string {
	s := fmt.Sprintf("exit status %d", x.Code)
	switch {
	case x.Err != nil:
		s = x.Err.Error()
	case x.Signal != 0:
		s = "killed by signal " + x.Signal.String()
	}
	if x.OOM {
		s += " (out of memory)"
	}
	return s
}

// Paths tells when a path appears or goes. Package proc has the real one.
type Paths interface {
	// Watch calls changed at once and at every change, from any goroutine.
	Watch(path string, changed func(exists bool)) error
}
