// Powerkey powers the machine off in order when its power button is pressed, on
// its front or by a BMC (ipmitool chassis power soft).
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/powerkey"
)

func main() {
	os.Exit(powerkey.Main(os.Stdout))
}
