// Package nvidia brings up NVIDIA's driver from the image: its modules by
// absolute path in the one order that works, the device files, and the soname
// links in the glibc compat root. It never looks anything up on the network
// and does nothing where there is no GPU or no driver.
package nvidia

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// modules are the driver's, in the order in which they need each other.
var modules = []string{"nvidia", "nvidia-uvm", "nvidia-modeset", "nvidia-drm"}

// Major is the character device number that NVIDIA's driver has for ever
// (kernel: Documentation/admin-guide/devices.txt, 195 char); 255 is the control
// device.
const (
	Major   = 195
	control = 255
)

// CompatRoot is where the glibc programs and libraries lie, relative to the
// root.
const CompatRoot = "usr/lib/bee/compat"

// Errors that mean: nothing to do here.
var (
	ErrNoGPU    = errors.New("no NVIDIA GPU")
	ErrNoDriver = errors.New("the image carries no NVIDIA driver for this kernel")
)

// GPUs lists the PCI addresses of NVIDIA's display controllers and accelerators
// below root: vendor 10de, class 03.
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
		vendor, err := fs.ReadFile(root, path.Join(dir, e.Name(), "vendor"))
		if err != nil {
			continue // gone meanwhile
		}
		class, err := fs.ReadFile(root, path.Join(dir, e.Name(), "class"))
		if err == nil && strings.TrimSpace(string(vendor)) == "0x10de" && strings.HasPrefix(string(class), "0x03") {
			found = append(found, e.Name())
		}
	}
	return found, nil
}

// Plan is what there is to do on a machine.
type Plan struct {
	GPUs    []string // PCI addresses
	Modules []string // files, in order, relative to the root
}

// MakePlan looks at the machine below root that runs the kernel release. Its
// error wraps ErrNoGPU or ErrNoDriver where nothing is to be done.
func MakePlan(root fs.FS, release string) (Plan, error) {
	gpus, err := GPUs(root)
	if err != nil {
		return Plan{}, err
	}
	if len(gpus) == 0 {
		return Plan{}, ErrNoGPU
	}
	p := Plan{GPUs: gpus}
	dir := path.Join("lib/modules", release, "nvidia")
	for _, m := range modules {
		for _, suffix := range []string{".ko", ".ko.xz", ".ko.zst"} {
			file := path.Join(dir, m+suffix)
			if _, err := fs.Stat(root, file); err == nil {
				p.Modules = append(p.Modules, file)
				break
			}
		}
	}
	if len(p.Modules) == 0 {
		return p, fmt.Errorf("%w: %d GPUs, and %s is not there", ErrNoDriver, len(gpus), dir)
	}
	return p, nil
}

// Node is a device file.
type Node struct {
	Path         string // below /dev
	Major, Minor uint32
}

// Nodes are the device files for n GPUs. devices is the text of /proc/devices,
// where the unified memory driver's number stands.
func Nodes(n int, devices string) []Node {
	nodes := []Node{{"nvidiactl", Major, control}}
	for i := range n {
		nodes = append(nodes, Node{"nvidia" + strconv.Itoa(i), Major, uint32(i)})
	}
	for line := range strings.Lines(devices) {
		f := strings.Fields(line)
		if len(f) != 2 || f[1] != "nvidia-uvm" {
			continue
		}
		if major, err := strconv.ParseUint(f[0], 10, 20); err == nil {
			nodes = append(nodes, Node{"nvidia-uvm", uint32(major), 0}, Node{"nvidia-uvm-tools", uint32(major), 1})
		}
	}
	return nodes
}

// Links makes, in the compat root's lib folder, the soname links that
// ldconfig(8) would make: libcuda.so.1 → libcuda.so.550.163.01. A library whose
// link is there is left alone.
func Links(root *os.Root) error {
	dir := path.Join(CompatRoot, "lib")
	entries, err := fs.ReadDir(root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("link NVIDIA libraries: %w", err)
	}
	var errs []error
	for _, e := range entries {
		base, version, ok := strings.Cut(e.Name(), ".so.")
		if !ok || strings.Count(version, ".") < 1 || e.Type()&fs.ModeSymlink != 0 {
			continue
		}
		err := root.Symlink(e.Name(), path.Join(dir, base+".so.1"))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			errs = append(errs, fmt.Errorf("link NVIDIA library: %w", err))
		}
	}
	return errors.Join(errs...)
}
