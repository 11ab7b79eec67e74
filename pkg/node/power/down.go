package power

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// Bounds inside a shutdown.
const (
	killGrace   = 500 * time.Millisecond // from TERM to KILL of what no service owns
	syncTimeout = 8 * time.Second
)

// Supported returns nil when an action can be done now: kexec needs a kernel
// that was loaded before (kexec_load(2)).
func Supported(a control.Action) error {
	if a != control.Kexec {
		return nil
	}
	b, err := os.ReadFile("/sys/kernel/kexec_loaded")
	if err != nil {
		return fmt.Errorf("shut down by kexec: %w; this kernel has none", err)
	}
	if strings.TrimSpace(string(b)) != "1" {
		return errors.New("shut down by kexec: no kernel is loaded; load one with kexec -l first")
	}
	return nil
}

// Final makes the reboot(2) call. It returns only when that failed. In a PID
// namespace it ends that (pid_namespaces(7)).
func Final(a control.Action) error {
	cmd := unix.LINUX_REBOOT_CMD_RESTART
	switch a {
	case control.Poweroff:
		cmd = unix.LINUX_REBOOT_CMD_POWER_OFF
	case control.Halt:
		cmd = unix.LINUX_REBOOT_CMD_HALT
	case control.Kexec:
		cmd = unix.LINUX_REBOOT_CMD_KEXEC
	}
	if err := unix.Reboot(cmd); err != nil {
		return fmt.Errorf("%s: %w", a, err)
	}
	return nil
}

// Sweep ends every process but this one: first asked, then killed. Services
// are gone by then; this is for what escaped no service but belonged to none.
func Sweep(alive func() bool) {
	syscall.Kill(-1, syscall.SIGTERM) // ESRCH: there is nobody, which is the aim
	for end := time.Now().Add(killGrace); alive() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	syscall.Kill(-1, syscall.SIGKILL)
}

// OthersAlive reports whether a process of user space lives beside this one.
func OthersAlive() bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	self := os.Getpid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self {
			continue
		}
		// Threads of the kernel have no memory and so no command line; nor have
		// zombies.
		if b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline"); err == nil && len(b) > 0 {
			return true
		}
	}
	return false
}

// Sync writes caches to the disks, for a bounded time: a dead disk must not
// keep the machine from going down.
func Sync() error { return bounded("sync", syncTimeout, func() error { syscall.Sync(); return nil }) }

func bounded(what string, limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("%s: not done after %s, going on without", what, limit)
	}
}

// Unmount takes down what is mounted from disks, last first; what is busy is
// made read-only. The kernel's own file systems and those in RAM stay: nothing
// of them is left anyway.
func Unmount() error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	defer f.Close()
	mounts, err := parseMounts(f)
	if err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return bounded("unmount", syncTimeout, func() error {
		var errs []error
		for i := len(mounts) - 1; i >= 0; i-- {
			m := mounts[i]
			if !m.disk() {
				continue
			}
			err := unix.Unmount(m.point, unix.UMOUNT_NOFOLLOW)
			if err == nil {
				continue
			}
			if ro := unix.Mount("", m.point, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); ro != nil {
				errs = append(errs, fmt.Errorf("unmount %s: %w; make it read-only: %w", m.point, err, ro))
			}
		}
		return errors.Join(errs...)
	})
}

// mount is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct{ point, fstype, source string }

// disk reports whether there is something behind the mount that outlives this
// boot: a block device, a network, a user-space file system.
func (m mount) disk() bool {
	if strings.HasPrefix(m.source, "/dev/") {
		return true
	}
	switch m.fstype {
	case "nfs", "nfs4", "cifs", "9p", "virtiofs", "overlay", "btrfs":
		return true
	}
	return strings.HasPrefix(m.fstype, "fuse")
}

func parseMounts(r io.Reader) ([]mount, error) {
	var out []mount
	s := bufio.NewScanner(r)
	for s.Scan() {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
		left, right, ok := strings.Cut(s.Text(), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 2 {
			return nil, fmt.Errorf("parse mountinfo line %q", s.Text())
		}
		out = append(out, mount{unescapeMount(l[4]), r[0], unescapeMount(r[1])})
	}
	return out, s.Err()
}

// unescapeMount undoes the octal escapes of mountinfo.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
