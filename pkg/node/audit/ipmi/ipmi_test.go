package ipmi

import (
	"testing"
)

// fru makes an inventory with a board and a product area.
func fru() []byte {
	pad := func(b []byte) []byte {
		for (len(b)+1)%8 != 0 {
			b = append(b, 0)
		}
		b[1] = byte((len(b) + 1) / 8)
		return append(b, -sum(b))
	}
	board := pad([]byte("\x01\x00\x19\x00\x00\x00\xc3ACM\xc5Board\xc4S123\x82\x64\xf9\xc1"))
	product := pad([]byte("\x01\x00\x19\xc3ACM\xc6Server\x00\x42\x12\x3a\xc1"))
	h := []byte{1, 0, 0, 1, byte(1 + len(board)/8), 0, 0}
	h = append(h, -sum(h))
	return append(append(h, board...), product...)
}

func TestParseFRU(t *testing.T) {
	f := ParseFRU(fru())
	if len(f.Broken) != 0 || f.Board.Manufacturer != "ACM" || f.Board.Product != "Board" || f.Board.Serial != "S123" {
		t.Errorf("board: %+v", f)
	}
	if f.Product.Name != "Server" || f.Product.Part != "" || f.Product.Version != "123" {
		t.Errorf("product: %+v", f.Product)
	}
	b := fru()
	b[10]++ // in the board area
	if f := ParseFRU(b); len(f.Broken) != 1 || f.Board.Manufacturer != "" || f.Product.Name != "Server" {
		t.Errorf("with a broken board area: %+v", f)
	}
}

func TestParseID(t *testing.T) {
	id, err := ParseID([]byte{0x20, 1, 3, 0x21, 0x02, 0xbf, 0x57, 0x01, 0x00, 0x34, 0x12, 0})
	if err != nil || id.Firmware() != "3.21" || id.Version() != "2.0" || id.Manufacturer != 0x157 || id.Product != 0x1234 {
		t.Errorf("%+v %s %s %v", id, id.Firmware(), id.Version(), err)
	}
	if _, err := ParseID(nil); err == nil {
		t.Error("an empty answer was taken")
	}
}

func FuzzParseFRU(f *testing.F) {
	f.Add(fru())
	f.Fuzz(func(t *testing.T, b []byte) { ParseFRU(b) })
}
