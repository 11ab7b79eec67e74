package enter

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// allThreads calls prctl(2) with one argument on every thread of the process:
// what it sets belongs to a thread, and the Go runtime may start the program
// from any of them.
func allThreads(option int, arg uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
