package audit

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/vpd"
)

// physicalSlots maps "0000:03:00" to a slot's name (sysfs-bus-pci: slots).
func physicalSlots(m Machine) map[string]string {
	slots := make(map[string]string)
	entries, err := names(m.Root, "sys/bus/pci/slots")
	if err != nil {
		return slots
	}
	for _, e := range entries {
		if a, ok := text(m.Root, "sys/bus/pci/slots/"+e+"/address").Get(); ok {
			slots[a] = e
		}
	}
	return slots
}

// slotTypes and slotWidths are DSP0134 7.10.1 and 7.10.2.
var (
	slotWidths = []string{"Other", "Unknown", "8 bit", "16 bit", "32 bit", "64 bit", "128 bit", "x1", "x2", "x4", "x8", "x12", "x16", "x32"}
	slotTypes  = sync.OnceValue(func() map[byte]string {
		return map[byte]string{0x06: "PCI", 0x12: "PCI-X", 0x14: "M.2 socket 1-DP", 0x15: "M.2 socket 1-SD", 0x16: "M.2 socket 2", 0x17: "M.2 socket 3", 0x18: "MXM I", 0x1f: "PCIe 2 U.2", 0x20: "PCIe 3 U.2",
			0x24: "PCIe 4 U.2", 0x25: "PCIe 5 U.2", 0x26: "OCP NIC 3.0 small", 0x27: "OCP NIC 3.0 large", 0x28: "OCP NIC", 0x30: "CXL", 0xa5: "PCIe", 0xa6: "PCIe x1", 0xa7: "PCIe x2", 0xa8: "PCIe x4", 0xa9: "PCIe x8", 0xaa: "PCIe x16",
			0xab: "PCIe 2", 0xac: "PCIe 2 x1", 0xad: "PCIe 2 x2", 0xae: "PCIe 2 x4", 0xaf: "PCIe 2 x8", 0xb0: "PCIe 2 x16", 0xb1: "PCIe 3", 0xb2: "PCIe 3 x1", 0xb3: "PCIe 3 x2", 0xb4: "PCIe 3 x4", 0xb5: "PCIe 3 x8", 0xb6: "PCIe 3 x16",
			0xb8: "PCIe 4", 0xb9: "PCIe 4 x1", 0xba: "PCIe 4 x2", 0xbb: "PCIe 4 x4", 0xbc: "PCIe 4 x8", 0xbd: "PCIe 4 x16", 0xbe: "PCIe 5", 0xbf: "PCIe 5 x1", 0xc0: "PCIe 5 x2", 0xc1: "PCIe 5 x4", 0xc2: "PCIe 5 x8", 0xc3: "PCIe 5 x16",
			0xc4: "PCIe 6", 0xc5: "EDSFF E1", 0xc6: "EDSFF E3"}
	})
)

// boardSlots reads type 9 (DSP0134 7.10) and type 41 (7.42), and adds the names
// that they give an address to slots.
func boardSlots(m Machine, slots map[string]string) hwreport.Field[[]hwreport.PCISlot] {
	t, err := m.DMI()
	if err != nil {
		return why[[]hwreport.PCISlot](err)
	}
	var ids hwreport.IDs
	var list []hwreport.PCISlot
	for _, s := range t.Of(9) {
		k := hwreport.PCISlot{Name: str(s, 4), Type: hwreport.Absent[string](), InUse: hwreport.Absent[bool](), Address: hwreport.Absent[string]()}
		k.ID = ids.Unique(hwreport.ID("slot", k.Name.Or("")))
		if n, ok := s.Byte(5); ok && n != 0 {
			k.Type = hwreport.Unknown[string](fmt.Sprintf("type %#02x", n))
			if name, ok := slotTypes()[n]; ok {
				k.Type = hwreport.Value(name)
			}
		}
		w, ok := s.Byte(6)
		k.Width = named(slotWidths, w, ok && w != 0)
		if n, ok := s.Byte(7); ok && (n == 3 || n == 4) {
			k.InUse = hwreport.Value(n == 4)
		}
		segment, ok1 := s.Word(0x0d)
		bus, ok2 := s.Byte(0x0f)
		devfn, ok3 := s.Byte(0x10)
		if ok1 && ok2 && ok3 && segment != 0xffff && bus != 0xff && devfn != 0xff {
			a := fmt.Sprintf("%04x:%02x:%02x", segment, bus, devfn>>3)
			k.Address = hwreport.Value(a)
			if name, ok := k.Name.Get(); ok && k.InUse.Or(true) {
				slots[a] = name
			}
		}
		list = append(list, k)
	}
	for _, s := range t.Of(41) { // devices on the board
		segment, ok1 := s.Word(7)
		bus, ok2 := s.Byte(9)
		devfn, ok3 := s.Byte(0x0a)
		status, _ := s.Byte(5)
		if name, ok := str(s, 4).Get(); ok && ok1 && ok2 && ok3 && status&0x80 != 0 && bus != 0xff && segment != 0xffff {
			slots[fmt.Sprintf("%04x:%02x:%02x.%d", segment, bus, devfn>>3, devfn&7)] = name
		}
	}
	if list == nil {
		return hwreport.Absent[[]hwreport.PCISlot]()
	}
	return hwreport.Value(list)
}

