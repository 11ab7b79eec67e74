package flash

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// sector is the unit of sizes in sysfs, whatever the disk's own is (kernel:
// Documentation/ABI/stable/sysfs-block).
const sector = 512

// disk is a block device that is no partition, as /sys/block has it.
type disk struct {
	name       string // sda
	dev        string // major:minor
	size       int64  // bytes
	readOnly   bool
	seq        string // counts what was put into the drive; empty on old kernels
	partitions []partition
	holders    []string // devices that are made of this one as a whole
	slaves     []string // devices that this one is made of
	mapped     string   // name of a device-mapper device
	where      string   // its folder below /sys/devices

	vendor, model, serial string
}

// partition is one of a disk, as the kernel knows it.
type partition struct {
	name        string // sda1
	dev         string
	number      int
	start, size int64 // bytes
	holders     []string
}

// readDisks reads /sys/block.
func readDisks(sys fs.FS) ([]disk, error) {
	entries, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var disks []disk
	for _, e := range entries {
		d, err := readDisk(sys, e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // pulled out meanwhile
		}
		if err != nil {
			return nil, err
		}
		disks = append(disks, d)
	}
	return disks, nil
}

func readDisk(sys fs.FS, name string) (disk, error) {
	dir := path.Join("block", name)
	d := disk{name: name}
	var err error
	if d.dev, err = text(sys, dir, "dev"); err != nil {
		return d, fmt.Errorf("look at disk %s: %w", name, err)
	}
	if d.size, err = sectors(sys, dir, "size"); err != nil {
		return d, fmt.Errorf("look at disk %s: %w", name, err)
	}
	ro, err := text(sys, dir, "ro")
	if err != nil {
		return d, fmt.Errorf("look at disk %s: %w", name, err)
	}
	d.readOnly = ro != "0"
	if d.holders, err = names(sys, path.Join(dir, "holders")); err != nil {
		return d, err
	}
	if d.slaves, err = names(sys, path.Join(dir, "slaves")); err != nil {
		return d, err
	}
	d.seq = optional(sys, dir, "diskseq")
	d.mapped = optional(sys, dir, "dm/name")
	if d.where, err = fs.ReadLink(sys, dir); err != nil {
		d.where = "" // told as an unknown transport
	}
	d.identify(sys, dir)
	d.partitions, err = readPartitions(sys, dir)
	return d, err
}

// identify reads who made a disk: SCSI, NVMe, MMC and virtio each put it
// elsewhere.
func (d *disk) identify(sys fs.FS, dir string) {
	d.vendor = optional(sys, dir, "device/vendor")
	if strings.HasPrefix(d.vendor, "0x") {
		d.vendor = "" // a PCI number
	}
	d.model = first(optional(sys, dir, "device/model"), optional(sys, dir, "device/name"))
	d.serial = first(optional(sys, dir, "device/serial"), optional(sys, dir, "serial"))
	if page := optional(sys, dir, "device/vpd_pg80"); d.serial == "" && len(page) > 4 {
		d.serial = strings.TrimSpace(page[4:]) // SPC-4, 7.8.16: four bytes, then the number
	}
}

func readPartitions(sys fs.FS, dir string) ([]partition, error) {
	entries, err := fs.ReadDir(sys, dir)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	var list []partition
	for _, e := range entries {
		sub := path.Join(dir, e.Name())
		number, err := strconv.Atoi(optional(sys, sub, "partition"))
		if err != nil {
			continue // another of the disk's files
		}
		p := partition{name: e.Name(), number: number}
		if p.dev, err = text(sys, sub, "dev"); err == nil {
			p.start, err = sectors(sys, sub, "start")
		}
		if err == nil {
			p.size, err = sectors(sys, sub, "size")
		}
		if err == nil {
			p.holders, err = names(sys, path.Join(sub, "holders"))
		}
		if err != nil {
			return nil, fmt.Errorf("look at partition %s: %w", e.Name(), err)
		}
		list = append(list, p)
	}
	return list, nil
}

// transport says how a disk is connected, by its place among the devices.
func (d disk) transport() string {
	for _, t := range []struct{ part, name string }{
		{"/usb", "USB"}, {"/nvme", "NVMe"}, {"/ata", "SATA"}, {"/mmc", "MMC"}, {"/virtio", "virtio"}, {"/virtual/", "virtual"}, {"/host", "SCSI"},
	} {
		if strings.Contains(d.where, t.part) {
			return t.name
		}
	}
	return "unknown transport"
}

func text(sys fs.FS, dir, name string) (string, error) {
	b, err := fs.ReadFile(sys, path.Join(dir, name))
	return strings.TrimSpace(string(b)), err
}

// optional is text that not every disk has.
func optional(sys fs.FS, dir, name string) string {
	s, err := text(sys, dir, name)
	if err != nil {
		return ""
	}
	return s
}

func sectors(sys fs.FS, dir, name string) (int64, error) {
	s, err := text(sys, dir, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 54)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s/%s is %q, no number of sectors", dir, name, s)
	}
	return n * sector, nil
}

// names lists a folder that not every kernel has.
func names(sys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(sys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, nil
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
