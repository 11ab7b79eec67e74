package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// memory reads what is plugged in (SMBIOS types 16, 17, 19; else what a device
// tree maps), what the kernel manages, and the error counters.
func memory(_ context.Context, m Machine, out *hwreport.Memory) ([]hwreport.Finding, error) {
	info, err := raw(m.Root, "proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("read memory: %w", err)
	}
	out.Usable = meminfo(info, "MemTotal:")
	out.Controller = controllers(m)
	t, err := m.DMI()
	if err != nil {
		out.Arrays = why[[]hwreport.MemoryArray](err)
		reason := why[int64](err)
		out.Installed, out.Mapped, out.Slots, out.MaxBytes = reason, reason, reason, reason
		if tree := treeMemory(m.Root); tree.State() != hwreport.IsAbsent {
			out.Mapped = tree
		}
		out.ECC, out.Modules = why[string](err), why[[]hwreport.DIMM](err)
		return append(joinEDAC(nil, out), edacFindings(out)...), nil
	}
	arrays(t, out)
	dimms, found := modules(t)
	found = append(found, sizes(t, out)...)
	join := joinEDAC(dimms, out)
	out.Modules = hwreport.Value(dimms)
	out.Slots = hwreport.Value(int64(len(dimms)))
	var installed int64
	for _, d := range dimms {
		installed += d.Bytes.Or(0)
	}
	out.Installed = hwreport.Value(installed)
	out.Mapped = mapped(t)
	found = append(append(found, dimmFindings(dimms)...), population(dimms)...)
	return append(append(found, join...), edacFindings(out)...), nil
}

// meminfo reads one line of /proc/meminfo or a node's, bytes.
func meminfo(info, key string) hwreport.Field[int64] {
	for line := range strings.Lines(info) {
		f := strings.Fields(line)
		if i := slices.Index(f, key); i >= 0 && i+1 < len(f) {
			if n, err := strconv.ParseInt(f[i+1], 10, 64); err == nil {
				return hwreport.Value(n << 10)
			}
		}
	}
	return hwreport.Unknown[int64]("no line " + key)
}

// eccTypes are DSP0134 7.17.3, from 1.
var eccTypes = [...]string{"Other", "Unknown", "None", "Parity", "Single-bit ECC", "Multi-bit ECC", "CRC"}

// arrayUses and arrayPlaces are DSP0134 7.17.2 and 7.17.1, from 1.
var (
	arrayUses   = []string{"Other", "Unknown", "System memory", "Video memory", "Flash memory", "Non-volatile RAM", "Cache memory"}
	arrayPlaces = []string{"Other", "Unknown", "System board", "ISA add-on card", "EISA add-on card", "PCI add-on card", "MCA add-on card", "PCMCIA add-on card", "Proprietary add-on card", "NuBus"}
)

// arrays reads type 16. The sums are those of system memory.
func arrays(t smbios.Tables, out *hwreport.Memory) {
	out.ECC, out.MaxBytes = hwreport.Absent[string](), hwreport.Absent[int64]()
	list := []hwreport.MemoryArray{}
	var most int64
	for _, s := range t.Of(16) {
		use, ok := s.Byte(5)
		k := hwreport.MemoryArray{Use: named(arrayUses, use, ok), MaxBytes: hwreport.Absent[int64]()}
		where, ok := s.Byte(4)
		k.Location = named(arrayPlaces, where, ok)
		n, ok := s.Byte(6)
		k.ECC = named(eccTypes[:], n, ok)
		k.Slots = absentZero(s.Word(0x0d))
		if kib, ok := s.Dword(7); ok && kib != 0x80000000 {
			k.MaxBytes = hwreport.Value(int64(kib) << 10)
		} else if n, ok := s.Qword(0x0f); ok && n < 1<<62 {
			k.MaxBytes = hwreport.Value(int64(n))
		}
		list = append(list, k)
		if use == 3 { // system memory
			if out.ECC.State() != hwreport.IsValue {
				out.ECC = k.ECC
			}
			most += k.MaxBytes.Or(0)
		}
	}
	out.Arrays = hwreport.Value(list)
	if most > 0 {
		out.MaxBytes = hwreport.Value(most)
	}
}

