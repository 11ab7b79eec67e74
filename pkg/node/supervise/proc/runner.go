package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/node/supervise"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// killWait bounds how long a killed process may take to die.
const killWait = 5 * time.Second

// Runner starts programs for a supervise.Engine.
type Runner struct {
	Reaper  *Reaper
	Cgroups *Cgroups     // nil: processes are found by session, descent and environment
	Guard   func(func()) // wraps every goroutine
	Warn    func(text string)

	mu    sync.Mutex
	pipes map[string]*logPipe // of each service, held across its restarts
}

// Start implements supervise.Runner.
func (r *Runner) Start(s *supervise.Service, log *journal.Log, h supervise.Handler) (supervise.Running, error) {
	pipe, err := r.pipe(s.Name, log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	p := &process{r: r, service: s.Name, pipe: pipe}
	var note [2]int
	if err := syscall.Pipe2(note[:], syscall.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("start %s: make notify pipe: %w", s.Name, err)
	}
	defer syscall.Close(note[1])
	var st syscall.Stat_t
	if err := syscall.Fstat(note[0], &st); err != nil {
		syscall.Close(note[0])
		return nil, fmt.Errorf("start %s: examine notify pipe: %w", s.Name, err)
	}
	listener, err := newListener(note[0], func(m notify.Message) { h.Notify(m) }, func(err error) { r.warn(s.Name + ": " + err.Error()) })
	if err != nil {
		syscall.Close(note[0])
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	c := child{service: s, argv: s.Command, in: -1, out: pipe.write, notify: note[1]}
	if len(s.Beside) > 0 {
		var in [2]int
		if err := syscall.Pipe2(in[:], syscall.O_CLOEXEC); err != nil {
			listener.close()
			return nil, fmt.Errorf("start %s: make pipe for its standard input: %w", s.Name, err)
		}
		defer syscall.Close(in[0])
		c.in = in[0]
		p.proceed = sync.OnceFunc(func() { syscall.Close(in[1]) })
	}
	c.env = append(environ(s), notify.FDEnv+"=3", notify.InodeEnv+"="+strconv.FormatUint(st.Ino, 10))
	if r.Cgroups != nil {
		if p.group, err = r.Cgroups.group(s); err != nil {
			r.warn(err.Error())
		}
	}
	c.group = p.group
	if p.group != nil {
		p.ooms = p.group.oomKills()
	}
	p.pid, err = r.fork(&c, func(ws syscall.WaitStatus) {
		r.spawn(func() {
			p.Proceed()
			// What it said before its end comes before its end.
			listener.finish()
			pipe.drain()
			log.Flush()
			h.Exit(p.exit(ws))
		})
	})
	if err != nil {
		p.Proceed()
		listener.close()
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	r.spawn(listener.run)
	return p, nil
}

// Check implements supervise.Runner. The command runs in the cgroup of the
// service: what it leaves behind goes with that.
func (r *Runner) Check(ctx context.Context, s *supervise.Service, command []string) error {
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	defer syscall.Close(null)
	c := child{service: s, argv: command, env: environ(s), in: -1, out: null, notify: -1, plain: true}
	if r.Cgroups != nil {
		if c.group, err = r.Cgroups.group(s); err != nil {
			r.warn(err.Error())
		}
	}
	ended := make(chan syscall.WaitStatus, 1)
	pid, err := r.fork(&c, func(ws syscall.WaitStatus) { ended <- ws })
	if err != nil {
		return err
	}
	var ws syscall.WaitStatus
	select {
	case ws = <-ended:
	case <-ctx.Done():
		// Its session is its own: the group of the leader is all of it that
		// matters here.
		r.Reaper.Signal(pid, syscall.SIGKILL)
		<-ended
		return fmt.Errorf("%s: %w", command[0], context.Cause(ctx))
	}
	if x := ExitOf(ws); x.Code != 0 || x.Signal != 0 {
		return fmt.Errorf("%s: %s", command[0], x)
	}
	return nil
}

func (r *Runner) warn(text string) {
	if r.Warn != nil {
		r.Warn(text)
	}
}

func (r *Runner) spawn(f func()) {
	if r.Guard == nil {
		go f()
		return
	}
	go r.Guard(f)
}

func (r *Runner) pipe(service string, log *journal.Log) (*logPipe, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pipes[service]; p != nil {
		return p, nil
	}
	p, err := newLogPipe(log)
	if err != nil {
		return nil, err
	}
	if r.pipes == nil {
		r.pipes = map[string]*logPipe{}
	}
	r.pipes[service] = p
	r.spawn(p.run)
	return p, nil
}

// Pipes returns the read ends of the log pipes by service, for a PID 1 that
// hands over: who writes into a pipe that nobody holds is killed by SIGPIPE.
func (r *Runner) Pipes() map[string]int {
	out := map[string]int{}
	if !r.mu.TryLock() {
		return out // whoever holds it panicked: the pipes are lost to us
	}
	defer r.mu.Unlock()
	for name, p := range r.pipes {
		out[name] = p.fd
	}
	return out
}

func environ(s *supervise.Service) []string {
	return append([]string{"PATH=/bin", "HOME=/root", ServiceEnv + "=" + s.Name}, s.Env...)
}

// child is what fork needs.
type child struct {
	service *supervise.Service
	argv    []string
	env     []string
	in      int // becomes standard input; -1: the terminal of the service, else nothing to read
	out     int // becomes standard output and error
	notify  int // becomes descriptor 3; -1: none
	group   *group
	plain   bool // no terminal, whatever the service says
}

// fork starts a child with everything that its service asks for.
func (r *Runner) fork(c *child, ended func(syscall.WaitStatus)) (int, error) {
	s := c.service
	attr := &syscall.ProcAttr{Dir: "/", Env: c.env, Sys: &syscall.SysProcAttr{Setsid: true}}
	if s.Dir != "" {
		attr.Dir = s.Dir
	}
	in, out := c.in, c.out
	var err error
	if in >= 0 {
		// whoever made it closes it
	} else if s.TTY != "" && !c.plain {
		// O_NOCTTY: PID 1 must not get a controlling terminal.
		if in, err = syscall.Open(s.TTY, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0); err != nil {
			return 0, fmt.Errorf("open terminal %s: %w", s.TTY, err)
		}
		out = in
		attr.Sys.Setctty, attr.Sys.Ctty = true, 0
	} else if in, err = syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("open /dev/null: %w", err)
	}
	if c.in < 0 {
		defer syscall.Close(in)
	}
	attr.Files = []uintptr{uintptr(in), uintptr(out), uintptr(out)}
	if c.notify >= 0 {
		attr.Files = append(attr.Files, uintptr(c.notify))
	}
	if s.UID != 0 || s.GID != 0 || len(s.Groups) > 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.GID)}
		for _, g := range s.Groups {
			attr.Sys.Credential.Groups = append(attr.Sys.Credential.Groups, uint32(g))
		}
		if s.UID != 0 {
			attr.Sys.AmbientCaps = s.KeepCaps
		}
	}
	if c.group != nil {
		fd, err := c.group.open()
		if err != nil {
			return 0, fmt.Errorf("open cgroup %s: %w", c.group.dir, err)
		}
		defer syscall.Close(fd)
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fd
	}
	start := func() (int, error) {
		return r.Reaper.Start(func() (int, error) {
			pid, err := syscall.ForkExec(c.argv[0], c.argv, attr)
			if err != nil {
				return 0, fmt.Errorf("run %s: %w", c.argv[0], err)
			}
			r.adjust(pid, s)
			return pid, nil
		}, ended)
	}
	if !s.DropCaps && !s.NoNewPrivs {
		return start()
	}
	return r.onThread(s, start)
}

