// Svc speaks to the supervisor over /run/bee/control.sock: see svc --help.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/supervise/svc"
)

func main() {
	os.Exit(svc.Main(os.Args[1:], os.Stdout, os.Stderr))
}
