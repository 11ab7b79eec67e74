// Audit is the node's audit command for any Linux machine: try it on a server
// that runs something else before bee is booted on it. See audit --help. It
// reads /sys, /proc and /dev, asks devices by ioctls that change nothing, and
// runs no other program.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/audit"
)

func main() {
	os.Exit(audit.Main(os.Args[1:], os.Stdout, os.Stderr))
}
