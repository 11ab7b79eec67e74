// Init is PID 1: it mounts, starts, collects, logs and stops. It reads
// /proc/cmdline (parameters bee.shell, bee.debug, bee.watchdog,
// bee.reboot_on_failure and those that services are chosen by), listens at
// /run/bee/control.sock and needs nothing else of the image; services are in
// pkg/node/services. Signals: INT and TERM reboot, USR1 halts, USR2 and PWR
// power off, QUIT writes all stacks into the log.
package main

import (
	"fmt"
	"os"

	"github.com/bee-os/bee/pkg/node/services"
	"github.com/bee-os/bee/pkg/node/supervise/pid1"
)

func main() {
	machine := pid1.Machine(services.All)
	machine.Earlier = int(ahead)
	fmt.Fprintln(os.Stderr, pid1.Run(machine, os.Args))
	os.Exit(1)
}
