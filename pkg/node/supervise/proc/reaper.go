// Package proc is the real supervise.Runner: it starts programs in a session
// and a cgroup of their own, collects every child that ends, and kills what a
// service leaves behind. Processes are its job; it uses syscall.ForkExec and
// never os/exec, whose Wait would race with the collection of orphans.
package proc

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Reaper is the one owner of wait4(-1). As PID 1 it also collects processes
// that nobody knows: orphans.
type Reaper struct {
	// mu is held over every fork with the entry of its result, and over every
	// wait4 with the look-up of its result: a child that ends before it is
	// entered is not collected until it is, and no process id is taken for
	// that of a predecessor.
	mu      sync.Mutex
	known   map[int]func(syscall.WaitStatus)
	orphans uint64
	signals chan os.Signal
}

// NewReaper makes a reaper; children are collected from Run on.
func NewReaper() *Reaper {
	r := &Reaper{known: map[int]func(syscall.WaitStatus){}, signals: make(chan os.Signal, 1)}
	signal.Notify(r.signals, syscall.SIGCHLD)
	return r
}

// Run collects children for ever.
func (r *Reaper) Run() {
	for {
		r.collect()
		<-r.signals // several signals may be one; collect takes all there is
	}
}

func (r *Reaper) collect() {
	for {
		var done func()
		r.mu.Lock()
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if pid > 0 {
			if f := r.known[pid]; f != nil {
				delete(r.known, pid)
				done = func() { f(ws) }
			} else {
				r.orphans++
			}
		}
		r.mu.Unlock()
		switch {
		case done != nil:
			done()
		case err == syscall.EINTR, pid > 0:
		default: // none that has ended, or none at all (ECHILD)
			return
		}
	}
}

// Start forks by fork and calls ended, once, with how the child ended; ended
// must not block.
func (r *Reaper) Start(fork func() (pid int, err error), ended func(syscall.WaitStatus)) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := fork()
	if err != nil {
		return 0, err
	}
	r.known[pid] = ended
	return pid, nil
}

// Signal sends a signal to a child that was started here and has not been
// collected; its process id is its own until then.
func (r *Reaper) Signal(pid int, sig syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[pid] == nil {
		return syscall.ESRCH
	}
	return syscall.Kill(pid, sig)
}

// Orphans returns how many processes were collected that nobody knew.
func (r *Reaper) Orphans() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orphans
}
