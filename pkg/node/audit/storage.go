package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// storage reads the block devices that have hardware behind them (kernel:
// Documentation/ABI/stable/sysfs-block).
func storage(ctx context.Context, m Machine, out *hwreport.Storage) ([]hwreport.Finding, error) {
	entries, err := names(m.Root, "sys/block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	type found1 struct{ name, dir string }
	var list []found1
	for _, name := range entries {
		dir := place(m.Root, "sys/block/"+name)
		if !physical(m, name, dir) {
			continue
		}
		list = append(list, found1{name, dir})
	}
	// Disks answer side by side: a slow one holds up no other.
	disks := make([]hwreport.Disk, len(list))
	each(len(list), 16, func(i int) { disks[i] = disk(ctx, m, list[i].name, list[i].dir) }, func(i int, why string) {
		disks[i] = hwreport.Disk{Name: list[i].name, Kind: "disk", Slot: slot(list[i].dir, "block")}
		hwreport.Fill(&disks[i], why)
	})
	slices.SortFunc(disks, func(a, b hwreport.Disk) int { return strings.Compare(a.Slot+a.Name, b.Slot+b.Name) })
	var ids hwreport.IDs
	var found []hwreport.Finding
	out.Controllers = storageControllers(ctx, m, disks)
	if list, ok := out.Controllers.Get(); ok {
		found = append(found, vendorControllers(ctx, m, list)...)
		out.Controllers = hwreport.Value(list)
	}
	seen := make(map[string]string)
	for i := range disks {
		d := &disks[i]
		wwn := d.WWN.Or("")
		if strings.HasPrefix(wwn, "nvme.") && d.Serial.State() == hwreport.IsValue {
			wwn = "" // made up by the kernel of serial number, model and namespace
		}
		id := hwreport.ID("disk", wwn, d.Serial.Or(""), d.Slot)
		if other, ok := seen[id]; ok {
			found = append(found, hwreport.NewFinding(hwreport.Info, "storage.duplicate-id", id, d.Name+" and "+other+" have the same identity: two paths to one disk, or a bad serial",
				hwreport.Evidence{Source: "sys/block/" + d.Name, Value: id}))
		}
		seen[id] = d.Name
		d.ID = ids.Unique(id)
		found = append(found, diskFindings(d)...)
	}
	for _, c := range out.Controllers.Or(nil) {
		for _, d := range c.Hidden.Or(nil) {
			found = append(found, diskFindings(&d)...)
		}
	}
	out.Enclosures = enclosures(m, disks)
	if len(disks) == 0 {
		out.Disks = hwreport.Absent[[]hwreport.Disk]()
		return found, nil
	}
	out.Disks = hwreport.Value(disks)
	return found, nil
}

// physical says whether a block device has hardware behind it: not loop, ram,
// zram, dm, md; and not a single path to a namespace of several, which is
// hidden. With several paths the namespace itself lies below virtual.
func physical(m Machine, name, dir string) bool {
	switch {
	case strings.Contains(dir, "/virtual/nvme-subsystem/"):
		return true
	case strings.Contains(dir, "/virtual/"), text(m.Root, "sys/block/"+name+"/hidden").Or("") == "1":
		return false
	}
	return exists(m, "sys/block/"+name+"/device") || strings.Contains(dir, "devices/pci") || strings.Contains(dir, "devices/platform/")
}

func disk(ctx context.Context, m Machine, name, dir string) hwreport.Disk {
	base := "sys/block/" + name
	d := hwreport.Disk{
		Name: name, Kind: "disk", Slot: slot(dir, "block"),
		Vendor: text(m.Root, base+"/device/vendor"), Model: text(m.Root, base+"/device/model"),
		Serial: first(text(m.Root, base+"/serial"), text(m.Root, base+"/device/serial"), pageSerial(m, base+"/device/vpd_pg80")),
		WWN:    first(text(m.Root, base+"/wwid"), text(m.Root, base+"/device/wwid")), Firmware: first(text(m.Root, base+"/device/firmware_rev"), text(m.Root, base+"/device/rev")),
		Bytes: number(m.Root, base+"/size"), Logical: number(m.Root, base+"/queue/logical_block_size"), Physical: number(m.Root, base+"/queue/physical_block_size"),
		Rotational: boolean(m.Root, base+"/queue/rotational"), Removable: boolean(m.Root, base+"/removable"), ReadOnly: boolean(m.Root, base+"/ro"),
		Driver: first(target(m.Root, base+"/device/driver"), target(m.Root, base+"/device/device/driver")),
		NVMe:   hwreport.Absent[hwreport.NVMe](), ATA: hwreport.Absent[hwreport.ATA](), SCSI: hwreport.Absent[hwreport.SCSIDisk](),
		Bay: hwreport.Absent[string](), Reasons: hwreport.Absent[[]string](),
	}
	if n, ok := d.Bytes.Get(); ok {
		d.Bytes = hwreport.Value(n * 512) // always in units of 512
	}
	if v := d.Vendor.Or(""); strings.HasPrefix(v, "0x") {
		d.Vendor = hwreport.Absent[string]() // virtio's PCI number is no maker's name
	}
	d.Transport = transport(m, name, dir)
	usb := d.Transport.Or("") == "usb"
	switch {
	case strings.HasPrefix(name, "sr"):
		d.Kind = "cdrom"
		noHealth(&d)
	case strings.HasPrefix(name, "nvme"):
		d.RPM, d.FormFactor = hwreport.Absent[int64](), hwreport.Absent[string]()
		nvmeDisk(ctx, m, base, &d)
	case d.Transport.Or("") == "sata", d.Vendor.Or("") == "ATA" && !usb:
		ataDisk(ctx, block(m, name), &d)
	case exists(m, base+"/device/scsi_level") && !usb:
		scsiDisk(ctx, block(m, name), &d)
	case usb:
		hwreport.Fill(&d, "bridges of USB disks are not asked: some hang")
	default:
		noHealth(&d)
	}
	judge(&d)
	return d
}

// noHealth says that a disk of this kind has nothing to tell of its health.
func noHealth(d *hwreport.Disk) {
	d.RPM, d.FormFactor, d.SelfTests, d.Verdict = hwreport.Absent[int64](), hwreport.Absent[string](), hwreport.Absent[[]hwreport.SelfTest](), hwreport.Absent[hwreport.DiskVerdict]()
	for _, f := range []*hwreport.Field[int64]{&d.Celsius, &d.PowerOnHours, &d.UsedPercent, &d.MediaErrors} {
		*f = hwreport.Absent[int64]()
	}
}

// pageSerial reads the SCSI unit serial number page (SPC-6 7.7.20).
func pageSerial(m Machine, name string) hwreport.Field[string] {
	b, err := raw(m.Root, name)
	if err != nil {
		return why[string](err)
	}
	if i := strings.LastIndexFunc(b, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		b = b[i+1:]
	}
	return some(strings.TrimSpace(b))
}

// transport is how a disk is attached, from the drivers on its way.
func transport(m Machine, name, dir string) hwreport.Field[string] {
	switch {
	case strings.HasPrefix(name, "nvme"):
		return hwreport.Value("nvme")
	case strings.HasPrefix(name, "mmcblk"):
		return hwreport.Value("mmc")
	case strings.Contains(dir, "/usb"):
		return hwreport.Value("usb")
	case strings.Contains(dir, "/ata"):
		return hwreport.Value("sata")
	case strings.Contains(dir, "/end_device-"):
		return hwreport.Value("sas")
	case strings.Contains(dir, "/virtio") && strings.HasPrefix(name, "vd"):
		return hwreport.Value("virtio")
	case strings.Contains(dir, "/virtio"):
		return hwreport.Value("virtio-scsi")
	case strings.HasPrefix(name, "xvd"):
		return hwreport.Value("xen")
	case exists(m, "sys/block/"+name+"/device/scsi_level"):
		return hwreport.Value("scsi")
	}
	return hwreport.Absent[string]()
}

// slot is the part of a device's place in sysfs that stays the same from boot
// to boot: up to the class folder, numbers of hosts and controllers taken out.
func slot(dir, class string) string {
	dir = strings.TrimPrefix(strings.TrimPrefix(dir, "sys/"), "devices/")
	if i := strings.Index(dir, "/"+class+"/"); i >= 0 {
		dir = dir[:i]
	}
	parts := strings.Split(dir, "/")
	kept := parts[:0]
	for _, p := range parts {
		if enumerated(p) {
			continue
		}
		if strings.HasPrefix(p, "nvme") { // nvme0n1, nvme0c0n1: the namespace's number stays
			p = p[strings.LastIndexByte(p, 'n'):]
		}
		kept = append(kept, p)
	}
	return strings.Join(kept, "/")
}

// enumerated says that a folder's name holds a number of this boot.
func enumerated(p string) bool {
	for _, prefix := range []string{"virtio", "host", "target", "nvme", "ata", "net", "mmc"} {
		if rest, ok := strings.CutPrefix(p, prefix); ok && strings.Trim(rest, "0123456789:") == "" {
			return true
		}
	}
	return false
}

func exists(m Machine, name string) bool {
	_, err := statLink(m.Root, name)
	return err == nil
}

// first is the first that is known, else the first that is unknown, else
// absent.
func first(fields ...hwreport.Field[string]) hwreport.Field[string] {
	best := hwreport.Absent[string]()
	for _, f := range fields {
		switch f.State() {
		case hwreport.IsValue:
			return f
		case hwreport.IsUnknown:
			best = f
		}
	}
	return best
}
