package iso9660

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"testing"
)

// Real images, made by xorriso and read by isoinfo too, are walked in the tests
// of pkg/build/repro. Here is a volume by hand, to damage.
func small() []byte {
	iso := make([]byte, 24*Sector)
	pvd := iso[System:]
	copy(pvd, "\x01CD001\x01")
	binary.LittleEndian.PutUint32(pvd[132:], 10)
	binary.LittleEndian.PutUint32(pvd[140:], 18)
	binary.BigEndian.PutUint32(pvd[148:], 19)
	copy(pvd[156:], entryOf("\x00", 20, Sector, 2))
	copy(iso[17*Sector:], "\xffCD001\x01")
	folder := iso[20*Sector : 20*Sector]
	for _, e := range [][]byte{entryOf("\x00", 20, Sector, 2), entryOf("\x01", 20, Sector, 2), entryOf("FILE.TXT;1", 21, 5, 0)} {
		folder = append(folder, e...)
	}
	copy(iso[21*Sector:], "hello")
	return iso
}

// entryOf is a folder's entry (ECMA-119 9.1).
func entryOf(name string, sector, size uint32, flags byte) []byte {
	e := make([]byte, (33+len(name)+1)&^1)
	e[0] = byte(len(e))
	binary.LittleEndian.PutUint32(e[2:], sector)
	binary.LittleEndian.PutUint32(e[10:], size)
	e[25], e[32] = flags, byte(len(name))
	copy(e[33:], name)
	return e
}

func TestOpen(t *testing.T) {
	iso := small()
	r := bytes.NewReader(iso)
	if !Is(r, r.Size()) || Is(r, System) || Is(bytes.NewReader(make([]byte, 99)), 99) {
		t.Error("an ISO is told by its volume descriptor")
	}
	f, err := Open(r, r.Size(), "/FILE.TXT")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(f); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := Open(r, r.Size(), "/other"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	cut := bytes.NewReader(iso[:21*Sector])
	if _, err := Open(cut, cut.Size(), "/FILE.TXT"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("content outside: %v", err)
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(small(), 20*Sector+2, byte(1))
	f.Add(small(), 20*Sector+68, byte(44^43)) // an entry without the byte behind its name
	f.Fuzz(func(t *testing.T, iso []byte, at int, with byte) {
		if len(iso) > 0 && at >= 0 {
			iso = bytes.Clone(iso)
			iso[at%len(iso)] ^= with
		}
		r := bytes.NewReader(iso)
		for _, e := range Walk(r, r.Size()) {
			if e.Folder != nil {
				for i := range min(len(e.Folder), 3*Sector) {
					Entry(e.Folder, i)
				}
			}
			if !e.Content || e.Path == "" {
				continue
			}
			if got, err := Open(r, r.Size(), e.Path); err == nil {
				if _, err := io.ReadAll(got); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
