// Audit looks at the hardware and reports what it found: see audit --help. At
// boot it writes /var/log/bee-audit.json. It reads sysfs, procfs and /dev, asks
// devices what no file answers, and runs no other program but those of hardware's
// makers that were built into the image (usr/libexec/vendor).
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/audit"
)

func main() {
	os.Exit(audit.Main(os.Args[1:], os.Stdout, os.Stderr))
}
