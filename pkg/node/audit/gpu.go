package audit

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// nvidiaVendor is NVIDIA's number on the bus, nvidiaDriver the name that its
// driver has there.
const (
	nvidiaVendor = "10de"
	nvidiaDriver = "nvidia"
)

// gpu reads display controllers and accelerators from the bus: they are there
// whether a driver serves them or not. NVIDIA's are asked through NVML too.
func gpu(ctx context.Context, m Machine, out *hwreport.GPU) ([]hwreport.Finding, error) {
	s := m.pci()
	if s.err != nil {
		return nil, s.err
	}
	out.NVIDIA = hwreport.Absent[hwreport.GPUDriver]()
	load, found := driverLoad(m)
	out.Load = load
	var list []hwreport.GPUDevice
	var mine []int // which are NVIDIA's
	for _, d := range s.devices {
		if class := d.Class.Or(""); d.VirtualFunction || !strings.HasPrefix(class, "03") && !strings.HasPrefix(class, "12") && !strings.HasPrefix(class, "0b40") {
			continue
		}
		g := hwreport.GPUDevice{ID: d.ID, Address: d.Address, Vendor: first(d.VendorName, d.Vendor), Model: first(d.DeviceName, d.Device), Slot: d.Slot, Driver: d.Driver, NUMA: d.NUMA, Link: d.Link,
			Aperture: aperture(m, pciDir+"/"+d.Address+"/resource"), Accelerat: !strings.HasPrefix(d.Class.Or(""), "0300"), UUID: hwreport.Absent[string](), VBIOS: hwreport.Absent[string](), XIDs: hwreport.Absent[[]hwreport.XID](), NVML: hwreport.Absent[hwreport.NVMLDevice]()}
		kernelSays(m, &g)
		if g.Driver.State() == hwreport.IsAbsent && (g.Accelerat || d.Vendor.Or("") == nvidiaVendor) {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "gpu.no-driver", g.ID, fmt.Sprintf("%s (%s) has no driver: it was found on the bus and cannot be tested", d.Address, g.Model),
				hwreport.Evidence{Source: pciDir + "/" + d.Address + "/driver", Value: "absent"}))
		}
		if f, gone := offTheBus(m, &g); gone {
			found = append(found, f)
		}
		if d.Vendor.Or("") == nvidiaVendor {
			mine = append(mine, len(list))
		}
		list = append(list, g)
	}
	if list == nil {
		out.Devices = hwreport.Absent[[]hwreport.GPUDevice]()
		return found, nil
	}
	gpus := make([]*hwreport.GPUDevice, len(mine))
	for i, at := range mine {
		gpus[i] = &list[at]
	}
	more := nvidia(ctx, m, out, gpus)
	out.Devices = hwreport.Value(list)
	return append(found, more...), nil
}

// kernelSays reads what NVIDIA's kernel module shows of a GPU without NVML.
func kernelSays(m Machine, g *hwreport.GPUDevice) {
	info, err := raw(m.Root, "proc/driver/nvidia/gpus/"+g.Address+"/information")
	if err != nil {
		return
	}
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

// allOnes is the width that the kernel shows where the link status register of
// the configuration space reads all ones (PCI Express Base Specification,
// 7.5.3.8: six bits): nothing answers there any more.
const allOnes = 63

// offTheBus says whether a GPU's configuration space reads all ones.
func offTheBus(m Machine, g *hwreport.GPUDevice) (hwreport.Finding, bool) {
	name := pciDir + "/" + g.Address + "/current_link_width"
	if number(m.Root, name).Or(0) != allOnes {
		return hwreport.Finding{}, false
	}
	return hwreport.NewFinding(hwreport.Failure, "gpu.lost", g.ID, fmt.Sprintf("the GPU at %s fell off the bus: its configuration space reads all ones", g.Address),
		hwreport.Evidence{Source: name, Value: strconv.Itoa(allOnes)}), true
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
