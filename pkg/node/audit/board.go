package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// board reads who the machine is from SMBIOS types 0 to 3; where the tables
// cannot be read, from what the kernel kept of them; where there are none, from
// the device tree.
func board(_ context.Context, m Machine, b *hwreport.Board) ([]hwreport.Finding, error) {
	t, err := m.DMI()
	if err != nil {
		kernelBoard(m.Root, b)
		if errors.Is(err, fs.ErrNotExist) && b.System.Manufacturer.State() != hwreport.IsValue {
			treeBoard(m.Root, b)
			b.SMBIOS = hwreport.Absent[string]()
			boardExtras(t, b)
			hwreport.Fill(b, "the machine has no SMBIOS")
			return nil, nil
		}
		b.SMBIOS = hwreport.Unknown[string](err.Error())
		hwreport.Fill(b, err.Error())
		return []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "board.smbios-unreadable", "", "the firmware's tables could not be read",
			hwreport.Evidence{Source: smbios.TablePath, Value: err.Error()})}, nil
	}
	var found []hwreport.Finding
	for _, e := range t.Broken {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "board.smbios-broken", "", "the firmware's tables are damaged; what stands before the damage was read",
			hwreport.Evidence{Source: smbios.TablePath, Value: e.Error()}))
	}
	b.SMBIOS = some(t.Version)
	if s := t.Of(0); len(s) > 0 {
		b.Firmware = hwreport.Firmware{Vendor: str(s[0], 4), Version: str(s[0], 5), Date: str(s[0], 8), Release: release(s[0])}
	}
	if s := t.Of(1); len(s) > 0 {
		b.System = hwreport.Identity{
			Manufacturer: str(s[0], 4), Product: str(s[0], 5), Version: str(s[0], 6), Serial: str(s[0], 7),
			UUID: uuid(s[0], t.Version), SKU: str(s[0], 0x19), Family: str(s[0], 0x1a), AssetTag: hwreport.Absent[string](),
		}
	}
	if s := t.Of(2); len(s) > 0 {
		b.Baseboard = hwreport.Identity{
			Manufacturer: str(s[0], 4), Product: str(s[0], 5), Version: str(s[0], 6), Serial: str(s[0], 7), AssetTag: str(s[0], 8),
			SKU: hwreport.Absent[string](), Family: hwreport.Absent[string](), UUID: hwreport.Absent[string](),
		}
	}
	if s := t.Of(3); len(s) > 0 {
		b.Chassis = hwreport.Chassis{Type: chassisType(s[0]), Manufacturer: str(s[0], 4), Version: str(s[0], 6), Serial: str(s[0], 7), AssetTag: str(s[0], 8)}
	}
	boardExtras(t, b)
	hwreport.Fill(b, "the firmware has no such structure")
	return append(found, boardPlaceholders(b)...), nil
}

// str is a string of a structure.
func str(s smbios.Structure, off int) hwreport.Field[string] {
	v, err := s.String(off)
	if err != nil {
		return hwreport.Unknown[string](err.Error())
	}
	return some(v)
}

// release is the system BIOS release (DSP0134 7.1, offsets 14h and 15h).
func release(s smbios.Structure) hwreport.Field[string] {
	major, ok := s.Byte(0x14)
	minor, _ := s.Byte(0x15)
	if !ok || major == 0xff && minor == 0xff {
		return hwreport.Absent[string]()
	}
	return hwreport.Value(fmt.Sprintf("%d.%d", major, minor))
}