// nameSlots tells each function its slot: its own, that of the device, or the
// one that a bridge above it sits in; firmware names either end of the link.
func nameSlots(devices []hwreport.PCIDevice, slots map[string]string) {
	at := map[string]int{}
	for i, d := range devices {
		at[d.ID] = i
	}
	own := func(d hwreport.PCIDevice) string {
		if s, ok := slots[d.Address]; ok {
			return s
		}
		return slots[d.Address[:max(0, strings.LastIndexByte(d.Address, '.'))]]
	}
	for i := range devices {
		d := &devices[i]
		for k, steps := i, 0; steps < 32; steps++ {
			if s := own(devices[k]); s != "" {
				d.Slot = hwreport.Value(s)
				break
			}
			next, ok := at[devices[k].Parent]
			if !ok || next == k {
				break
			}
			k = next
		}
	}
}

// aer reads the counters of advanced error reporting.
func aer(m Machine, dir string) hwreport.Field[hwreport.PCIError] {
	var e hwreport.PCIError
	e.Kinds = []string{}
	for _, f := range []struct {
		file, total string
		to          *int64
	}{{"aer_dev_correctable", "TOTAL_ERR_COR", &e.Correctable}, {"aer_dev_nonfatal", "TOTAL_ERR_NONFATAL", &e.NonFatal}, {"aer_dev_fatal", "TOTAL_ERR_FATAL", &e.Fatal}} {
		s, err := raw(m.Root, dir+"/"+f.file)
		if err != nil {
			return why[hwreport.PCIError](err)
		}
		for line := range strings.Lines(s) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			switch {
			case !ok || err != nil:
			case name == f.total:
				*f.to = n
			case n > 0:
				e.Kinds = append(e.Kinds, fmt.Sprintf("%s %d", name, n))
			}
		}
	}
	return hwreport.Value(e)
}

func aerFindings(devices []hwreport.PCIDevice) []hwreport.Finding {
	var found []hwreport.Finding
	for _, d := range devices {
		e, ok := d.AER.Get()
		if !ok {
			continue
		}
		if e.Fatal+e.NonFatal > 0 {
			found = append(found, hwreport.NewFinding(hwreport.Failure, "pcie.uncorrectable-errors", d.ID, fmt.Sprintf("%s had %d fatal and %d non-fatal errors since boot", d.Address, e.Fatal, e.NonFatal),
				hwreport.Evidence{Source: pciDir + "/" + d.Address + "/aer_dev_*", Value: strings.Join(e.Kinds, ", ")}))
		}
		if e.Correctable > 0 {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "pcie.correctable-errors", d.ID, fmt.Sprintf("%s had %d correctable errors since boot", d.Address, e.Correctable),
				hwreport.Evidence{Source: pciDir + "/" + d.Address + "/aer_dev_correctable", Value: strings.Join(e.Kinds, ", ")}))
		}
	}
	return found
}

// readVPD reads the product data of storage, network, display and processing
// devices, one read a device: behind the first function stands the same, and
// each byte costs the device a configuration cycle.
func readVPD(m Machine, devices []hwreport.PCIDevice) {
	each(len(devices), 8, func(i int) {
		d := &devices[i]
		class := (d.Class.Or("") + "  ")[:2]
		if !d.VirtualFunction && strings.HasSuffix(d.Address, ".0") && strings.Contains("01 02 03 0b 12", class) && class != "  " {
			d.VPD = productData(m, pciDir+"/"+d.Address+"/vpd")
		}
	}, func(i int, why string) { devices[i].VPD = hwreport.Unknown[hwreport.PCIVPD](why) })
}

func productData(m Machine, name string) hwreport.Field[hwreport.PCIVPD] {
	b, err := readBytes(m.Root, name)
	if err != nil {
		return why[hwreport.PCIVPD](err)
	}
	d, err := vpd.Parse(b)
	k := hwreport.PCIVPD{Name: some(d.Name), Part: some(d.Part), Serial: some(d.Serial), Engineering: some(d.Engineering), Manufacturer: some(d.Manufacturer)}
	if err != nil {
		if d.Name == "" && d.Part == "" && d.Serial == "" {
			return hwreport.Unknown[hwreport.PCIVPD](err.Error())
		}
		k.Error = err.Error()
	}
	return hwreport.Value(k)
}
