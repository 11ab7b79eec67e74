// Smoketest checks this node: services, SSH, network, modules, audit. One line
// a check; the exit status is 1 when a required one fails.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/smoke"
)

func main() {
	os.Exit(smoke.Main(os.Args[1:], os.Stdout, os.Stderr))
}
