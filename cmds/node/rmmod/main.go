// Rmmod takes kernel modules out: rmmod [-v] MODULE…. What they needed stays;
// modprobe -r takes that out as well.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/modload"
)

func main() {
	os.Exit(modload.RmmodMain(os.Args[1:], os.Stdout, os.Stderr))
}