// adjust sets what clone does not. It comes right after the start of the
// program and before anybody waits for it.
func (r *Runner) adjust(pid int, s *supervise.Service) {
	// Its group is its own (setsid(2)): this is for the threads that it has by now, too.
	if s.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PGRP, pid, s.Nice); err != nil && err != unix.ESRCH {
			r.warn(fmt.Sprintf("set niceness of %s: %v", s.Name, err)) // it works at any
		}
	}
	// PID 1 itself is at -1000: each child gets its own value.
	if err := write(fmt.Sprintf("/proc/%d/oom_score_adj", pid), strconv.Itoa(s.OOMScoreAdj)); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.warn(fmt.Sprintf("set oom_score_adj of %s: %v", s.Name, err))
	}
	for _, l := range s.ResourceLims {
		lim := unix.Rlimit{Cur: l.Soft, Max: l.Max}
		if err := unix.Prlimit(pid, l.Resource, &lim, nil); err != nil && err != unix.ESRCH {
			r.warn(fmt.Sprintf("set resource limit %d of %s: %v", l.Resource, s.Name, err))
		}
	}
}

// onThread runs start on a thread that has given up what the service shall not
// have. Capability bounding set and no_new_privs belong to a thread and are
// inherited by its children (capabilities(7), prctl(2)); the thread ends with the
// goroutine that is locked to it.
func (r *Runner) onThread(s *supervise.Service, start func() (int, error)) (int, error) {
	type result struct {
		pid int
		err error
	}
	out := make(chan result)
	r.spawn(func() {
		runtime.LockOSThread() // and never unlocked
		err := restrict(s)
		if err != nil {
			out <- result{0, err}
			return
		}
		pid, err := start()
		out <- result{pid, err}
	})
	res := <-out
	return res.pid, res.err
}

