// Coldplug stands in for the real one: it says how it was started.
package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	text := fmt.Sprintf("%q %q", os.Args, os.Environ())
	// Who may mount here, and whose mounts nobody else sees, has a namespace of its own.
	if err := syscall.Mount("tmpfs", "/bin", "tmpfs", 0, ""); err == nil {
		text += " in a mount namespace of its own"
	}
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	text += fmt.Sprintf(", timer slack %d %v", slack, err)
	knice, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 less the niceness (getpriority(2))
	text += fmt.Sprintf(", niceness %d %v", 20-knice, err)
	if os.WriteFile("/told.new", []byte(text), 0o644) != nil || os.Rename("/told.new", "/told") != nil {
		os.Exit(1)
	}
}
