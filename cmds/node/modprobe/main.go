// Modprobe loads kernel modules with what they need, or takes them out:
// modprobe [-abnqv] MODULE [PARAMETER=VALUE…], modprobe -r MODULE…. The kernel
// starts it too, for what it lacks. It reads the blacklists and module parameters
// of the kernel command line.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/modload"
)

func main() {
	os.Exit(modload.ModprobeMain(os.Args[1:], os.Stdout, os.Stderr))
}
