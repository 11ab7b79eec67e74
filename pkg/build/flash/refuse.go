package flash

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// find is the disk with this number; a partition is refused with the name of
// its disk.
func find(disks []disk, dev string) (disk, error) {
	for _, d := range disks {
		if d.dev == dev {
			return d, nil
		}
		for _, p := range d.partitions {
			if p.dev == dev {
				return disk{}, fmt.Errorf("it is a partition; an image has partitions of its own: name the whole disk, /dev/%s", d.name)
			}
		}
	}
	return disk{}, fmt.Errorf("/sys/block has no disk with the number %s", dev)
}

// refuse gives every reason not to write size bytes over a disk, or nil.
func refuse(d disk, disks []disk, uses []use, size int64) error {
	var errs []error
	if len(d.slaves) > 0 {
		errs = append(errs, fmt.Errorf("it is made of other devices (%s): name a disk of its own", strings.Join(d.slaves, ", ")))
	}
	if d.readOnly {
		errs = append(errs, errors.New("it is read-only; is there a switch on the medium?"))
	}
	if d.size < size {
		errs = append(errs, fmt.Errorf("it has %s, and the image needs %s", bytesOf(d.size), bytesOf(size)))
	}
	for _, u := range uses {
		if part := d.under(u, disks); part != "" {
			errs = append(errs, fmt.Errorf("%s is %s%s", part, u.how, advice(u)))
		}
	}
	held := func(name string, holders []string) {
		for _, h := range holders {
			errs = append(errs, fmt.Errorf("%s is held by %s; dissolve that first (dmsetup, vgchange -an, mdadm --stop, cryptsetup close)", name, title(h, disks)))
		}
	}
	held(d.name, d.holders)
	for _, p := range d.partitions {
		held(p.name, p.holders)
	}
	return errors.Join(errs...)
}

func advice(u use) string {
	switch {
	case u.system:
		return ": this machine runs from it"
	case u.dev == "":
		return "; swapoff it first"
	}
	return "; unmount it first"
}

// under says which part of the disk a use lies on, straight or through
// device-mapper and RAID devices that are made of it; empty: none.
func (d disk) under(u use, disks []disk) string {
	if u.names(d.dev, d.name, d.mapped) {
		return d.name
	}
	for _, p := range d.partitions {
		if u.names(p.dev, p.name, "") {
			return p.name
		}
	}
	for _, upper := range disks {
		used := u.names(upper.dev, upper.name, upper.mapped) || slices.ContainsFunc(upper.partitions, func(p partition) bool { return u.names(p.dev, p.name, "") })
		if !used {
			continue
		}
		if part := d.carries(upper, disks, nil); part != "" {
			return part + " (as part of " + title(upper.name, disks) + ")"
		}
	}
	return ""
}

// carries says which part of the disk another device is made of, however many
// layers lie between; through are the layers seen already.
func (d disk) carries(upper disk, disks []disk, through []string) string {
	for _, s := range upper.slaves {
		if s == d.name || slices.ContainsFunc(d.partitions, func(p partition) bool { return p.name == s }) {
			return s
		}
		if slices.Contains(through, s) {
			continue
		}
		for _, next := range disks {
			if next.name == s || slices.ContainsFunc(next.partitions, func(p partition) bool { return p.name == s }) {
				if part := d.carries(next, disks, append(through, s)); part != "" {
					return part
				}
			}
		}
	}
	return ""
}

// title is a device's name with that of the mapper.
func title(name string, disks []disk) string {
	for _, d := range disks {
		if d.name == name && d.mapped != "" {
			return name + ", " + d.mapped
		}
	}
	return name
}

// bytesOf is a size for people, and to the byte.
func bytesOf(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB (%d bytes)", float64(n)/(1<<30), n)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB (%d bytes)", float64(n)/(1<<20), n)
	}
	return fmt.Sprintf("%d bytes", n)
}
