// Nvidia loads NVIDIA's driver from the image, where there is a GPU: modules by
// absolute path, device files, persistence mode. It ends with status 0 and says
// "skipped" to the supervisor where there is nothing to do.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/nvidia"
)

func main() {
	os.Exit(nvidia.Main(os.Args[1:], os.Stdout, os.Stderr))
}
