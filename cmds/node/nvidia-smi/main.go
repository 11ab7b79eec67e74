// Nvidia-smi starts NVIDIA's own program of that name in the compat root, where
// the image has one (NVIDIA=on), with the arguments as they are.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/compat"
)

func main() {
	os.Exit(compat.Main("nvidia-smi", os.Args[1:], os.Stderr))
}