// mapped sums the address ranges of type 19.
func mapped(t smbios.Tables) hwreport.Field[int64] {
	var sum int64
	list := t.Of(19)
	for _, s := range list {
		from, ok1 := s.Dword(4)
		to, ok2 := s.Dword(8)
		if !ok1 || !ok2 {
			continue
		}
		if from != 0xffffffff {
			sum += (int64(to) - int64(from) + 1) << 10
			continue
		}
		a, ok1 := s.Qword(0x0f)
		b, ok2 := s.Qword(0x17)
		if ok1 && ok2 && b >= a && b-a < 1<<60 {
			sum += int64(b-a) + 1
		}
	}
	if len(list) == 0 {
		return hwreport.Absent[int64]()
	}
	return hwreport.Value(sum)
}

// memoryTypes are DSP0134 7.18.2, from 1.
var memoryTypes = [...]string{"Other", "Unknown", "DRAM", "EDRAM", "VRAM", "SRAM", "RAM", "ROM", "FLASH", "EEPROM", "FEPROM", "EPROM", "CDRAM", "3DRAM",
	"SDRAM", "SGRAM", "RDRAM", "DDR", "DDR2", "DDR2 FB-DIMM", "", "", "", "DDR3", "FBD2", "DDR4", "LPDDR", "LPDDR2", "LPDDR3", "LPDDR4",
	"Logical non-volatile device", "HBM", "HBM2", "DDR5", "LPDDR5", "HBM3"}

// formFactors are DSP0134 7.18.1, from 1.
var formFactors = [...]string{"Other", "Unknown", "SIMM", "SIP", "Chip", "DIP", "ZIP", "Proprietary Card", "DIMM", "TSOP", "Row of chips", "RIMM",
	"SODIMM", "SRIMM", "FB-DIMM", "Die", "CAMM"}

// absurd is the size above which no module is believed, bytes.
const absurd = 16 << 40

// modules reads type 17 (DSP0134 7.18).
func modules(t smbios.Tables) ([]hwreport.DIMM, []hwreport.Finding) {
	var ids hwreport.IDs
	list := []hwreport.DIMM{}
	var found []hwreport.Finding
	repeated := map[string]int{}
	for _, s := range t.Of(17) {
		repeated[str(s, 0x10).Or("")]++
	}
	for _, s := range t.Of(17) {
		d := hwreport.DIMM{Locator: str(s, 0x10), Bank: str(s, 0x11), Bytes: dimmSize(s),
			Corrected: hwreport.Unknown[int64]("no driver tells errors by module"), Uncorrectable: hwreport.Unknown[int64]("no driver tells errors by module")}
		d.ID = ids.Unique(hwreport.ID("dimm", locatorOf(repeated, d), d.Bank.Or("")))
		d.Socket, d.Channel = socketOf(d), channelOf(t, s, d)
		d.Error, d.Interleave = moduleError(t, s), hwreport.Absent[int64]()
		for _, m := range t.Of(20) {
			if h, ok := m.Word(0x0c); ok && h == s.Handle {
				n, ok := m.Byte(0x11)
				if ok && n != 0 && n != 0xff {
					d.Interleave = hwreport.Value(int64(n))
				}
			}
		}
		n, full := d.Bytes.Get()
		if full && (n <= 0 || n > absurd) {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "memory.absurd-size", d.ID, fmt.Sprintf("the module states %d bytes", n),
				hwreport.Evidence{Source: fmt.Sprintf("SMBIOS type 17 handle %#04x", s.Handle), Value: strconv.FormatInt(n, 10)}))
			d.Bytes, full = hwreport.Unknown[int64](fmt.Sprintf("the firmware states %d bytes", n)), false
		}
		if full {
			fillDIMM(s, &d)
		} else {
			hwreport.Fill(&d, "the slot is empty")
		}
		list = append(list, d)
	}
	return list, found
}

func fillDIMM(s smbios.Structure, d *hwreport.DIMM) {
	kind, ok := s.Byte(0x12)
	d.Type = named(memoryTypes[:], kind, ok)
	form, ok := s.Byte(0x0e)
	d.FormFactor = named(formFactors[:], form, ok)
	d.Detail = detail(s)
	d.SpeedMTs = speed(s, 0x15, 0x54)
	d.RunsMTs = speed(s, 0x20, 0x58)
	d.TotalWidth = busWidth(s.Word(8))
	d.DataWidth = busWidth(s.Word(0x0a))
	attributes, ok := s.Byte(0x1b)
	d.Rank = absentZero(attributes&0x0f, ok)
	d.Millivolts = absentZero(s.Word(0x26))
	d.Manufacturer, d.Part, d.Serial, d.AssetTag, d.Firmware = str(s, 0x17), str(s, 0x1a), str(s, 0x18), str(s, 0x19), str(s, 0x2b)
}

