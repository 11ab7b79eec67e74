// Logship sends the logs of the services and the kernel since the boot to the
// syslog server that bee.syslog names.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/logship"
)

func main() {
	os.Exit(logship.Main(os.Stdout))
}
