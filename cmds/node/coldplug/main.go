// Coldplug loads the kernel modules that the machine's devices ask for, network
// cards first, and serves what is plugged in later. It reads the parameters
// bee.module, bee.blacklist, module_blacklist, modprobe.blacklist and
// module.parameter=value, and writes /run/bee/modules.json.
//
//	coldplug ahead
//
// does network cards and disks alone, while PID 1 begins; see modload.AheadMain.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/modload"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "ahead" {
		os.Exit(modload.AheadMain())
	}
	os.Exit(modload.Main(os.Stdout))
}
