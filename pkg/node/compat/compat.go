// Package compat knows the compat root: the folder that holds the glibc world
// of NVIDIA's and other makers' programs. The system around it is static and
// sees nothing of it; a program of it is started through its own loader
// (ld.so(8)), which finds libraries there and nowhere else.
package compat

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/bee-os/bee/pkg/bom"
)

// Root is where it lies, relative to the root file system.
const Root = bom.CompatDir

// Folders of it.
const (
	Bin = Root + "/bin"
	Lib = Root + "/lib"
)

// loaders are the names that glibc's loader has, one an architecture.
var loaders = []string{"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}

// Args is the command line that starts a program of the compat root that lies
// below root. The error wraps fs.ErrNotExist where the image has no such
// program; it names what is missing.
func Args(root fs.FS, program string, args ...string) ([]string, error) {
	file := path.Join(Bin, program)
	if _, err := fs.Stat(root, file); err != nil {
		return nil, fmt.Errorf("find %s in the compat root: %w", program, err)
	}
	return Served(root, "/"+file, args...)
}

// Served is the command line that starts a program which lies anywhere, by its
// absolute path, with the libraries of the compat root. The error wraps
// fs.ErrNotExist where the image has no compat root.
func Served(root fs.FS, file string, args ...string) ([]string, error) {
	program := path.Base(file)
	for _, name := range loaders {
		loader := path.Join(Lib, name)
		_, err := fs.Stat(root, loader)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find the loader of %s: %w", program, err)
		}
		return append([]string{"/" + loader, "--argv0", program, "--library-path", "/" + Lib, file}, args...), nil
	}
	return nil, fmt.Errorf("find the loader of %s: %s has none of %v: %w", program, Lib, loaders, fs.ErrNotExist)
}
