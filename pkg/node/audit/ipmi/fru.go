package ipmi

import (
	"fmt"
	"strings"
)

// FRU is a unit's inventory (Platform Management FRU Information Storage
// Definition v1.0, revision 1.3). An area that is broken is empty, and Broken
// tells.
type FRU struct {
	Chassis struct{ Part, Serial string }
	Board   struct{ Manufacturer, Product, Serial, Part string }
	Product struct{ Manufacturer, Name, Part, Version, Serial, AssetTag string }
	Power   []PowerInfo // of the multi-record area
	Broken  []error
}

// PowerInfo is a power supply information record (18.1 there).
type PowerInfo struct {
	Watts             int // overall capacity
	HotSwap           bool
	InputLow, InputHi int // millivolts
}

// ParseFRU reads an inventory.
func ParseFRU(b []byte) FRU {
	var f FRU
	if len(b) < 8 || b[0]&0x0f != 1 || sum(b[:8]) != 0 {
		f.Broken = append(f.Broken, fmt.Errorf("parse FRU: the common header is broken"))
		return f
	}
	for _, a := range []struct {
		name   string
		offset int
		skip   int // bytes before the first field
		to     []*string
	}{
		{"chassis", int(b[2]) * 8, 3, []*string{&f.Chassis.Part, &f.Chassis.Serial}},
		{"board", int(b[3]) * 8, 6, []*string{&f.Board.Manufacturer, &f.Board.Product, &f.Board.Serial, &f.Board.Part}},
		{"product", int(b[4]) * 8, 3, []*string{&f.Product.Manufacturer, &f.Product.Name, &f.Product.Part, &f.Product.Version, &f.Product.Serial, &f.Product.AssetTag}},
	} {
		if a.offset == 0 {
			continue
		}
		if err := area(b, a.offset, a.skip, a.to); err != nil {
			f.Broken = append(f.Broken, fmt.Errorf("parse FRU: %s area: %w", a.name, err))
		}
	}
	if at := int(b[5]) * 8; at != 0 {
		if err := f.multi(b, at); err != nil {
			f.Broken = append(f.Broken, fmt.Errorf("parse FRU: multi-record area: %w", err))
		}
	}
	return f
}

// multi walks the multi-record area (16).
func (f *FRU) multi(b []byte, at int) error {
	for {
		if at+5 > len(b) {
			return fmt.Errorf("a record begins at %d, behind the end", at)
		}
		h := b[at : at+5]
		body := at + 5
		end := body + int(h[2])
		switch {
		case sum(h) != 0:
			return fmt.Errorf("the checksum of a record's header is wrong")
		case end > len(b):
			return fmt.Errorf("a record states a length of %d, and %d bytes are left", h[2], len(b)-body)
		case sum(b[body:end])+h[3] != 0:
			return fmt.Errorf("the checksum of a record of type %#02x is wrong", h[0])
		}
		if r := b[body:end]; h[0] == 0 && len(r) >= 24 {
			f.Power = append(f.Power, PowerInfo{Watts: int(le.Uint16(r) & 0xfff), InputLow: int(le.Uint16(r[6:])) * 10, InputHi: int(le.Uint16(r[8:])) * 10, HotSwap: r[17]&8 != 0})
		}
		if h[1]&0x80 != 0 {
			return nil
		}
		at = end
	}
}

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

func area(b []byte, offset, skip int, to []*string) error {
	if offset+2 > len(b) {
		return fmt.Errorf("it begins at %d, behind the end", offset)
	}
	length := int(b[offset+1]) * 8
	if length < skip || offset+length > len(b) {
		return fmt.Errorf("it states a length of %d, and %d bytes are left", length, len(b)-offset)
	}
	a := b[offset : offset+length]
	if sum(a) != 0 {
		return fmt.Errorf("its checksum is wrong")
	}
	a = a[skip:]
	for _, p := range to {
		if len(a) == 0 || a[0] == 0xc1 { // no more fields
			return nil
		}
		n := int(a[0] & 0x3f)
		if 1+n > len(a) {
			return fmt.Errorf("a field is longer than the area")
		}
		*p = decode(a[0]>>6, a[1:1+n])
		a = a[1+n:]
	}
	return nil
}

// decode reads a field by its type: binary, BCD plus, 6-bit ASCII, 8-bit text.
func decode(kind byte, b []byte) string {
	var s strings.Builder
	switch kind {
	case 0:
		fmt.Fprintf(&s, "%x", b)
	case 1:
		const digits = "0123456789 -.:,_"
		for _, c := range b {
			s.WriteByte(digits[c>>4])
			s.WriteByte(digits[c&0x0f])
		}
	case 2:
		var bits, have uint
		for _, c := range b {
			bits |= uint(c) << have
			for have += 8; have >= 6; have -= 6 {
				s.WriteByte(byte(bits&0x3f) + ' ')
				bits >>= 6
			}
		}
	default:
		for _, c := range b {
			if c >= ' ' && c != 0x7f {
				s.WriteRune(rune(c))
			}
		}
	}
	return strings.TrimSpace(s.String())
}
