package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/pciids"
)

const pciDir = "sys/bus/pci/devices"

// scan is what one look at the bus gives; the collectors of PCI functions and
// of GPUs share it.
type scan struct {
	devices []hwreport.PCIDevice // by address
	slots   hwreport.Field[[]hwreport.PCISlot]
	found   []hwreport.Finding
	err     error
}

// scanPCI reads every PCI function (kernel: Documentation/ABI/testing/
// sysfs-bus-pci), names them and judges the links.
func scanPCI(m Machine) (s scan) {
	entries, err := names(m.Root, pciDir)
	if err != nil {
		s.err = fmt.Errorf("list PCI functions: %w", err)
		return s
	}
	slots := physicalSlots(m)
	s.slots = boardSlots(m, slots)
	var want []pciids.Key
	for _, address := range entries {
		d := pciDevice(m, address)
		s.devices = append(s.devices, d)
		want = append(want, pciKey(d))
	}
	if s.devices == nil {
		return s
	}
	nameSlots(s.devices, slots)
	s.found = append(namePCI(m, s.devices, want), links(s.devices)...)
	s.found = append(s.found, aerFindings(s.devices)...)
	slices.SortFunc(s.devices, func(a, b hwreport.PCIDevice) int { return strings.Compare(a.Address, b.Address) })
	return s
}

// pcie tells every PCI function.
func pcie(_ context.Context, m Machine, out *hwreport.PCIe) ([]hwreport.Finding, error) {
	s := m.pci()
	if s.err != nil {
		return nil, s.err
	}
	out.Slots = s.slots
	if s.devices == nil {
		out.Slots, out.Devices = s.slots, hwreport.Absent[[]hwreport.PCIDevice]()
		if s.slots.State() == hwreport.IsUnknown && s.slots.Reason() == hwreport.NotCollected {
			out.Slots = hwreport.Absent[[]hwreport.PCISlot]()
		}
		return nil, nil
	}
	devices := slices.Clone(s.devices)
	readVPD(m, devices)
	out.Devices = hwreport.Value(devices)
	return slices.Clone(s.found), nil
}

func pciDevice(m Machine, address string) hwreport.PCIDevice {
	dir := pciDir + "/" + address
	full := place(m.Root, dir)
	d := hwreport.PCIDevice{
		ID: pciID(full), Address: address, Parent: pciID(path.Dir(full)),
		Class: hexText(m, dir+"/class"), Vendor: hexText(m, dir+"/vendor"), Device: hexText(m, dir+"/device"),
		SubsystemVendor: hexText(m, dir+"/subsystem_vendor"), SubsystemDevice: hexText(m, dir+"/subsystem_device"), Revision: hexText(m, dir+"/revision"),
		Driver: target(m.Root, dir+"/driver"), NUMA: numaNode(m, dir+"/numa_node"), IOMMUGroup: target(m.Root, dir+"/iommu_group"),
		Link: pciLink(m, dir), VFs: number(m.Root, dir+"/sriov_numvfs"), MaxVFs: number(m.Root, dir+"/sriov_totalvfs"),
		VirtualFunction: exists(m, dir+"/physfn"), AER: aer(m, dir), VPD: hwreport.Absent[hwreport.PCIVPD](), Slot: hwreport.Absent[string](),
		ClassName: hwreport.Absent[string](), VendorName: hwreport.Absent[string](), DeviceName: hwreport.Absent[string](), SubsystemName: hwreport.Absent[string](),
	}
	return d
}

// hexText reads "0x8086" as "8086".
func hexText(m Machine, name string) hwreport.Field[string] {
	f := text(m.Root, name)
	if v, ok := f.Get(); ok {
		return some(strings.TrimPrefix(v, "0x"))
	}
	return f
}

// numaNode reads a node's number; -1 means that there is none.
func numaNode(m Machine, name string) hwreport.Field[int64] {
	n := number(m.Root, name)
	if v, ok := n.Get(); ok && v < 0 {
		return hwreport.Absent[int64]()
	}
	return n
}

// pciID makes an id of a function's place: the root and the device and
// function numbers on the way. Bus numbers are handed out anew at each boot.
// What is no PCI function has none.
func pciID(dir string) string {
	var parts []string
	for _, p := range strings.Split(dir, "/") {
		switch {
		case strings.HasPrefix(p, "pci") && strings.Contains(p, ":"):
			parts = []string{strings.TrimPrefix(p, "pci")}
		case len(p) >= 12 && strings.Count(p, ":") == 2 && len(parts) > 0:
			parts = append(parts, p[strings.LastIndexByte(p, ':')+1:])
		}
	}
	if len(parts) < 2 {
		return ""
	}
	return "pci:" + strings.Join(parts, "/")
}

