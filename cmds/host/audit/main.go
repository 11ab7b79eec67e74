// Audit is the node's audit command for any Linux machine: try it on a server
// that runs something else before bee is booted on it. See audit --help. It
// reads /sys, /proc and /dev, asks devices by commands that only read, and
// runs no other program unless a maker's lies in /usr/libexec/vendor or
// nvmlreport in /usr/lib/bee/compat. For a MegaRAID controller it makes the
// driver's node in /dev where nobody has.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/audit"
)

func main() {
	os.Exit(audit.Main(os.Args[1:], os.Stdout, os.Stderr))
}
