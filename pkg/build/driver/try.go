package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"

	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
)

// arch is the one architecture that a driver is built for.
const arch = "amd64"

// Try builds every flavour with what l pins: whoever moves the kernel, the
// driver or the compiler learns at once that they do not fit. What was built is
// in the cache for the next image.
func Try(ctx context.Context, l *lock.File, patches fs.FS, cache string, progress io.Writer) error {
	k, err := kernel.Find(l, arch)
	if err != nil {
		return err
	}
	for _, f := range Flavors {
		_, err := Build(ctx, Config{Lock: l, Arch: arch, Flavor: f, Kernel: k, Release: strings.TrimPrefix(k.Name, "linux-image-"),
			Patches: patches, Cache: cache, Jobs: runtime.NumCPU(), Progress: progress})
		if errors.Is(err, ErrNotPinned) {
			fmt.Fprintf(progress, "try the NVIDIA driver (%s): %v\n", f.Name, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
