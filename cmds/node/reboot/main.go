// Reboot reboots the machine, in order: it asks the
// supervisor over /run/bee/control.sock.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/supervise/svc"
)

func main() {
	os.Exit(svc.Leave("reboot", os.Args[1:], os.Stdout, os.Stderr))
}
