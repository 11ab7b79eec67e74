// Gpuburn is burn gpu: it puts every NVIDIA GPU under load and judges how it
// does: see gpuburn --help.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/burn"
)

func main() {
	os.Exit(burn.MainGPU(os.Args[1:], os.Stdout, os.Stderr))
}
