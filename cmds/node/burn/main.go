// Burn puts hardware under load and judges how it does: see burn --help. It
// starts gpuworker and nvmlreport of the compat root, reads sysfs, procfs and
// the kernel's log, opens disks for reading only, and writes
// /var/log/bee-burn.json.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/burn"
)

func main() {
	os.Exit(burn.Main(os.Args[1:], os.Stdout, os.Stderr))
}
