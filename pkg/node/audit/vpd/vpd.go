// Package vpd decodes the vital product data of PCI devices (PCI Local Bus
// Specification 3.0, appendix I; PCI Express Base Specification 6.28), as sysfs
// offers it in the file vpd.
package vpd

import (
	"errors"
	"fmt"
	"strings"
)

// Data is what a device tells of itself.
type Data struct {
	Name                      string
	Part, Serial, Engineering string
	Manufacturer              string
	Vendor                    map[string]string // the keywords V0…VZ, Y…, by keyword
}

// Parse decodes the resources. What stands before damage is returned with the
// error.
func Parse(b []byte) (Data, error) {
	d := Data{Vendor: map[string]string{}}
	if len(b) == 0 {
		return d, errors.New("decode VPD: it is empty")
	}
	for at := 0; at < len(b); {
		tag := b[at]
		var n, head int
		if tag&0x80 != 0 { // large resource
			if at+3 > len(b) {
				return d, fmt.Errorf("decode VPD: a resource begins at %d, behind the end", at)
			}
			n, head = int(b[at+1])|int(b[at+2])<<8, 3
		} else {
			n, head = int(tag&7), 1
			tag &= 0x78
		}
		body := at + head
		if body+n > len(b) {
			return d, fmt.Errorf("decode VPD: the resource at %d states %d bytes, and %d are left", at, n, len(b)-body)
		}
		switch tag {
		case 0x78: // end
			return d, nil
		case 0x82:
			d.Name = text(b[body : body+n])
		case 0x90, 0x91:
			if err := d.fields(b, body, n, tag == 0x90); err != nil {
				return d, err
			}
		default:
			return d, fmt.Errorf("decode VPD: %#02x at %d is no resource", b[at], at)
		}
		at = body + n
	}
	return d, errors.New("decode VPD: it has no end")
}

func (d *Data) fields(b []byte, at, n int, readOnly bool) error {
	for end := at + n; at < end; {
		if at+3 > end {
			return fmt.Errorf("decode VPD: a field begins at %d, behind the end of its resource", at)
		}
		key, size := string(b[at:at+2]), int(b[at+2])
		at += 3
		if at+size > end {
			return fmt.Errorf("decode VPD: field %q states %d bytes, and %d are left", key, size, end-at)
		}
		v := b[at : at+size]
		at += size
		switch {
		case key == "PN":
			d.Part = text(v)
		case key == "SN":
			d.Serial = text(v)
		case key == "EC":
			d.Engineering = text(v)
		case key == "MN":
			d.Manufacturer = text(v)
		case key == "RV" && readOnly && size > 0:
			var sum byte // from the first byte up to and with the checksum
			for _, c := range b[:at-size+1] {
				sum += c
			}
			if sum != 0 {
				return errors.New("decode VPD: its checksum is wrong")
			}
		case key[0] == 'V' || key[0] == 'Y':
			if s := text(v); s != "" && printable(key) {
				d.Vendor[key] = s
			}
		}
	}
	return nil
}

func printable(s string) bool { return text([]byte(s)) == s }

func text(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}
