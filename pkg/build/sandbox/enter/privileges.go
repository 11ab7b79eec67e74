package enter

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// kept are the capabilities that a program started as root inside still gets:
// those over files and processes. Without CAP_SYS_ADMIN it cannot undo a mount,
// without CAP_MKNOD and CAP_SYS_RAWIO it reaches no device. See capabilities(7).
var kept = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID,
	unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETUID,
}

// keptNet are kept too by a step that configures a network namespace.
var keptNet = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE}

// dropPrivileges shrinks the bounding set, so that the program loses the rest
// at its exec, and sets no_new_privs, so that no setuid file gives any back.
func dropPrivileges(netCap bool) error {
	keep := map[uintptr]bool{}
	for _, c := range kept {
		keep[c] = true
	}
	if netCap {
		for _, c := range keptNet {
			keep[c] = true
		}
	}
	for c := uintptr(0); c <= 63; c++ {
		if keep[c] {
			continue
		}
		err := allThreads(unix.PR_CAPBSET_DROP, c)
		if errors.Is(err, unix.EINVAL) {
			break // past the last one that this kernel knows
		}
		if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := allThreads(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}
