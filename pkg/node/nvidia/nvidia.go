// Package nvidia brings up NVIDIA's driver from the image: its modules by
// absolute path in the one order that works, the device files, persistence,
// and a check that driver and libraries are of one release. It never looks
// anything up on the network and does nothing where there is no GPU or no
// driver. What became of it is told in a file that the audit and the smoke test
// read.
package nvidia

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
)

// Errors that mean: nothing to do here.
var (
	ErrNoGPU    = errors.New("no NVIDIA GPU")
	ErrNoDriver = errors.New("the image carries no NVIDIA driver")
)

// vendor is NVIDIA's number on the PCI bus.
const vendor = "0x10de"

// GPUs lists the PCI addresses of NVIDIA's display controllers and accelerators
// below root: vendor 10de, class 03 (sysfs-bus-pci: vendor, class).
func GPUs(root fs.FS) ([]string, error) {
	const dir = "sys/bus/pci/devices"
	entries, err := fs.ReadDir(root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for GPUs: %w", err)
	}
	var found []string
	for _, e := range entries {
		maker, err := fs.ReadFile(root, path.Join(dir, e.Name(), "vendor"))
		if err != nil {
			continue // gone meanwhile
		}
		class, err := fs.ReadFile(root, path.Join(dir, e.Name(), "class"))
		if err == nil && strings.TrimSpace(string(maker)) == vendor && strings.HasPrefix(string(class), "0x03") {
			found = append(found, e.Name())
		}
	}
	return found, nil
}

// modeset is the module that only a screen of its own needs; it is loaded where
// bee.nvidia=modeset asks.
const modeset = "nvidia-modeset"

// Plan is what there is to do on a machine.
type Plan struct {
	GPUs    []string    // PCI addresses
	Driver  *bom.NVIDIA // what the image carries
	Files   []string    // modules in order, relative to the root
	Depends []string    // modules of the kernel's own that they need
}

// MakePlan looks at the machine below root. Its error wraps ErrNoGPU or
// ErrNoDriver where nothing is to be done. force goes on without a GPU.
func MakePlan(root fs.FS, withModeset, force bool) (Plan, error) {
	gpus, err := GPUs(root)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{GPUs: gpus}
	text, err := fs.ReadFile(root, bom.Path)
	if err != nil {
		return p, fmt.Errorf("read what the image carries: %w", err)
	}
	bill, err := bom.DecodeHead(text)
	if err != nil {
		return p, fmt.Errorf("read what the image carries: %w", err)
	}
	p.Driver = bill.NVIDIA
	switch {
	case len(gpus) == 0 && !force:
		return p, ErrNoGPU
	case bill.NVIDIA == nil:
		return p, fmt.Errorf("%w, and the machine has %s; build the image with NVIDIA=on", ErrNoDriver, count(len(gpus), "NVIDIA GPU"))
	}
	p.Depends = bill.NVIDIA.Depends
	for _, m := range bill.NVIDIA.Modules {
		if moduleName(m.Path) != modeset || withModeset {
			p.Files = append(p.Files, path.Join(bom.DriverDir, m.Path))
		}
	}
	return p, nil
}

// moduleName is a module's name by its file: nvidia-uvm.ko.xz → nvidia-uvm.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return name
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// DriverVersion is the release of the driver that is loaded, from
// /proc/driver/nvidia/version: the first word of its line "NVRM version:" that
// is a version. Absent driver: the error wraps fs.ErrNotExist.
func DriverVersion(root fs.FS) (string, error) {
	text, err := fs.ReadFile(root, "proc/driver/nvidia/version")
	if err != nil {
		return "", fmt.Errorf("ask the NVIDIA driver for its version: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for _, word := range strings.Fields(line) {
		if isVersion(word) {
			return word, nil
		}
	}
	return "", fmt.Errorf("read the NVIDIA driver's version: %q holds none", line)
}

// isVersion says whether a word looks like 550.163.01.
func isVersion(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) >= 2 && !slices.ContainsFunc(parts, func(p string) bool { return p == "" || strings.Trim(p, "0123456789") != "" })
}

// LibraryVersion is the release of the libraries of the compat root: the number
// behind libnvidia-ml.so. Without libraries the error wraps fs.ErrNotExist.
func LibraryVersion(root fs.FS) (string, error) {
	const prefix = "libnvidia-ml.so."
	dir := path.Join(bom.CompatDir, "lib")
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return "", fmt.Errorf("look for NVIDIA's libraries: %w", err)
	}
	for _, e := range entries {
		if v, ok := strings.CutPrefix(e.Name(), prefix); ok && isVersion(v) {
			return v, nil
		}
	}
	return "", fmt.Errorf("look for NVIDIA's libraries: %s has no %s*: %w", dir, prefix, fs.ErrNotExist)
}
