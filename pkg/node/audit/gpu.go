package audit

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// gpu reads display controllers and accelerators from the bus: they are there
// whether a driver serves them or not.
func gpu(_ context.Context, m Machine, out *hwreport.GPU) ([]hwreport.Finding, error) {
	s := m.pci()
	if s.err != nil {
		return nil, s.err
	}
	var devices []hwreport.PCIDevice
	for _, d := range s.devices {
		if class := d.Class.Or(""); !d.VirtualFunction && (strings.HasPrefix(class, "03") || strings.HasPrefix(class, "12") || strings.HasPrefix(class, "0b40")) {
			devices = append(devices, d)
		}
	}
	if devices == nil {
		out.Devices = hwreport.Absent[[]hwreport.GPUDevice]()
		out.NVIDIA = hwreport.Absent[hwreport.GPUDriver]()
		return nil, nil
	}
	list := []hwreport.GPUDevice{}
	var found []hwreport.Finding
	for _, d := range devices {
		g := hwreport.GPUDevice{ID: d.ID, Address: d.Address, Vendor: first(d.VendorName, d.Vendor), Model: first(d.DeviceName, d.Device), Slot: d.Slot, Driver: d.Driver, NUMA: d.NUMA, Link: d.Link,
			Aperture: aperture(m, pciDir+"/"+d.Address+"/resource"), Accelerat: !strings.HasPrefix(d.Class.Or(""), "0300"), UUID: hwreport.Absent[string](), VBIOS: hwreport.Absent[string](), XIDs: hwreport.Absent[[]hwreport.XID](), NVML: hwreport.Absent[hwreport.NVMLDevice]()}
		if info, err := raw(m.Root, "proc/driver/nvidia/gpus/"+d.Address+"/information"); err == nil {
			for line := range strings.Lines(info) {
				k, v, _ := strings.Cut(line, ":")
				switch v = strings.TrimSpace(v); strings.TrimSpace(k) {
				case "GPU UUID":
					g.UUID = some(v)
				case "Video BIOS":
					g.VBIOS = some(v)
				}
			}
		}
		if g.Driver.State() == hwreport.IsAbsent && (g.Accelerat || d.Vendor.Or("") == "10de") {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "gpu.no-driver", g.ID, fmt.Sprintf("%s (%s) has no driver: it was found on the bus and cannot be tested", d.Address, g.Model),
				hwreport.Evidence{Source: pciDir + "/" + d.Address + "/driver", Value: "absent"}))
		}
		list = append(list, g)
	}
	out.Devices = hwreport.Value(list)
	out.NVIDIA = hwreport.Absent[hwreport.GPUDriver]()
	return found, nil
}

// aperture is the largest memory region of a function (sysfs-bus-pci:
// resource): start, end and flags a line; bit 9 says memory.
func aperture(m Machine, name string) hwreport.Field[int64] {
	s, err := raw(m.Root, name)
	if err != nil {
		return why[int64](err)
	}
	most := uint64(0)
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		from, err1 := strconv.ParseUint(f[0], 0, 64)
		to, err2 := strconv.ParseUint(f[1], 0, 64)
		flags, err3 := strconv.ParseUint(f[2], 0, 64)
		if err1 == nil && err2 == nil && err3 == nil && flags&0x200 != 0 && to > from {
			most = max(most, to-from+1)
		}
	}
	return absentZero64(most)
}
