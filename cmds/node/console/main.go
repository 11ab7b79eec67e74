// Console shows the machine's state on its serial and VGA consoles, opens a
// shell there on Enter, and writes /run/bee/motd.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/console"
)

func main() {
	os.Exit(console.Main(os.Stdout))
}
