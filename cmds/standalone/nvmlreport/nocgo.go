//go:build !cgo || !linux

package main

import (
	"fmt"
	"os"
)

// start says that this build can ask nobody: go-nvml opens the library with
// dlopen(3), which needs cgo.
func start([]string) int {
	fmt.Fprintln(os.Stderr, "nvmlreport: ask NVML: this program was built without cgo; build it with CGO_ENABLED=1 and a C compiler")
	return 1
}