// dimmSize is the size of a module: 0 means an empty slot, 7fffh that the
// extended size holds it (DSP0134 7.18.5).
func dimmSize(s smbios.Structure) hwreport.Field[int64] {
	w, ok := s.Word(0x0c)
	switch {
	case !ok:
		return hwreport.Unknown[int64]("the structure is too short to tell")
	case w == 0:
		return hwreport.Absent[int64]()
	case w == 0xffff:
		return hwreport.Unknown[int64]("the firmware does not know")
	case w == 0x7fff:
		mib, ok := s.Dword(0x1c)
		if !ok {
			return hwreport.Unknown[int64]("the structure is too short to tell")
		}
		return hwreport.Value(int64(mib&0x7fffffff) << 20)
	case w&0x8000 != 0:
		return hwreport.Value(int64(w&0x7fff) << 10)
	}
	return hwreport.Value(int64(w) << 20)
}

// named looks a code up in a list that begins at 1.
func named(list []string, n byte, ok bool) hwreport.Field[string] {
	if !ok || n == 0 {
		return hwreport.Absent[string]()
	}
	if int(n) > len(list) || list[n-1] == "" {
		return hwreport.Unknown[string](fmt.Sprintf("code %d is not in the specification", n))
	}
	return hwreport.Value(list[n-1])
}

// detail names the bits of DSP0134 7.18.3 that tell modules apart.
func detail(s smbios.Structure) hwreport.Field[string] {
	bits, ok := s.Word(0x13)
	if !ok {
		return hwreport.Absent[string]()
	}
	var words []string
	for _, b := range []struct {
		bit  int
		name string
	}{{7, "Synchronous"}, {12, "Non-volatile"}, {13, "Registered"}, {14, "Unbuffered"}, {15, "LRDIMM"}} {
		if bits>>b.bit&1 != 0 {
			words = append(words, b.name)
		}
	}
	return some(strings.Join(words, " "))
}

// speed is a speed in a word, or, where that is ffffh, in the double word that
// version 3.3 added.
func speed(s smbios.Structure, off, wide int) hwreport.Field[int64] {
	w, ok := s.Word(off)
	if ok && w == 0xffff {
		if d, ok := s.Dword(wide); ok {
			return absentZero(d&0x7fffffff, true)
		}
		return hwreport.Absent[int64]()
	}
	return absentZero(w, ok)
}

func busWidth(w uint16, ok bool) hwreport.Field[int64] {
	if w == 0xffff {
		return hwreport.Absent[int64]()
	}
	return absentZero(w, ok)
}

func dimmFindings(dimms []hwreport.DIMM) []hwreport.Finding {
	var found []hwreport.Finding
	var empty, parts []string
	for _, d := range dimms {
		if d.Bytes.State() == hwreport.IsAbsent {
			empty = append(empty, d.ID)
		}
		can, ok1 := d.SpeedMTs.Get()
		does, ok2 := d.RunsMTs.Get()
		if ok1 && ok2 && does < can {
			found = append(found, hwreport.NewFinding(hwreport.Info, "memory.downclocked", d.ID, fmt.Sprintf("runs at %d MT/s, can %d", does, can),
				hwreport.Evidence{Source: "SMBIOS type 17", Value: fmt.Sprintf("%d/%d", does, can)}))
		}
		if e, ok := d.Error.Get(); ok {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "memory.firmware-error", d.ID, "the firmware recorded an error of the module: "+e,
				hwreport.Evidence{Source: "SMBIOS type 18", Value: e}))
		}
		if p, ok := d.Part.Get(); ok && !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
		if v, ok := d.Serial.Get(); ok && placeholder(v) {
			found = append(found, hwreport.NewFinding(hwreport.Info, "memory.placeholder-serial", d.ID, "the module's serial number was never filled in",
				hwreport.Evidence{Source: "SMBIOS type 17", Value: v}))
		}
	}
	if len(empty) > 0 {
		found = append(found, hwreport.NewFinding(hwreport.Info, "memory.empty-slots", "", fmt.Sprintf("%d of %d slots are empty", len(empty), len(dimms)),
			hwreport.Evidence{Source: "SMBIOS type 17", Value: strings.Join(empty, " ")}))
	}
	if len(parts) > 1 {
		found = append(found, hwreport.NewFinding(hwreport.Info, "memory.mixed-parts", "", "modules with different part numbers",
			hwreport.Evidence{Source: "SMBIOS type 17", Value: strings.Join(parts, ", ")}))
	}
	return found
}
