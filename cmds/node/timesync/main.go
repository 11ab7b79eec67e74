// Timesync keeps the clock: hardware clock, the image's build date as a floor,
// and a time server where bee.ntp or DHCP names one.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/timesync"
)

func main() {
	os.Exit(timesync.Main(os.Stdout))
}
