package sshserver

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Spec is a process that a session wants.
type Spec struct {
	Account Account
	Path    string
	Args    []string // argv, argv[0] first
	Env     []string
	Stdio   [3]*os.File
	TTY     bool // Stdio[0] becomes its controlling terminal
}

// A Starter starts the processes of sessions.
type Starter interface {
	Start(Spec) (Process, error)
}

// A Process leads its own session and process group.
type Process interface {
	Signal(syscall.Signal) error // to the whole group
	Wait() Exit                  // once
}

// Exit is how a process ended: by Code, or by Signal if that is not 0.
type Exit struct {
	Code   int
	Signal syscall.Signal
	Core   bool
}

// HostStarter starts processes on this machine with the rights of the account,
// each in a cgroup of its own below Cgroups if that is a cgroup v2 tree: not
// below sshd's own, which the supervisor kills as a whole when it restarts
// sshd, perhaps on behalf of one of these sessions.
type HostStarter struct {
	Cgroups string // /sys/fs/cgroup/bee.sessions; empty: none
	Log     *log.Logger

	count atomic.Uint64
}

// SessionCgroups is where the node keeps the cgroups of sessions.
const SessionCgroups = "/sys/fs/cgroup/bee.sessions"

// Start implements Starter. Sessions are processes: os/exec is the job here.
func (h *HostStarter) Start(spec Spec) (Process, error) {
	cmd := &exec.Cmd{
		Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: spec.Account.Home,
		Stdin: spec.Stdio[0], Stdout: spec.Stdio[1], Stderr: spec.Stdio[2],
		SysProcAttr: &syscall.SysProcAttr{
			Setsid: true, Setctty: spec.TTY, Ctty: 0,
			Pdeathsig: syscall.SIGHUP, // sshd itself was killed: the client is gone
		},
	}
	if fi, err := os.Stat(cmd.Dir); err != nil || !fi.IsDir() {
		cmd.Dir = "/"
	}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: spec.Account.UID, Gid: spec.Account.GID, Groups: spec.Account.Groups}
	}
	group, err := h.newCgroup()
	if err != nil {
		h.Log.Printf("session without a cgroup: %v", err)
	}
	if group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	}
	err = cmd.Start()
	if group != nil {
		group.Close()
	}
	if err != nil {
		h.removeCgroup(group)
		return nil, fmt.Errorf("start %s for %s: %w", spec.Path, spec.Account.Name, err)
	}
	h.spareFromOOM(cmd.Process.Pid)
	return &hostProcess{cmd: cmd, done: func() { h.removeCgroup(group) }}, nil
}

// spareFromOOM takes back the protection that sshd itself has (proc(5),
// oom_score_adj): under memory pressure an operator's command goes first.
func (h *HostStarter) spareFromOOM(pid int) {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ESRCH) {
		h.Log.Printf("set oom_score_adj of session: %v", err)
	}
}

// newCgroup makes the next free one; nil where there is no cgroup v2 tree.
func (h *HostStarter) newCgroup() (*os.File, error) {
	if h.Cgroups == "" {
		return nil, nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(h.Cgroups), &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, nil
	}
	if err := os.Mkdir(h.Cgroups, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	for {
		dir := filepath.Join(h.Cgroups, strconv.FormatUint(h.count.Add(1), 10))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrExist) {
			if os.Remove(dir) != nil {
				continue // left over and not empty: what outlived its session on purpose
			}
			err = os.Mkdir(dir, 0o755)
		}
		if err != nil {
			return nil, fmt.Errorf("make cgroup: %w", err)
		}
		f, err := os.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("open cgroup: %w", err)
		}
		return f, nil
	}
}

// removeCgroup fails harmlessly while someone (nohup) is still in it.
func (h *HostStarter) removeCgroup(group *os.File) {
	if group == nil {
		return
	}
	if err := os.Remove(group.Name()); err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, os.ErrNotExist) {
		h.Log.Printf("remove session's cgroup: %v", err)
	}
}

type hostProcess struct {
	cmd  *exec.Cmd
	done func()
}

func (p *hostProcess) Signal(sig syscall.Signal) error {
	if err := syscall.Kill(-p.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %v to session: %w", sig, err)
	}
	return nil
}

func (p *hostProcess) Wait() Exit {
	err := p.cmd.Wait()
	p.done()
	if err == nil {
		return Exit{}
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return Exit{Code: 255}
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return Exit{Signal: status.Signal(), Core: status.CoreDump()}
	}
	return Exit{Code: exit.ExitCode()}
}
