package audit

import (
	"fmt"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// bootStates are DSP0134 7.33.1.
var bootStates = [...]string{"no errors", "no bootable media", "the operating system failed to load", "the firmware found a hardware failure", "the operating system found a hardware failure",
	"boot was asked for by a person", "security violation", "an image that was asked for before", "the watchdog expired"}

// onboardTypes are DSP0134 7.42.2, from 1.
var onboardTypes = []string{"Other", "Unknown", "Video", "SCSI Controller", "Ethernet", "Token Ring", "Sound", "PATA Controller", "SATA Controller", "SAS Controller", "Wireless LAN", "Bluetooth", "WWAN", "eMMC", "NVMe Controller", "UFS Controller"}

// componentStates are DSP0134 7.46.4, from 1.
var componentStates = []string{"Other", "Unknown", "Disabled", "Enabled", "Absent", "Standby (offline)", "Standby (spare)", "Unavailable (offline)"}

// boardExtras reads what firmware tells beside the identity: types 11 to 14,
// 32, 41 and 45. A machine without tables has none of it.
func boardExtras(t smbios.Tables, b *hwreport.Board) {
	b.OEM, b.Options = stringList(t, 11), stringList(t, 12)
	b.Language, b.Groups, b.BootStatus = hwreport.Absent[string](), hwreport.Absent[[]string](), hwreport.Absent[string]()
	b.Onboard, b.Components = hwreport.Absent[[]hwreport.OnboardDevice](), hwreport.Absent[[]hwreport.Component]()
	if s := t.Of(13); len(s) > 0 {
		b.Language = str(s[0], 0x15)
	}
	var groups []string
	for _, s := range t.Of(14) {
		if name, ok := str(s, 4).Get(); ok {
			groups = append(groups, name)
		}
	}
	if groups != nil {
		b.Groups = hwreport.Value(groups)
	}
	if s := t.Of(32); len(s) > 0 {
		n, ok := s[0].Byte(0x0a)
		switch {
		case ok && int(n) < len(bootStates):
			b.BootStatus = hwreport.Value(bootStates[n])
		case ok && n >= 128:
			b.BootStatus = hwreport.Value(fmt.Sprintf("maker's code %d", n))
		case ok:
			b.BootStatus = hwreport.Unknown[string](fmt.Sprintf("status %d is not in the specification", n))
		}
	}
	var onboard []hwreport.OnboardDevice
	for _, s := range t.Of(41) {
		kind, ok := s.Byte(5)
		d := hwreport.OnboardDevice{Name: str(s, 4).Or(""), Type: named(onboardTypes, kind&0x7f, ok), Enabled: kind&0x80 != 0, Address: hwreport.Absent[string]()}
		segment, ok1 := s.Word(7)
		bus, ok2 := s.Byte(9)
		devfn, ok3 := s.Byte(0x0a)
		if ok1 && ok2 && ok3 && segment != 0xffff && bus != 0xff {
			d.Address = hwreport.Value(fmt.Sprintf("%04x:%02x:%02x.%d", segment, bus, devfn>>3, devfn&7))
		}
		onboard = append(onboard, d)
	}
	if onboard != nil {
		b.Onboard = hwreport.Value(onboard)
	}
	var components []hwreport.Component
	for _, s := range t.Of(45) {
		state, ok := s.Byte(0x16)
		components = append(components, hwreport.Component{Name: str(s, 4), Version: str(s, 5), ID: str(s, 7), Date: str(s, 9), Manufacturer: str(s, 0x0a), Lowest: str(s, 0x0b), State: named(componentStates, state, ok)})
	}
	if components != nil {
		b.Components = hwreport.Value(components)
	}
}

// stringList is the strings of a structure that has nothing but their number.
func stringList(t smbios.Tables, kind byte) hwreport.Field[[]string] {
	var list []string
	for _, s := range t.Of(kind) {
		list = append(list, s.Strings()...)
	}
	if list == nil {
		return hwreport.Absent[[]string]()
	}
	return hwreport.Value(list)
}
