package vpd

import (
	"strings"
	"testing"
)

// card is the product data of a network card.
func card() []byte {
	name := "ConnectX-5 EN"
	fields := "PN\x0bMCX512A-ACA" + "EC\x02A5" + "SN\x0dMT1923K12345\x00" + "V0\x0aPCIeGen3x8" + "RV\x01"
	b := append([]byte{0x82, byte(len(name)), 0}, name...)
	b = append(b, 0x90, byte(len(fields)+1), 0)
	b = append(b, fields...)
	var s byte
	for _, c := range b {
		s += c
	}
	return append(append(b, -s), 0x78, 0xff, 0xff)
}

func TestParse(t *testing.T) {
	d, err := Parse(card())
	if err != nil || d.Name != "ConnectX-5 EN" || d.Part != "MCX512A-ACA" || d.Engineering != "A5" || d.Serial != "MT1923K12345" || d.Vendor["V0"] != "PCIeGen3x8" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestBadInput(t *testing.T) {
	wrong := card()
	wrong[20]++
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"empty": {nil, "empty"}, "garbage": {[]byte{0xff, 0xff, 0xff, 0xff}, "states"}, "zeros": {make([]byte, 64), "no resource"}, "wrong checksum": {wrong, "checksum"},
		"cut": {card()[:30], "left"}, "no end": {card()[:3+13], "no end"}, "field too long": {[]byte{0x90, 4, 0, 'P', 'N', 200, 'x', 0x78}, "states 200"},
	} {
		if d, err := Parse(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	if d, _ := Parse(card()[:60]); d.Part != "" || d.Name == "" {
		t.Errorf("what stands before the damage: %+v", d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(card())
	f.Add([]byte{0x90, 4, 0, 'R', 'V', 1, 0, 0x78})
	f.Fuzz(func(t *testing.T, b []byte) { Parse(b) })
}