// pciLink reads the link towards the root; absent where the function has none
// or it is down.
func pciLink(m Machine, dir string) hwreport.Field[hwreport.PCILink] {
	speed, ok1 := text(m.Root, dir+"/current_link_speed").Get()
	most, ok2 := text(m.Root, dir+"/max_link_speed").Get()
	width := number(m.Root, dir+"/current_link_width").Or(0)
	maxWidth := number(m.Root, dir+"/max_link_width").Or(0)
	if !ok1 || !ok2 || width == 0 || maxWidth == 0 || maxWidth == 255 {
		return hwreport.Absent[hwreport.PCILink]()
	}
	l := hwreport.PCILink{MTs: megatransfers(speed), MaxMTs: megatransfers(most), Width: width, MaxWidth: maxWidth}
	if l.MTs == 0 || l.MaxMTs == 0 {
		return hwreport.Absent[hwreport.PCILink]()
	}
	return hwreport.Value(l)
}

// megatransfers reads "8.0 GT/s PCIe".
func megatransfers(s string) int64 {
	n, _, _ := strings.Cut(s, " ")
	v, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return 0
	}
	return int64(v*1000 + 0.5)
}

// leads says whether a port leads away from the root: root ports and the
// downstream ports of switches do, and their link is the one below them; the
// upstream port of a switch is the other end of such a link. The two alternate
// on the way down.
func leads(d *hwreport.PCIDevice, byID map[string]*hwreport.PCIDevice, depth int) bool {
	if !strings.HasPrefix(d.Class.Or(""), "0604") || depth > 64 {
		return false
	}
	up := byID[d.Parent]
	return up == nil || up == d || !leads(up, byID, depth+1)
}

// links judges each link, once, by what both its ends can: from the end that is
// further from the root. A port without anything behind it is left alone, and
// so are virtual functions.
func links(devices []hwreport.PCIDevice) []hwreport.Finding {
	byID := make(map[string]*hwreport.PCIDevice)
	for i := range devices {
		byID[devices[i].ID] = &devices[i]
	}
	var found []hwreport.Finding
	for i := range devices {
		d := &devices[i]
		l, ok := d.Link.Get()
		if !ok || d.VirtualFunction {
			continue
		}
		l.PortMTs, l.PortWidth = hwreport.Absent[int64](), hwreport.Absent[int64]()
		port := byID[d.Parent]
		if port == nil || port == d || leads(d, byID, 0) || !leads(port, byID, 0) {
			d.Link = hwreport.Value(l)
			continue
		}
		p, ok := port.Link.Get()
		if !ok {
			d.Link = hwreport.Value(l)
			continue
		}
		l.PortMTs, l.PortWidth = hwreport.Value(p.MaxMTs), hwreport.Value(p.MaxWidth)
		mts, width := min(l.MaxMTs, p.MaxMTs), min(l.MaxWidth, p.MaxWidth)
		l.Downtrained = l.Width < width || l.MTs < mts
		d.Link = hwreport.Value(l)
		source := pciDir + "/" + d.Address
		if l.Width < width {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "pcie.width-lost", d.ID, fmt.Sprintf("%s runs on %d of %d lanes", d.Address, l.Width, width),
				hwreport.Evidence{Source: source + "/current_link_width", Value: strconv.FormatInt(l.Width, 10)}))
		}
		if l.MTs < mts {
			found = append(found, hwreport.NewFinding(hwreport.Info, "pcie.speed-lost", d.ID,
				fmt.Sprintf("%s runs at %.1f of %.1f GT/s; an idle device may save power so", d.Address, float64(l.MTs)/1000, float64(mts)/1000),
				hwreport.Evidence{Source: source + "/current_link_speed", Value: strconv.FormatInt(l.MTs, 10)}))
		}
	}
	return found
}

func pciKey(d hwreport.PCIDevice) pciids.Key {
	return pciids.Key{Vendor: d.Vendor.Or(""), Device: d.Device.Or(""), SubVendor: d.SubsystemVendor.Or(""), SubDevice: d.SubsystemDevice.Or(""), Class: d.Class.Or("")}
}

// namePCI fills in the names from pci.ids.
func namePCI(m Machine, devices []hwreport.PCIDevice, want []pciids.Key) []hwreport.Finding {
	list, err := pciids.Read(m.Root, want)
	if errors.Is(err, fs.ErrNotExist) && m.Names != nil {
		list, err = pciids.Read(m.Names, want)
	}
	if err != nil {
		for i := range devices {
			u := hwreport.Unknown[string](err.Error())
			devices[i].ClassName, devices[i].VendorName, devices[i].DeviceName, devices[i].SubsystemName = u, u, u, u
		}
		return []hwreport.Finding{hwreport.NewFinding(hwreport.Info, "pcie.names-missing", "", "the names of PCI devices could not be read",
			hwreport.Evidence{Source: pciids.Path, Value: err.Error()})}
	}
	for i, k := range want {
		n := list[k]
		devices[i].ClassName, devices[i].VendorName, devices[i].DeviceName, devices[i].SubsystemName = some(n.Class), some(n.Vendor), some(n.Device), some(n.Subsystem)
	}
	return nil
}