func restrict(s *supervise.Service) error {
	if s.DropCaps {
		keep := map[uintptr]bool{}
		for _, c := range s.KeepCaps {
			keep[c] = true
		}
		for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
			if keep[c] {
				continue
			}
			err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
			if err != nil && err != unix.EINVAL { // EINVAL: this kernel does not know it
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
	}
	if s.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	return nil
}

// process is one started program.
type process struct {
	r       *Runner
	service string
	pid     int
	pipe    *logPipe
	group   *group
	ooms    int    // oom kills in the group before it started
	proceed func() // closes what feeds its standard input, once; nil: nothing does
}

func (p *process) PID() int { return p.pid }

func (p *process) Memory() int64 {
	if p.group == nil {
		return 0
	}
	return p.group.memory()
}

// Proceed ends the standard input of a program that began beside others.
func (p *process) Proceed() {
	if p.proceed != nil {
		p.proceed()
	}
}

// Terminate asks the program to end; one that has ended already is no error.
func (p *process) Terminate() {
	if err := p.r.Reaper.Signal(p.pid, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		p.r.warn(fmt.Sprintf("terminate %s: %v", p.service, err))
	}
}

// Kill kills all that is left of the service.
func (p *process) Kill(gone func(int)) {
	p.r.spawn(func() {
		left := -1
		if p.group != nil {
			n, err := p.group.kill(killWait)
			if err != nil {
				p.r.warn(fmt.Sprintf("kill cgroup of %s: %v; killing by a walk over /proc", p.service, err))
			} else {
				left = n
				p.group.prune()
			}
		}
		if left < 0 {
			left = killTree("/proc", p.service, p.pid, killWait)
		}
		gone(left)
	})
}

func (p *process) exit(ws syscall.WaitStatus) supervise.Exit {
	x := ExitOf(ws)
	x.OOM = p.group != nil && x.Signal == syscall.SIGKILL && p.group.oomKills() > p.ooms
	return x
}

// ExitOf is how a process ended, as the supervisor tells it.
func ExitOf(ws syscall.WaitStatus) supervise.Exit {
	if ws.Signaled() {
		return supervise.Exit{Signal: ws.Signal()}
	}
	return supervise.Exit{Code: ws.ExitStatus()}
}
