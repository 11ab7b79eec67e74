// Coldplug stands in for the real one: it says how it was started.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	text := fmt.Sprintf("%q %q", os.Args, os.Environ())
	// Who may mount here, and whose mounts nobody else sees, has a namespace of its own.
	if err := syscall.Mount("tmpfs", "/bin", "tmpfs", 0, ""); err == nil {
		text += " in a mount namespace of its own"
	}
	if os.WriteFile("/told.new", []byte(text), 0o644) != nil || os.Rename("/told.new", "/told") != nil {
		os.Exit(1)
	}
}
