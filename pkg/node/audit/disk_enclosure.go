package audit

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/hwreport"
)

// hiding are the drivers whose controllers keep disks to themselves, and why
// those are not listed.
var hiding = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"hpsa":     "the disks behind the controller are seen through its own interface alone",
		"smartpqi": "the disks behind the controller are seen through its own interface alone",
		"aacraid":  "the disks behind the controller are seen through its own interface alone",
		"3w-sas":   "the disks behind the controller are seen through its own interface alone",
		"arcmsr":   "the disks behind the controller are seen through its own interface alone",
	}
})

// storageControllers reads the host adapters (kernel: drivers/scsi/
// scsi_sysfs.c, mpt3sas_ctl.c, smartpqi_init.c: version files), one row a
// PCI device and not a port.
func storageControllers(ctx context.Context, m Machine, visible []hwreport.Disk) hwreport.Field[[]hwreport.StorageController] {
	const dir = "sys/class/scsi_host"
	entries, err := names(m.Root, dir)
	if err != nil {
		return hwreport.Unknown[[]hwreport.StorageController](err.Error())
	}
	var list []hwreport.StorageController
	seen := map[string]bool{}
	for _, e := range entries {
		full := place(m.Root, dir+"/"+e)
		pci, _, ok := strings.Cut(full, "/"+e+"/")
		if !ok {
			continue
		}
		if i := strings.LastIndex(pci, "/ata"); i >= 0 {
			pci = pci[:i]
		}
		if seen[pci] || strings.Contains(pci, "/usb") || strings.Contains(pci, "/virtual") {
			continue
		}
		seen[pci] = true
		d := dir + "/" + e
		c := hwreport.StorageController{ID: hwreport.ID("hba", pciID(pci), slot(pci, "host")), Address: pciAddress(pci), Driver: first(target(m.Root, pci+"/driver"), text(m.Root, d+"/proc_name")),
			Model:    first(text(m.Root, d+"/board_name"), text(m.Root, d+"/model"), text(m.Root, d+"/board_name")),
			Serial:   first(text(m.Root, d+"/board_tracer"), text(m.Root, d+"/serial_number")),
			Firmware: first(text(m.Root, d+"/version_fw"), text(m.Root, d+"/firmware_version"), text(m.Root, d+"/fw_version"), text(m.Root, d+"/fw_ver")),
			BIOS:     text(m.Root, d+"/version_bios"), State: text(m.Root, d+"/state"), Hidden: hwreport.Absent[[]hwreport.Disk]()}
		if reason, ok := hiding()[c.Driver.Or("")]; ok {
			c.Hidden = hwreport.Unknown[[]hwreport.Disk](reason)
		}
		if host, err := strconv.ParseUint(strings.TrimPrefix(e, "host"), 10, 16); err == nil && c.Driver.Or("") == "megaraid_sas" {
			c.Hidden = behindMegaRAID(ctx, m, uint16(host), c.ID, visible)
		}
		list = append(list, c)
	}
	if list == nil {
		return hwreport.Absent[[]hwreport.StorageController]()
	}
	slices.SortFunc(list, func(a, b hwreport.StorageController) int { return strings.Compare(a.ID, b.ID) })
	return hwreport.Value(list)
}

// enclosures reads the shelves that the ses driver knows (kernel:
// drivers/misc/enclosure.c) and tells each disk its bay.
func enclosures(m Machine, disks []hwreport.Disk) hwreport.Field[[]hwreport.Enclosure] {
	const dir = "sys/class/enclosure"
	entries, err := names(m.Root, dir)
	if err != nil {
		return hwreport.Unknown[[]hwreport.Enclosure](err.Error())
	}
	var list []hwreport.Enclosure
	for _, e := range entries {
		base := dir + "/" + e
		c := hwreport.Enclosure{ID: hwreport.ID("enclosure", text(m.Root, base+"/id").Or(""), e), Vendor: text(m.Root, base+"/device/vendor").Or(""), Model: text(m.Root, base+"/device/model").Or(""), Slots: []hwreport.Place{}}
		slots, err := names(m.Root, base)
		if err != nil {
			return hwreport.Unknown[[]hwreport.Enclosure](err.Error())
		}
		for _, s := range slots {
			at := base + "/" + s
			if !exists(m, at+"/fault") {
				continue
			}
			p := hwreport.Place{Name: s, Number: number(m.Root, at+"/slot"), Status: text(m.Root, at+"/status"), Fault: boolean(m.Root, at+"/fault"), Locate: boolean(m.Root, at+"/locate"), Disk: hwreport.Absent[string]()}
			blocks, _ := names(m.Root, at+"/device/block") // an empty slot has no device
			for i := range disks {
				if slices.Contains(blocks, disks[i].Name) {
					p.Disk = hwreport.Value(disks[i].ID)
					disks[i].Bay = hwreport.Value(path.Join(c.ID, strings.TrimSpace(s)))
				}
			}
			c.Slots = append(c.Slots, p)
		}
		list = append(list, c)
	}
	if list == nil {
		return hwreport.Absent[[]hwreport.Enclosure]()
	}
	return hwreport.Value(list)
}