// uuid is the system's UUID (DSP0134 7.2.1): from 2.6 on the first three parts
// are little-endian. All zeros or all ones mean that there is none.
func uuid(s smbios.Structure, version string) hwreport.Field[string] {
	b, ok := s.Bytes(8, 16)
	if !ok || strings.Count(string(b), "\x00") == 16 || strings.Count(string(b), "\xff") == 16 {
		return hwreport.Absent[string]()
	}
	u := append([]byte(nil), b...)
	if !(strings.HasPrefix(version, "2.") && len(version) >= 3 && version[2] < '6' && len(version) == 3) {
		u[0], u[1], u[2], u[3] = b[3], b[2], b[1], b[0]
		u[4], u[5] = b[5], b[4]
		u[6], u[7] = b[7], b[6]
	}
	h := hex.EncodeToString(u)
	return hwreport.Value(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// chassisTypes are the names of DSP0134 7.4.1, from 1.
var chassisTypes = [...]string{"Other", "Unknown", "Desktop", "Low Profile Desktop", "Pizza Box", "Mini Tower", "Tower", "Portable", "Laptop",
	"Notebook", "Hand Held", "Docking Station", "All in One", "Sub Notebook", "Space-saving", "Lunch Box", "Main Server Chassis", "Expansion Chassis",
	"SubChassis", "Bus Expansion Chassis", "Peripheral Chassis", "RAID Chassis", "Rack Mount Chassis", "Sealed-case PC", "Multi-system chassis",
	"Compact PCI", "Advanced TCA", "Blade", "Blade Enclosure", "Tablet", "Convertible", "Detachable", "IoT Gateway", "Embedded PC", "Mini PC", "Stick PC"}

func chassisType(s smbios.Structure) hwreport.Field[string] {
	n, ok := s.Byte(5)
	n &= 0x7f // bit 7: there is a lock
	if !ok || n == 0 {
		return hwreport.Absent[string]()
	}
	if int(n) > len(chassisTypes) {
		return hwreport.Unknown[string](fmt.Sprintf("type %d is not in the specification", n))
	}
	return hwreport.Value(chassisTypes[n-1])
}

// kernelBoard fills what /sys/class/dmi/id has (kernel: drivers/firmware/
// dmi-id.c); the rest stays unknown.
func kernelBoard(root fs.FS, b *hwreport.Board) {
	id := func(name string) hwreport.Field[string] { return text(root, "sys/class/dmi/id/"+name) }
	b.Firmware = hwreport.Firmware{Vendor: id("bios_vendor"), Version: id("bios_version"), Date: id("bios_date"), Release: id("bios_release")}
	b.System = hwreport.Identity{Manufacturer: id("sys_vendor"), Product: id("product_name"), Version: id("product_version"), Serial: id("product_serial"),
		UUID: id("product_uuid"), SKU: id("product_sku"), Family: id("product_family")}
	b.Baseboard = hwreport.Identity{Manufacturer: id("board_vendor"), Product: id("board_name"), Version: id("board_version"), Serial: id("board_serial"), AssetTag: id("board_asset_tag")}
	b.Chassis = hwreport.Chassis{Manufacturer: id("chassis_vendor"), Version: id("chassis_version"), Serial: id("chassis_serial"), AssetTag: id("chassis_asset_tag")}
}

func boardPlaceholders(b *hwreport.Board) []hwreport.Finding {
	var found []hwreport.Finding
	for _, f := range []struct {
		what  string
		value hwreport.Field[string]
	}{
		{"system serial", b.System.Serial}, {"system uuid", b.System.UUID}, {"baseboard serial", b.Baseboard.Serial}, {"chassis serial", b.Chassis.Serial},
		{"baseboard asset tag", b.Baseboard.AssetTag}, {"chassis asset tag", b.Chassis.AssetTag},
	} {
		if v, ok := f.value.Get(); ok && placeholder(v) {
			found = append(found, hwreport.NewFinding(hwreport.Info, "board.placeholder-serial", strings.ReplaceAll(f.what, " ", "-"),
				fmt.Sprintf("the %s was never filled in", f.what), hwreport.Evidence{Source: smbios.TablePath, Value: v}))
		}
	}
	return found
}

// placeholder says that a maker left a field as its tools wrote it.
func placeholder(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	switch s {
	case "0", "none", "n/a", "na", "unknown", "default", "default string", "not specified", "not available", "system serial number", "serial number",
		"base board serial number", "chassis serial number", "asset tag", "no asset tag", "no asset information", "0123456789", "123456789", "1234567890",
		"xxxxxxxxxx", "03000200-0400-0500-0006-000700080009":
		return true
	}
	return strings.Contains(s, "o.e.m") || strings.Contains(s, "to be filled") || len(s) > 3 && strings.Trim(s, "0") == "" || len(s) > 3 && strings.Trim(s, "f") == ""
}
