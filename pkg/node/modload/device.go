package modload

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Device is something that asks for a driver.
type Device struct {
	Path     string // below /sys: devices/pci0000:00/0000:00:03.0
	Modalias string
	Bound    bool // has a driver now
}

// Devices lists what has a modalias below sys/bus of root (kernel:
// Documentation/ABI/testing/sysfs-bus-pci and the like), network devices
// first: an operator waits for them. What vanishes while it is looked at is
// left out; the error names what could not be read otherwise, the list holds
// the rest.
func Devices(root fs.FS) ([]Device, error) {
	entries, err := fs.ReadDir(root, "sys/bus")
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	buses := make([]string, len(entries))
	for i, e := range entries {
		buses[i] = e.Name()
	}
	return devicesOf(root, buses)
}

// earlyBuses are the buses that network cards are on, and most disks.
var earlyBuses = []string{"virtio", "pci", "vmbus", "xen"}

// treeBus is the bus of what a device tree has, which is below treeDir.
const (
	treeBus = "platform"
	treeDir = "sys/firmware/devicetree/base"
)

// earlyDevices lists what is on the buses of network cards, those first, then
// disks.
func earlyDevices(root fs.FS) ([]Device, error) {
	buses := earlyBuses
	if _, err := fs.Stat(root, treeDir); err == nil {
		buses = append(slices.Clone(buses), treeBus)
	}
	return devicesOf(root, buses)
}

func devicesOf(root fs.FS, buses []string) ([]Device, error) {
	var list []Device
	var errs []error
	for _, bus := range buses {
		dir := path.Join("sys/bus", bus, "devices")
		devices, err := fs.ReadDir(root, dir)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("list devices: %w", err))
			}
			continue
		}
		for _, d := range devices {
			dev, ok, err := readDevice(root, path.Join(dir, d.Name()))
			if err != nil {
				errs = append(errs, err)
			}
			if ok {
				list = append(list, dev)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Device) int { return rank(a.Modalias) - rank(b.Modalias) })
	return list, errors.Join(errs...)
}

// readDevice reads the device behind a link of sys/bus.
func readDevice(root fs.FS, name string) (Device, bool, error) {
	text, err := fs.ReadFile(root, path.Join(name, "modalias"))
	if err != nil {
		if gone(err) {
			return Device{}, false, nil
		}
		return Device{}, false, fmt.Errorf("read device: %w", err)
	}
	alias := strings.TrimSpace(string(text))
	if alias == "" {
		return Device{}, false, nil
	}
	if _, err := fs.Stat(root, path.Join(name, "physical_node")); err == nil {
		return Device{}, false, nil // firmware's name for a device that another bus has too
	}
	d := Device{Path: strings.TrimPrefix(name, "sys/"), Modalias: alias}
	if to, err := fs.ReadLink(root, name); err == nil {
		d.Path = strings.TrimPrefix(path.Join(path.Dir(name), to), "sys/")
	}
	_, err = fs.Stat(root, path.Join(name, "driver"))
	d.Bound = err == nil
	return d, true, nil
}

// gone says that an attribute is not there, or its device went while it was
// read.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoDevice)
}

// rank orders devices: network, storage, the rest.
func rank(alias string) int {
	switch {
	case isNetwork(alias):
		return 0
	case strings.HasPrefix(alias, "pci:") && strings.Contains(alias, "bc01"), strings.HasPrefix(alias, "virtio:d00000002v"), strings.HasPrefix(alias, "virtio:d00000008v"):
		return 1
	}
	return 2
}

// isNetwork says that a modalias is that of a network card: PCI class 02,
// virtio device 1 (virtio specification 5), Hyper-V's and Xen's, and a node of a
// device tree that is called ethernet (Devicetree Specification 0.4, 2.2.2).
func isNetwork(alias string) bool {
	switch bus, rest, _ := strings.Cut(alias, ":"); bus {
	case "pci":
		return strings.Contains(rest, "bc02")
	case "virtio":
		return strings.HasPrefix(rest, "d00000001v")
	case "vmbus":
		return strings.HasPrefix(rest, "635161f83edfc546913ff2d2f965ed0e")
	case "xen":
		return rest == "vif"
	case "of": // N<name>T<type>C<compatible>: kernel, drivers/of/module.c
		return strings.HasPrefix(rest, "NethernetT")
	}
	return false
}

// mustHaveDriver says that a device is of a kind that is useless without a
// driver: mass storage, network, display, serial attached and accelerators
// (PCI classes 01, 02, 03, 0c and 12), and the network cards of a device tree.
// Bridges and the like live without one.
func mustHaveDriver(alias string) bool {
	if strings.HasPrefix(alias, "of:") {
		return isNetwork(alias)
	}
	_, class, ok := strings.Cut(alias, "bc")
	if !ok || !strings.HasPrefix(alias, "pci:") || len(class) < 2 {
		return false
	}
	switch class[:2] {
	case "01", "02", "03", "12":
		return true
	}
	return false
}
