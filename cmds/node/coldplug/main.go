// Coldplug loads the kernel modules that the machine's devices ask for, network
// cards first, and serves what is plugged in later. It reads the parameters
// bee.module, bee.blacklist, module_blacklist, modprobe.blacklist and
// module.parameter=value, and writes /run/bee/modules.json.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/modload"
)

func main() {
	os.Exit(modload.Main(os.Stdout))
}
