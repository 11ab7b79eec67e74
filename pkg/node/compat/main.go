package compat

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Main becomes a program of the compat root: the command that carries its name
// in the static system. It comes back only where that is not possible, with the
// exit status: 127 where the image has no such program, else 126 (as sh(1) has
// it).
func Main(program string, args []string, stderr io.Writer) int {
	line, err := Args(os.DirFS("/"), program, args...)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(stderr, "%s: %v; build the image with NVIDIA=on\n", program, err)
		return 127
	}
	if err == nil {
		err = syscall.Exec(line[0], line, os.Environ())
	}
	fmt.Fprintf(stderr, "%s: start it in the compat root: %v\n", program, err)
	return 126
}
