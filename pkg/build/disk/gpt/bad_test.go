package gpt

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestBadTables(t *testing.T) {
	const size = 64 * mib
	id := func(n byte) GUID { return Derive([]byte{n}, "") }
	part := func(start, bytes int64) Partition {
		return Partition{Type: ESP, ID: id(byte(start / mib)), Name: "p", Start: start, Size: bytes}
	}
	for _, c := range []struct {
		name  string
		table Table
		size  int64
		want  string
	}{
		{"odd disk", Table{Disk: id(200)}, size + 1, "multiple"},
		{"tiny disk", Table{Disk: id(200)}, HeadSize, "too small"},
		{"no GUID", Table{}, size, "no GUID"},
		{"boot code", Table{Disk: id(200), Boot: make([]byte, 441)}, size, "440 fit"},
		{"too many", Table{Disk: id(200), Partitions: make([]Partition, 129)}, size, "128 fit"},
		{"in the tables", Table{Disk: id(200), Partitions: []Partition{part(SectorSize, mib)}}, size, "do not fit"},
		{"over the end", Table{Disk: id(200), Partitions: []Partition{part(mib, size-mib)}}, size, "do not fit"},
		{"overlap", Table{Disk: id(200), Partitions: []Partition{part(3*mib, mib), part(mib, 2*mib+SectorSize)}}, size, "overlap"},
		{"same GUID", Table{Disk: id(200), Partitions: []Partition{part(mib, mib), {Type: ESP, ID: id(1), Start: 3 * mib, Size: mib}}}, size, "twice"},
		{"no type", Table{Disk: id(200), Partitions: []Partition{{ID: id(1), Start: mib, Size: mib}}}, size, "no type"},
		{"unaligned", Table{Disk: id(200), Partitions: []Partition{part(mib, 100)}}, size, "multiples"},
		{"long name", Table{Disk: id(200), Partitions: []Partition{{Type: ESP, ID: id(1), Name: strings.Repeat("🐝", 19), Start: mib, Size: mib}}}, size, "longer"},
	} {
		_, _, err := c.table.Encode(c.size)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want something about %q", c.name, err, c.want)
		}
	}
	full := Table{Disk: id(200), Partitions: []Partition{{Type: ESP, ID: id(1), Size: 62 * mib}, {Type: ESP, ID: id(2), Name: "state"}}}
	if err := full.Place(size); err == nil || !strings.Contains(err.Error(), "state") || full.Partitions[0].Start != 0 {
		t.Errorf("%v, %+v", err, full.Partitions)
	}
}

func TestBadMBR(t *testing.T) {
	const size = 8 * mib
	for want, m := range map[string]MBR{
		"441 bytes":   {Boot: make([]byte, 441)},
		"no type":     {Partitions: []MBRPartition{{Start: mib, Size: mib}}},
		"multiples":   {Partitions: []MBRPartition{{Type: 1, Start: 0, Size: mib}}},
		"do not fit":  {Partitions: []MBRPartition{{Type: 1, Start: mib, Size: size}}},
		"1 and 2 ove": {Partitions: []MBRPartition{{Type: 1, Start: mib, Size: 2 * mib}, {Type: 1, Start: 2 * mib, Size: mib}}},
	} {
		if err := m.Write(io.NewOffsetWriter(nil, 0), size); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want something about %q", err, want)
		}
	}
	huge := MBR{Partitions: []MBRPartition{{Type: 1, Start: mib, Size: 3 << 40}}}
	if err := huge.Write(nil, 4<<40); err == nil || !strings.Contains(err.Error(), "2 TiB") {
		t.Error(err)
	}
}

// disk gives the bytes of a small disk with the sample table.
func disk(t *testing.T) []byte {
	t.Helper()
	table := sample()
	table.Partitions = table.Partitions[:1]
	if err := table.Place(3 * mib); err != nil {
		t.Fatal(err)
	}
	head, tail, err := table.Encode(3 * mib)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(head, make([]byte, 3*mib-HeadSize-TailSize), tail)
}

// Every byte of the tables that something depends on is covered by a check: a
// flipped bit is noticed, and named.
func TestDamage(t *testing.T) {
	whole := disk(t)
	if _, err := Read(bytes.NewReader(whole), int64(len(whole))); err != nil {
		t.Fatal(err)
	}
	last := len(whole)
	for off, want := range map[int]string{
		510: "55 aa", 450: "protective", 512: "no header", 512 + 16: "damaged", 512 + 24: "damaged", 1024 + 60: "damaged", 512 + 91: "damaged",
		last - 512: "second copy", last - 512 + 60: "second copy", last - TailSize + 5: "second copy",
	} {
		broken := slices.Clone(whole)
		broken[off] ^= 1
		if _, err := Read(bytes.NewReader(broken), int64(last)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("bit of byte %d: %v; want something about %q", off, err, want)
		}
	}
	if _, err := Read(bytes.NewReader(whole[:last-1]), int64(last)); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Error(err)
	}
	// Two whole copies that differ.
	other := sample()
	other.Partitions = []Partition{{Type: ESP, ID: Derive(nil, "x"), Start: mib, Size: mib}}
	_, tail, err := other.Encode(3 * mib)
	if err != nil {
		t.Fatal(err)
	}
	mixed := slices.Concat(whole[:last-TailSize], tail)
	if _, err := Read(bytes.NewReader(mixed), int64(last)); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Error(err)
	}
}

func TestWhere(t *testing.T) {
	table, err := Read(bytes.NewReader(disk(t)), 3*mib)
	if err != nil {
		t.Fatal(err)
	}
	for off, want := range map[int64]string{
		0: "MBR, byte 0", 446: "protective", 512 + 56: "GPT header, byte 56", 1024 + 130: "entry 2", 64 << 10: "no partition", mib + 9: "partition 1 (bios), byte 9",
		3*mib - 512: "second copy of the GPT header, byte 0", 3*mib - TailSize: "second copy of the GPT, entry 1",
	} {
		if got, _ := table.Where(off, 3*mib); !strings.Contains(got, want) {
			t.Errorf("byte %d: %q; want %q", off, got, want)
		}
	}
}

// Foreign bytes make errors, never a panic, and what is taken can be written
// and read again.
func FuzzRead(f *testing.F) {
	const size = HeadSize + TailSize + 8*SectorSize
	table := sample()
	table.Partitions = []Partition{{Type: ESP, ID: table.Partitions[1].ID, Name: "ä", Start: HeadSize, Size: 2 * SectorSize}}
	head, tail, err := table.Encode(size)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head, tail)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		b := make([]byte, size)
		copy(b[:HeadSize], head)
		copy(b[len(b)-TailSize:], tail)
		fixCRCs(b)
		if _, err := ReadMBR(bytes.NewReader(b), int64(len(b))); err != nil {
			return
		}
		table, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if _, _, err := table.Encode(int64(len(b))); err != nil {
			t.Errorf("a table that was read cannot be written: %v", err)
		}
	})
}

// fixCRCs puts right CRCs, which no fuzzing would find, on a disk's tables.
func fixCRCs(b []byte) {
	for _, c := range []struct{ header, entries int }{{SectorSize, 2 * SectorSize}, {len(b) - SectorSize, len(b) - TailSize}} {
		h := b[c.header:][:headerSize]
		binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(b[c.entries:][:maxEntries*entrySize]))
		clear(h[16:20])
		binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h))
	}
}
