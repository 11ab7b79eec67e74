package bringup

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
)

// Early is what PID 1 itself looks at first: the kernel's file systems.
var Early = []Row{
	Mount{Source: "proc", Target: "/proc", Type: "proc", Flags: hidden},
	Mount{Source: "sysfs", Target: "/sys", Type: "sysfs", Flags: hidden},
	Mount{Source: "devtmpfs", Target: "/dev", Type: "devtmpfs", Flags: unix.MS_NOSUID, Data: "mode=0755"},
}

// Footing is what else PID 1 stands on: where it listens, and where it puts the
// services. All else is a service's.
var Footing = []Row{
	// Root is in RAM already; this, like /tmp, is a mount of its own for its limit
	// and so that nothing set-uid hides there.
	Mount{Source: "run", Target: "/run", Type: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=0755,size=20%"},
	Dir{"/run/bee", 0o755}, // network and sshd begin before localmount is done
	Mount{Source: "cgroup2", Target: "/sys/fs/cgroup", Type: "cgroup2", Flags: hidden, Data: "nsdelegate,memory_recursiveprot"},
	HugePages{},
	// Niceness shall count between the services of a boot: with groups made by
	// the kernel, one a session, it does not (sched(7), autogroup).
	Sysctl{Key: "kernel.sched_autogroup_enabled", Value: "0", Optional: true},
	// The logs of services go to /dev/kmsg, at a rate that PID 1 limits.
	Sysctl{Key: "kernel.printk_devkmsg", Value: "on"},
}

// hidden is how file systems are mounted that hold no programs.
const hidden = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// EFIVars mounts the variables of UEFI firmware. The file system is a module:
// coldplug mounts it, when that is in.
var EFIVars = Mount{Source: "efivarfs", Target: "/sys/firmware/efi/efivars", Type: "efivarfs", Flags: hidden, If: "/sys/firmware/efi/efivars"}

// local is what services expect of the file systems.
var local = []Row{
	// In case devtmpfs is not to be had.
	Dev{"/dev/console", unix.S_IFCHR | 0o600, 5, 1},
	Dev{"/dev/null", unix.S_IFCHR | 0o666, 1, 3},
	Dev{"/dev/kmsg", unix.S_IFCHR | 0o644, 1, 11},
	Dir{"/dev/pts", 0o755},
	Mount{Source: "devpts", Target: "/dev/pts", Type: "devpts", Flags: unix.MS_NOSUID | unix.MS_NOEXEC, Data: "gid=5,mode=620,ptmxmode=666"},
	Dir{"/dev/shm", 0o777 | os.ModeSticky},
	Mount{Source: "shm", Target: "/dev/shm", Type: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=1777"},
	Mount{Source: "tmp", Target: "/tmp", Type: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=1777,size=50%"},
	Mount{Source: "securityfs", Target: "/sys/kernel/security", Type: "securityfs", Flags: hidden, If: "/sys/kernel/security"},
	Mount{Source: "pstore", Target: "/sys/fs/pstore", Type: "pstore", Flags: hidden, If: "/sys/fs/pstore"},
	Dir{"/run/lock", 0o777 | os.ModeSticky},
	Dir{"/var/log", 0o755},
	Dir{"/var/tmp", 0o777 | os.ModeSticky},
	Dir{"/etc", 0o755},
	Dir{"/root", 0o700},
}

// settings are what people and programs expect, and what keeps them from each
// other. cmdline is the kernel's own.
func settings(p bootparam.Params, cmdline string) []Row {
	table := []Row{
		// A link or pipe in a sticky directory is no trap (sysctl/fs.rst).
		Sysctl{Key: "fs.protected_symlinks", Value: "1"},
		Sysctl{Key: "fs.protected_hardlinks", Value: "1"},
		Sysctl{Key: "fs.protected_fifos", Value: "1"},
		Sysctl{Key: "fs.protected_regular", Value: "2"},
		Sysctl{Key: "kernel.kptr_restrict", Value: "1"},
		// The three fingers ask PID 1 by SIGINT instead of resetting at once.
		Sysctl{Key: "kernel.ctrl-alt-del", Value: "0"},
		// Who may ping without a set-uid program: every group.
		Sysctl{Key: "net.ipv4.ping_group_range", Value: "0 2147483647", Optional: true},
		Symlink{"/proc/self/fd", "/dev/fd"},
		Symlink{"/proc/self/fd/0", "/dev/stdin"},
		Symlink{"/proc/self/fd/1", "/dev/stdout"},
		Symlink{"/proc/self/fd/2", "/dev/stderr"},
		Symlink{"/run", "/var/run"},
		Symlink{"/proc/self/mounts", "/etc/mtab"},
	}
	if !p.Debug && !asksForMessages(cmdline) {
		// Errors and worse reach the console: the boot log is for people.
		table = append(table, Sysctl{Key: "kernel.printk", Value: "4 4 1 7"})
	}
	if p.RebootOnFailure {
		table = append(table, Sysctl{Key: "kernel.panic", Value: "10"})
	}
	return table
}

// asksForMessages reports whether the command line says itself how much the
// kernel writes to the console (kernel-parameters.txt).
func asksForMessages(cmdline string) bool {
	return slices.ContainsFunc(bootparam.Split(cmdline), func(w string) bool {
		return w == "debug" || w == "ignore_loglevel" || strings.HasPrefix(w, "loglevel=")
	})
}
