package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf16"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/hwreport"
)

// bootDevice reads over what the image came: pxelinux's BOOTIF, the UEFI boot
// entry, the tables of iSCSI and NVMe over fabrics.
func bootDevice(m Machine, out *hwreport.Boot) {
	out.NIC, out.Entry = hwreport.Absent[string](), hwreport.Absent[string]()
	out.ISCSI, out.NVMeOF, out.Reset = ibft(m), nbft(m), hwreport.Absent[string]()
	if out.Mode.Or("") == "efi" {
		entry, mac, err := bootEntry(m)
		switch {
		case err == nil:
			out.Entry = some(entry)
			if mac != "" {
				out.NIC = hwreport.Value(mac)
			}
		default:
			out.Entry = why[string](err)
		}
	}
	if i, ok := out.ISCSI.Get(); ok && i.MAC != "" {
		out.NIC = hwreport.Value(i.MAC)
	}
	for _, w := range bootparam.Split(out.Cmdline.Or("")) {
		if v, ok := strings.CutPrefix(w, "BOOTIF="); ok { // "01-aa-bb-…": hardware type and address
			if parts := strings.Split(v, "-"); len(parts) == 7 {
				out.NIC = hwreport.Value(strings.ToLower(strings.Join(parts[1:], ":")))
			}
		}
	}
}

// bootEntry reads the entry that UEFI booted (UEFI 2.10, 3.1.3): its
// description, and the address of the network interface in its device path.
func bootEntry(m Machine) (description, mac string, err error) {
	current, err := readBytes(m.Root, efiVars+"/BootCurrent-"+efiGlobal)
	if err != nil {
		return "", "", err
	}
	if len(current) != 6 {
		return "", "", fmt.Errorf("BootCurrent has %d bytes", len(current))
	}
	b, err := readBytes(m.Root, fmt.Sprintf("%s/Boot%04X-%s", efiVars, binary.LittleEndian.Uint16(current[4:]), efiGlobal))
	if err != nil {
		return "", "", err
	}
	return parseBootEntry(b)
}

func parseBootEntry(b []byte) (description, mac string, err error) {
	if len(b) < 4+6 {
		return "", "", errors.New("decode boot entry: it is too short")
	}
	b = b[4:] // attributes of the variable
	length := int(binary.LittleEndian.Uint16(b[4:]))
	b = b[6:]
	var text []uint16
	for {
		if len(b) < 2 {
			return "", "", errors.New("decode boot entry: its description has no end")
		}
		c := binary.LittleEndian.Uint16(b)
		b = b[2:]
		if c == 0 {
			break
		}
		text = append(text, c)
	}
	description = strings.TrimSpace(string(utf16.Decode(text)))
	path := b[:min(length, len(b))]
	for len(path) >= 4 {
		n := int(binary.LittleEndian.Uint16(path[2:]))
		if n < 4 || n > len(path) {
			return description, mac, nil // the description is there; the path is broken
		}
		if path[0] == 3 && path[1] == 11 && n >= 10 { // messaging: MAC address (10.3.4.9)
			mac = fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", path[4], path[5], path[6], path[7], path[8], path[9])
		}
		path = path[n:]
	}
	return description, mac, nil
}

// ibft reads the iSCSI boot firmware table (kernel: Documentation/ABI/testing/
// sysfs-ibft).
func ibft(m Machine) hwreport.Field[hwreport.ISCSI] {
	const dir = "sys/firmware/ibft"
	entries, err := names(m.Root, dir)
	if err != nil {
		return hwreport.Unknown[hwreport.ISCSI](err.Error())
	}
	if len(entries) == 0 {
		return hwreport.Absent[hwreport.ISCSI]()
	}
	i := hwreport.ISCSI{Initiator: text(m.Root, dir+"/initiator/initiator-name").Or(""), Targets: []string{}}
	for _, e := range entries {
		at := dir + "/" + e
		switch {
		case strings.HasPrefix(e, "ethernet") && i.MAC == "":
			i.MAC, i.Address = strings.ToLower(text(m.Root, at+"/mac").Or("")), text(m.Root, at+"/ip-addr").Or("")
		case strings.HasPrefix(e, "target"):
			i.Targets = append(i.Targets, fmt.Sprintf("%s at %s:%s lun %s", text(m.Root, at+"/target-name").Or("?"), text(m.Root, at+"/ip-addr").Or("?"), text(m.Root, at+"/port").Or("3260"), text(m.Root, at+"/lun").Or("0")))
		}
	}
	return hwreport.Value(i)
}

// nbft finds the NVMe qualified names in the NVMe boot firmware table (NVM
// Express boot specification 1.0): host and subsystems.
func nbft(m Machine) hwreport.Field[[]string] {
	b, err := readBytes(m.Root, "sys/firmware/acpi/tables/NBFT")
	if errors.Is(err, fs.ErrNotExist) {
		return hwreport.Absent[[]string]()
	}
	if err != nil {
		return hwreport.Unknown[[]string](err.Error())
	}
	list := []string{}
	for _, s := range strings.FieldsFunc(string(b), func(r rune) bool { return r <= ' ' || r > '~' }) {
		if i := strings.Index(s, "nqn."); i >= 0 && len(s)-i <= 223 {
			list = append(list, s[i:])
		}
	}
	return hwreport.Value(list)
}

// lastReset says why the machine last started: by the management controller,
// else by the watchdog.
func lastReset(r *hwreport.Report) {
	b := &r.Boot.Data
	if cause, ok := r.IPMI.Data.Restart.Get(); ok && cause != "unknown" {
		b.Reset = hwreport.Value(cause)
	} else if w, ok := r.RAS.Data.Watchdog.Get(); ok {
		b.Reset = hwreport.Value("watchdog: " + w)
	}
}
