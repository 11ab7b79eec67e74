// Beebox is the inside of bee's sandbox: it becomes PID 1 of fresh namespaces,
// mounts what the step declared, and runs the step's program. pkg/build/sandbox
// builds it, starts it and tells it what to do in the environment variable
// BEEBOX_SPEC (JSON); nobody calls it by hand.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/build/sandbox/enter"
)

func main() {
	os.Exit(enter.Main(os.Environ(), os.Stderr))
}
