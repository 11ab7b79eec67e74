package microcode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// update makes one: data of n bytes that begins with first, for as many further
// processors as signatures has.
func update(n int, first byte, signatures ...uint32) []byte {
	size := headerSize + n
	if len(signatures) > 0 {
		size += extHeader + extEntry*len(signatures)
	}
	size = (size + unit - 1) / unit * unit
	if len(signatures) == 0 && size > headerSize+n {
		n = size - headerSize // no table: data to the end
	}
	b := make([]byte, size)
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	put(0, 1)
	put(12, 0x000806f8)
	put(20, 1)
	put(28, uint32(n))
	put(32, uint32(size))
	b[headerSize] = first
	if at := headerSize + n; len(signatures) > 0 {
		put(at, uint32(len(signatures)))
		for i, s := range signatures {
			put(at+extHeader+i*extEntry, s)
		}
		put(at+4, -sum(b[at:]))
	}
	put(16, -sum(b[:headerSize+n]))
	return b
}

// old is an update of the time before sizes were in the header.
func old(first byte) []byte {
	b := make([]byte, defaultData+headerSize)
	binary.LittleEndian.PutUint32(b, 1)
	binary.LittleEndian.PutUint32(b[20:], 1)
	b[headerSize] = first
	binary.LittleEndian.PutUint32(b[16:], -sum(b))
	return b
}

func TestAdd(t *testing.T) {
	a, b, c, d := update(4000, 'a'), update(2000, 'b', 0x806f7, 0x806f6), old('c'), update(4000, 'd')
	var s Set
	for _, file := range [][]byte{bytes.Join([][]byte{a, b, c}, nil), b, bytes.Join([][]byte{c, d}, nil), nil} {
		if err := s.Add(file); err != nil {
			t.Fatal(err)
		}
	}
	if want := bytes.Join([][]byte{a, b, c, d}, nil); !bytes.Equal(s.Bytes, want) || s.Updates != 4 || s.Repeated != 2 {
		t.Errorf("%d bytes of %d, %d updates, %d repeated", len(s.Bytes), len(want), s.Updates, s.Repeated)
	}
}

func TestDamage(t *testing.T) {
	set := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[at:], v)
			return b
		}
	}
	table := headerSize + 2000
	for name, c := range map[string]struct {
		harm func([]byte) []byte
		say  string
	}{
		"cut in the header":     {func(b []byte) []byte { return b[:47] }, "47 bytes, a header has 48"},
		"cut in the data":       {func(b []byte) []byte { return b[:len(b)-1] }, "3071 bytes of 3072"},
		"a bit":                 {func(b []byte) []byte { b[1000] ^= 4; return b }, "wrong checksum"},
		"a bit of the table":    {func(b []byte) []byte { b[table+extHeader] ^= 4; return b }, "extended signature table"},
		"header version":        {set(0, 2), "header version 2"},
		"loader revision":       {set(20, 7), "loader revision 7"},
		"data no words":         {set(28, 2001), "2001 bytes of data"},
		"data beyond the end":   {set(28, 3072), "3072 bytes of data in 3072"},
		"size no multiple":      {set(32, 3000), "2000 bytes of data in 3000"},
		"largest":               {set(32, 0xfffffc00), "3072 bytes of 4294966272"},
		"too many signatures":   {set(table, 1<<31), "2147483648 extended signatures"},
		"text":                  {func([]byte) []byte { return bytes.Repeat([]byte("# microcode\n"), 200) }, "damaged"},
		"no room for the table": {func([]byte) []byte { return tight() }, "16 bytes of an extended signature table's header"},
	} {
		good := update(1000, 'g')
		var s Set
		if err := s.Add(good); err != nil {
			t.Fatal(err)
		}
		err := s.Add(append(update(4000, 'a'), c.harm(update(2000, 'b', 0x806f7))...))
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), "at byte 4096") {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(s.Bytes, good) || s.Updates != 1 {
			t.Errorf("%s: changed the set", name)
		}
	}
}

// tight has 16 bytes after its data, where a table's header has 20.
func tight() []byte {
	b := make([]byte, 3072)
	binary.LittleEndian.PutUint32(b, 1)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint32(b[28:], 3072-headerSize-16)
	binary.LittleEndian.PutUint32(b[32:], 3072)
	binary.LittleEndian.PutUint32(b[16:], -sum(b))
	return b
}

func FuzzAdd(f *testing.F) {
	f.Add(bytes.Join([][]byte{update(4000, 'a'), update(2000, 'b', 0x806f7), old('c')}, nil))
	f.Add(tight())
	f.Fuzz(func(t *testing.T, file []byte) {
		var s Set
		if err := s.Add(file); err != nil {
			if !errors.Is(err, ErrDamaged) || len(s.Bytes) != 0 {
				t.Fatalf("%v, %d bytes", err, len(s.Bytes))
			}
			return
		}
		first := s
		if err := s.Add(file); err != nil || !bytes.Equal(s.Bytes, first.Bytes) || s.Repeated != first.Repeated*2+first.Updates {
			t.Fatalf("a second time: %v, %d and %d bytes", err, len(first.Bytes), len(s.Bytes))
		}
		if first.Repeated == 0 && !bytes.Equal(first.Bytes, file) {
			t.Fatalf("%d bytes of %d", len(first.Bytes), len(file))
		}
	})
}
