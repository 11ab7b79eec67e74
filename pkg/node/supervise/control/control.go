// Package control is the contract between PID 1 and whoever asks it: the unix
// socket, its requests and answers, a client and a server. A request is one
// line of JSON, an answer one or more; every connection carries one request.
//
// The socket is mode 0600 and the server asks the kernel who the peer is
// (SO_PEERCRED, unix(7)): only root may speak.
package control

import (
	"time"
)

// Path is where PID 1 listens.
const Path = "/run/bee/control.sock"

// State is what a service is in right now. What it should be in is
// Status.Wanted.
type State string

// The states of a service.
const (
	Disabled State = "disabled" // not for this boot; the reason says why
	Stopped  State = "stopped"  // wanted down, nothing of it runs
	Blocked  State = "blocked"  // waits for those in Status.Blockers
	Starting State = "starting" // runs, has not said that it is ready
	Ready    State = "ready"    // does its work; of a condition: it holds
	Degraded State = "degraded" // works, not as well as it should
	Backoff  State = "backoff"  // failed, is started again at Status.Until
	Stopping State = "stopping" // was told to end
	Done     State = "done"     // ended well; of a target: reached
	Failed   State = "failed"   // failed for good
	Skipped  State = "skipped"  // had nothing to do; the reason says why
)

// Good reports whether a service in this state does or did what it is for.
// Disabled and skipped count: nothing is wrong there.
func (s State) Good() bool {
	switch s {
	case Ready, Done, Skipped, Disabled:
		return true
	}
	return false
}

// Settled reports whether the state will not change without a cause from
// outside: nothing is on its way.
func (s State) Settled() bool {
	switch s {
	case Blocked, Starting, Backoff, Stopping:
		return false
	}
	return true
}

// Kinds of a service as Status.Kind says them.
const (
	KindProcess   = "process"
	KindOneshot   = "oneshot"
	KindTarget    = "target"
	KindCondition = "condition"
)

// What Status.Wanted says.
const (
	Up   = "up"
	Down = "down"
)

// Status is all that is known of one service. Durations are in nanoseconds;
// times are wall-clock times as seen by the clock at the moment of the answer,
// so that they stay right when the clock is set after the fact.
type Status struct {
	Name       string        `json:"name"`
	Kind       string        `json:"kind"`
	Summary    string        `json:"summary,omitempty"` // what it is for, one line
	Wanted     string        `json:"wanted"`            // Up or Down
	State      State         `json:"state"`
	Reason     string        `json:"reason,omitempty"`   // why it is in that state
	Text       string        `json:"text,omitempty"`     // what it said of itself last (notify.Status)
	Blockers   []string      `json:"blockers,omitempty"` // whom a blocked service waits for
	Since      time.Time     `json:"since"`              // in this state
	Until      time.Time     `json:"until,omitzero"`     // end of a backoff
	PID        int           `json:"pid,omitempty"`
	Restarts   int           `json:"restarts"`               // since boot, those that were asked for left out
	Failures   int           `json:"failures"`               // in a row
	CrashLoop  bool          `json:"crash_loop,omitempty"`   // it falls again and again
	StartedAt  time.Time     `json:"started_at,omitzero"`    // last start
	ReadyAfter time.Duration `json:"ready_after_ns"`         // last start to ready, or to the end of a oneshot
	ReadyAt    time.Duration `json:"ready_uptime_ns"`        // uptime at which it was ready for the first time; 0: never
	LastExit   string        `json:"last_exit,omitempty"`    // "exit status 1", "signal killed", …
	LastLog    []string      `json:"last_log,omitempty"`     // last lines before its latest failure
	LogDropped uint64        `json:"log_dropped_bytes"`      // pushed out of the ring in RAM
	Critical   bool          `json:"critical,omitempty"`     // SSH needs it
	Needs      []string      `json:"needs,omitempty"`        // hard
	Wants      []string      `json:"wants,omitempty"`        // tried, gone on without
	After      []string      `json:"after,omitempty"`        // order alone
	Milestone  []string      `json:"milestone,omitempty"`    // once
	NeededBy   []string      `json:"needed_by,omitempty"`    // who names it in needs or milestone
	Memory     int64         `json:"memory_bytes,omitempty"` // of its cgroup now; 0: unknown
	Provides   []string      `json:"provides,omitempty"`     // conditions
	Command    []string      `json:"command,omitempty"`      // argument vector
	Internal   bool          `json:"internal,omitempty"`     // runs inside PID 1
}

// Event is one thing that happened. The supervisor keeps the last 64 of each
// service.
type Event struct {
	Seq     uint64        `json:"seq"`
	Time    time.Time     `json:"time"`
	Uptime  time.Duration `json:"uptime_ns"`
	Service string        `json:"service"` // "bee": PID 1 itself
	State   State         `json:"state,omitempty"`
	Text    string        `json:"text"`
	Urgent  bool          `json:"urgent,omitempty"` // a person should see it: the owner of the console shows it
}

// LogLine is one line that a service wrote.
type LogLine struct {
	Seq     uint64        `json:"seq"`
	Time    time.Time     `json:"time"`
	Uptime  time.Duration `json:"uptime_ns"`
	Service string        `json:"service"`
	Text    string        `json:"text"`
}

// Why explains one service: the chain of those who hold it up, or what made it
// fail, nearest first.
type Why struct {
	Status Status   `json:"status"`
	Chain  []Status `json:"chain,omitempty"` // the blockers, each followed by its own
	Events []Event  `json:"events,omitempty"`
}

// Blame says where the boot's time went. Uptimes count from the kernel's start
// (CLOCK_MONOTONIC).
type Blame struct {
	PID1      time.Duration `json:"pid1_uptime_ns"`       // PID 1 began
	BroughtUp time.Duration `json:"brought_up_uptime_ns"` // mounts, devices, sysctls are done
	Settled   time.Duration `json:"settled_uptime_ns"`    // nothing was on its way any more; 0: not yet
	Chain     []BlameEntry  `json:"chain"`                // critical chain of the service that was asked for, last first
	Services  []BlameEntry  `json:"services"`             // all, slowest first
}

// BlameEntry is one service's share. From Met on it could run: what it waited
// for was there.
type BlameEntry struct {
	Name  string        `json:"name"`
	State State         `json:"state"`
	Met   time.Duration `json:"met_uptime_ns"`
	Ready time.Duration `json:"ready_uptime_ns"` // 0: never was
	Took  time.Duration `json:"took_ns"`
}

// Action is how a machine is left.
type Action string

// What a shutdown ends in.
const (
	Reboot   Action = "reboot"
	Poweroff Action = "poweroff"
	Halt     Action = "halt"
	Kexec    Action = "kexec" // into the kernel that kexec -l loaded
)
