package proc

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/node/supervise"
)

// Cgroups is the subtree of cgroup v2 that holds a group a service. See
// Documentation/admin-guide/cgroup-v2.rst.
type Cgroups struct {
	dir, mount string
	enable     func() error // Enable, once
}

// NewCgroups makes the subtree <mount>/bee.
func NewCgroups(mount string) (*Cgroups, error) {
	dir := filepath.Join(mount, "bee")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup %s: %w; services are killed by a walk over /proc instead", dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.kill")); err != nil { // Linux 5.14
		return nil, fmt.Errorf("find cgroup.kill: %w; services are killed by a walk over /proc instead", err)
	}
	c := &Cgroups{dir: dir, mount: mount}
	c.enable = sync.OnceValue(func() error {
		if err := c.handDown("memory", "pids"); err != nil {
			return fmt.Errorf("enable cgroup controllers: %w; limits do not hold", err)
		}
		return nil
	})
	return c, nil
}

// Enable hands the controllers of limits down to the groups, those that are
// there already too. It takes the kernel some 20 ms, and from then on each
// allocation longer, which is why a boot does without until it is over, or a
// service with limits starts. What cannot be handed down is told by name in the
// error, each time; the subtree works without.
func (c *Cgroups) Enable() error { return c.enable() }

// Share hands the cpu controller down: from then on each service has the same
// claim to the processors, and all sessions together as much as all services,
// however many threads they have (cgroup-v2.rst, cpu.weight). A session that
// keeps every processor busy leaves the services their half. The niceness of a service
// counts for nothing against other groups any more (sched(7)), which is why a
// boot does without until it is over.
func (c *Cgroups) Share() error {
	if err := c.handDown("cpu"); err != nil {
		return fmt.Errorf("share the processors between services: %w; a busy session can slow them down", err)
	}
	return nil
}

// handDown enables controllers for the groups of services, and for all of them
// together.
func (c *Cgroups) handDown(controllers ...string) error {
	var errs []error
	for _, parent := range []string{c.mount, c.dir} {
		have, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range controllers {
			if !contains(strings.Fields(string(have)), name) {
				errs = append(errs, fmt.Errorf("the kernel offers no %s controller in %s", name, parent))
			} else if err := write(filepath.Join(parent, "cgroup.subtree_control"), "+"+name); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// group is the cgroup of one service.
type group struct{ dir string }

// group makes the cgroup of a service, with its limits.
func (c *Cgroups) group(s *supervise.Service) (*group, error) {
	g := &group{filepath.Join(c.dir, s.Name)}
	err := os.Mkdir(g.dir, 0o755)
	if errors.Is(err, os.ErrExist) {
		// A group on which cgroup.kill was used once cannot be cloned into any more:
		// Linux 6.12 compares its kill count with that of the parent's group and
		// kills the newborn. So each start has a group of its own. One that is in
		// use cannot be removed and stays.
		g.prune()
		if err := os.Remove(g.dir); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.EBUSY) {
			return nil, fmt.Errorf("renew cgroup: %w", err)
		}
		if err = os.Mkdir(g.dir, 0o755); errors.Is(err, os.ErrExist) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	var errs []error
	if s.Limits != (supervise.Limits{}) {
		errs = append(errs, c.Enable())
	}
	set := func(file string, n int64) {
		if n > 0 {
			errs = append(errs, write(filepath.Join(g.dir, file), strconv.FormatInt(n, 10)))
		}
	}
	set("memory.max", s.Limits.MemoryMax)
	if s.Limits.MemoryMax > 0 {
		set("memory.oom.group", 1)
	}
	set("pids.max", s.Limits.PidsMax)
	if err := errors.Join(errs...); err != nil {
		return g, fmt.Errorf("limit %s: %w", s.Name, err)
	}
	return g, nil
}

// open returns a descriptor for clone3(2) with CLONE_INTO_CGROUP.
func (g *group) open() (int, error) {
	return syscall.Open(g.dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
}

// populated reports whether a process lives in the group or below.
func (g *group) populated() bool {
	b, err := os.ReadFile(filepath.Join(g.dir, "cgroup.events"))
	return err == nil && strings.Contains(string(b), "populated 1")
}

// kill kills all that is in the group and waits until it is empty, at most for
// wait. It returns how many would not die.
func (g *group) kill(wait time.Duration) (left int, err error) {
	if !g.populated() {
		return 0, nil
	}
	events, err := os.Open(filepath.Join(g.dir, "cgroup.events"))
	if err != nil {
		return 0, err
	}
	defer events.Close()
	if err := write(filepath.Join(g.dir, "cgroup.kill"), "1"); err != nil {
		return 0, err
	}
	for end := time.Now().Add(wait); g.populated(); {
		rest := time.Until(end)
		if rest <= 0 {
			return g.count(), nil
		}
		// cgroup.events says by POLLPRI that "populated" changed; the short
		// timeout is for a change between the look and the poll.
		fds := []unix.PollFd{{Fd: int32(events.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, int(min(rest, 50*time.Millisecond).Milliseconds())); err != nil && err != unix.EINTR {
			return 0, fmt.Errorf("wait for %s to be empty: %w", g.dir, err)
		}
	}
	return 0, nil
}

// count counts the processes of the group and those below it.
func (g *group) count() (n int) {
	// The walk passes over what it cannot read: groups that vanish meanwhile.
	filepath.WalkDir(g.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "cgroup.procs" {
			if b, err := os.ReadFile(path); err == nil {
				n += strings.Count(string(b), "\n")
			}
		}
		return nil
	})
	return n
}

// prune removes groups that a service made inside its own.
func (g *group) prune() {
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			sub := group{filepath.Join(g.dir, e.Name())}
			sub.prune()
			// A group that is still in use stays; the next start looks again.
			os.Remove(sub.dir)
		}
	}
}

// memory returns the bytes in use, 0: unknown. That is memory.current, or what the
// processes hold if that is more: the controller counts what was taken since Enable.
func (g *group) memory() int64 {
	return max(number(filepath.Join(g.dir, "memory.current")), g.resident("/proc"))
}

// resident sums what the processes of the group have in RAM and no file has:
// RssAnon and RssShmem in /proc/PID/status (proc_pid_status(5)), bytes.
func (g *group) resident(proc string) (sum int64) {
	b, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil {
		return 0
	}
	for _, pid := range strings.Fields(string(b)) {
		status, err := os.ReadFile(filepath.Join(proc, pid, "status"))
		if err != nil {
			continue // it ended meanwhile
		}
		for line := range strings.Lines(string(status)) {
			f := strings.Fields(line)
			if len(f) == 3 && (f[0] == "RssAnon:" || f[0] == "RssShmem:") {
				n, err := strconv.ParseInt(f[1], 10, 64)
				if err != nil {
					continue
				}
				sum += n << 10 // "kB" are KiB there
			}
		}
	}
	return sum
}

// number reads a file that holds one; 0: there is none.
func number(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// oomKills returns how often the kernel killed something in the group for want
// of memory (memory.events).
func (g *group) oomKills() int {
	f, err := os.Open(filepath.Join(g.dir, "memory.events"))
	if err != nil {
		return 0 // no memory controller
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if n, ok := strings.CutPrefix(s.Text(), "oom_kill "); ok {
			if v, err := strconv.Atoi(n); err == nil {
				return v
			}
		}
	}
	return 0
}
