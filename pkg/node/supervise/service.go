// Package supervise starts services in the order that they ask for, keeps them
// running, keeps what they say, and stops them so that nothing of them is
// left. It knows no concrete service: see pkg/node/services.
//
// The engine is one goroutine that owns all state; processes, timers, paths
// and requests reach it as messages. What touches the kernel stands behind the
// Runner interface (package proc), so that every rule is tested without a
// process and, under testing/synctest, without waiting.
package supervise

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// Kind is what a service is.
type Kind uint8

// The kinds of service.
const (
	Process   Kind = iota // a process that stays
	Oneshot               // a process, or a function in PID 1, that ends
	Target                // a name for a set: done when its needs are met and its wants are settled
	Condition             // a fact; ready while it holds. Those in some Provides and those that begin with "path:" need no entry of their own
)

func (k Kind) String() string {
	switch k {
	case Process:
		return control.KindProcess
	case Oneshot:
		return control.KindOneshot
	case Target:
		return control.KindTarget
	case Condition:
		return control.KindCondition
	}
	return "unknown kind"
}

// Restart says which ends of a service are answered by a new start, after a
// backoff of 0.2 s that doubles up to 60 s. Exit status 125 is final whatever
// the policy.
type Restart uint8

// The restart policies.
const (
	Never        Restart = iota // one failure and it is failed
	OnFailure                   // after a failure; exit status 0 is the end
	Always                      // after every end, for processes that are to stay
	UntilSuccess                // after a failure, without ever giving up; once it succeeded it is not run again
)

// ReadyBy says how a process is known to do its work. A oneshot is done when it
// exits with status 0.
type ReadyBy uint8

// The ways to be ready.
const (
	ByNotify ReadyBy = iota // it says so (package notify)
	ByStart                 // it is when its program runs; for programs that know nothing of bee
	ByProbe                 // Service.Probe succeeds
)

// PathPrefix begins the name of a condition that holds while a path exists:
// path:/dev/watchdog0.
const PathPrefix = "path:"

// Defaults for what a Service leaves at zero.
const (
	DefaultStartTimeout        = 30 * time.Second // of a process
	DefaultOneshotStartTimeout = 2 * time.Minute  // of a oneshot: it must have ended by then
	DefaultStopTimeout         = 5 * time.Second  // from TERM to the kill of the tree
)

// ExitPermanent is the exit status of a service that knows that another start
// is useless.
const ExitPermanent = 125

// Service is everything the supervisor knows of one service. The zero value of
// each field is the sensible choice for a small one.
type Service struct {
	Name    string
	Summary string // what it is for, one line for svc list
	Kind    Kind

	// What runs: Command[0] is an absolute path. A oneshot may be a Func
	// instead, which runs inside PID 1 and must come back when ctx ends.
	Command []string
	Env     []string // added to PATH=/bin, HOME=/root, BEE_SERVICE
	Dir     string   // working directory; empty: /
	Func    func(ctx context.Context, log io.Writer) error
	TTY     string // device that becomes its controlling terminal and standard streams; empty: none, the log

	// Order. Names of services and conditions.
	Needs     []string // runs only while these are ready or done; one that crashed and is coming back does not stop it
	Wants     []string // pulled up and waited for while something is on its way there; then on without
	After     []string // as Wants, without pulling up
	Milestone []string // must have been ready once, whatever they are now
	Provides  []string // conditions that this service raises and lowers through notify
	// Beside are those among Needs, Wants and After for whose end it does not wait: it
	// starts while they are on their way, and waits itself for what it cannot do
	// without. Its standard input ends when none of them is on its way any more; as a
	// process it does not count as ready before.
	Beside []string

	Disabled string // why it is not for this boot; empty: it is

	// Life. StartTimeout counts from the moment that needs, wants, after and
	// milestones are met.
	Restart      Restart
	GiveUpAfter  int // failures in a row after which it is failed for good; 0: never gives up
	StartTimeout time.Duration
	StopTimeout  time.Duration
	Ready        ReadyBy
	Probe        *Probe // for ByProbe: tried with backoff from 20 ms to 1 s
	Health       *Probe // watched once it is ready; failing means a restart
	StopLast     bool   // on shutdown it goes after all others: what an operator looks through
	Critical     bool   // SSH needs it: the watchdog watches its progress, its failure for good is an emergency

	// Least privilege and limits.
	Limits       Limits
	OOMScoreAdj  int // proc(5); -1000…1000
	Nice         int // setpriority(2), -20…19, of all that it starts; holds until the processors are shared by group
	UID, GID     int // run as; 0: root
	Groups       []int
	DropCaps     bool      // keep only KeepCaps in the bounding set, also for root; see capabilities(7)
	KeepCaps     []uintptr // numbers of linux/capability.h
	NoNewPrivs   bool      // no set-uid program gains anything below it
	ResourceLims []ResourceLimit
}

// Limits are those of the service's cgroup (cgroup-v2.rst). Zero: none.
type Limits struct {
	MemoryMax int64 // bytes, memory.max; the whole cgroup is killed when it is exceeded (memory.oom.group)
	PidsMax   int64 // processes and threads, pids.max
}

// ResourceLimit is one setrlimit(2) limit.
type ResourceLimit struct {
	Resource  int // RLIMIT_*
	Soft, Max uint64
}

// Probe is a check from outside. Either a function, which must come back when
// ctx ends, or a command, which passes by exit status 0.
type Probe struct {
	Func     func(ctx context.Context) error
	Command  []string
	Interval time.Duration // between checks of health; 0: 10 s
	Timeout  time.Duration // of one check; 0: 5 s
	Failures int           // in a row that mean bad health; 0: 3
}

func (s *Service) startTimeout() time.Duration {
	switch {
	case s.StartTimeout > 0:
		return s.StartTimeout
	case s.Kind == Oneshot:
		return DefaultOneshotStartTimeout
	}
	return DefaultStartTimeout
}

func (s *Service) stopTimeout() time.Duration {
	if s.StopTimeout > 0 {
		return s.StopTimeout
	}
	return DefaultStopTimeout
}

func (p *Probe) interval() time.Duration {
	if p.Interval > 0 {
		return p.Interval
	}
	return 10 * time.Second
}

func (p *Probe) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return 5 * time.Second
}

func (p *Probe) failures() int {
	if p.Failures > 0 {
		return p.Failures
	}
	return 3
}

// isPath reports whether a name is that of a path condition.
func isPath(name string) bool { return strings.HasPrefix(name, PathPrefix) }
