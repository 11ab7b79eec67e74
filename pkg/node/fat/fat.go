// Package fat reads files from the root directory of a FAT12, FAT16 or FAT32
// file system without the kernel, so that a malicious one meets bounds checks
// instead of a file system driver. It writes nothing and follows no folder:
// what a seed or a parameter file needs. Source: Microsoft, FAT: General
// Overview of On-Disk Format, 1.03; long names: the same, "Long Directory
// Entries".
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

// ErrNone says that there is no FAT file system.
var ErrNone = errors.New("no FAT file system")

// maxDirectory bounds the root directory, bytes: 65,536 entries.
const maxDirectory = 2 << 20

// Sizes and marks of a directory entry.
const (
	entrySize   = 32
	attrVolume  = 0x08
	attrFolder  = 0x10
	attrLong    = 0x0f
	attrMask    = 0x3f
	deleted     = 0xe5
	lastLong    = 0x40
	longChars   = 13
	maxLongPart = 20 // 255 characters
)

// Volume is a FAT file system. It holds no more than where things are.
type Volume struct {
	r         io.ReaderAt
	bits      int   // 12, 16 or 32
	cluster   int64 // bytes
	table     int64 // offset of the first FAT, bytes
	data      int64 // offset of cluster 2, bytes
	clusters  uint32
	root      int64  // offset of the fixed root directory, bytes; FAT12 and FAT16
	rootSize  int64  // bytes
	rootStart uint32 // first cluster of the root directory; FAT32
	bootLabel string
}

// Open reads the boot sector. Its error is ErrNone where this is no FAT file
// system, and one that says what is wrong where it is a broken one.
func Open(r io.ReaderAt) (*Volume, error) {
	b := make([]byte, 512)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		if errors.Is(err, io.EOF) {
			return nil, ErrNone
		}
		return nil, fmt.Errorf("read boot sector: %w", err)
	}
	le := binary.LittleEndian
	sector, perCluster, reserved, tables := int64(le.Uint16(b[11:])), int64(b[13]), int64(le.Uint16(b[14:])), int64(b[16])
	media := b[21]
	if b[510] != 0x55 || b[511] != 0xaa || b[0] != 0xeb && b[0] != 0xe9 ||
		sector < 512 || sector > 4096 || sector&(sector-1) != 0 || perCluster == 0 || perCluster&(perCluster-1) != 0 ||
		reserved == 0 || tables == 0 || tables > 4 || media != 0xf0 && media < 0xf8 {
		return nil, ErrNone
	}
	entries, total, perTable := int64(le.Uint16(b[17:])), int64(le.Uint16(b[19:])), int64(le.Uint16(b[22:]))
	if total == 0 {
		total = int64(le.Uint32(b[32:]))
	}
	v := &Volume{r: r, cluster: sector * perCluster, table: reserved * sector, rootSize: entries * entrySize}
	extended := 38 // of the extended boot record
	if perTable == 0 {
		v.bits, extended = 32, 66
		perTable, v.rootStart = int64(le.Uint32(b[36:])), le.Uint32(b[44:])
	}
	v.root = v.table + tables*perTable*sector
	v.data = (v.root + v.rootSize + sector - 1) / sector * sector
	if perTable == 0 || total*sector <= v.data {
		return nil, ErrNone
	}
	v.clusters = uint32((total*sector - v.data) / v.cluster)
	if v.bits == 0 { // the kernel's limit, fs/fat/fat.h, MAX_FAT12
		if v.bits = 16; v.clusters <= 0xff4 {
			v.bits = 12
		}
	}
	if (int64(v.clusters)+2)*int64(v.bits)/8 > perTable*sector {
		return nil, fmt.Errorf("FAT%d file system with %d clusters has a table of %d bytes: too short", v.bits, v.clusters, perTable*sector)
	}
	if b[extended] == 0x29 {
		v.bootLabel = label(b[extended+5 : extended+16])
	}
	return v, nil
}

// label trims a label of 11 bytes; "NO NAME" is what mkfs writes for none.
func label(b []byte) string {
	s := strings.TrimRight(string(b), " \x00")
	if s == "NO NAME" {
		return ""
	}
	return s
}

// Label is the volume's name: its entry in the root directory, else the boot
// sector's; empty: it has none.
func (v *Volume) Label() (string, error) {
	name := v.bootLabel
	err := v.entries(func(_ string, e []byte) bool {
		if e[11]&(attrVolume|attrFolder) != attrVolume {
			return true
		}
		name = label(e[:11])
		return false
	})
	return name, err
}

// ReadFile reads a file of the root directory, by long or short name, in upper
// or lower case. Its error is fs.ErrNotExist where there is none of that name;
// a file of more than limit bytes is an error.
func (v *Volume) ReadFile(name string, limit int64) ([]byte, error) {
	var found []byte
	err := v.entries(func(n string, e []byte) bool {
		if e[11]&(attrVolume|attrFolder) == 0 && strings.EqualFold(n, name) {
			found = append(found, e...)
		}
		return found == nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case found == nil:
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	size := int64(binary.LittleEndian.Uint32(found[28:]))
	if size > limit {
		return nil, fmt.Errorf("read %s: it has %d bytes, at most %d are read", name, size, limit)
	}
	start := uint32(binary.LittleEndian.Uint16(found[26:]))
	if v.bits == 32 {
		start |= uint32(binary.LittleEndian.Uint16(found[20:])) << 16
	}
	b, err := v.chain(start, size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) < size {
		return nil, fmt.Errorf("read %s: it has %d bytes and its clusters hold %d", name, size, len(b))
	}
	return b, nil
}

// chain reads a chain of clusters, up to size bytes.
func (v *Volume) chain(start uint32, size int64) ([]byte, error) {
	var out []byte
	for c := start; int64(len(out)) < size; {
		if c >= v.end() {
			return out, nil
		}
		if c < 2 || c-2 >= v.clusters {
			return nil, fmt.Errorf("cluster %d is not one of %d", c, v.clusters)
		}
		part := make([]byte, min(v.cluster, size-int64(len(out))))
		if n, err := v.r.ReadAt(part, v.data+int64(c-2)*v.cluster); n < len(part) {
			return nil, fmt.Errorf("read cluster %d: %w", c, err)
		}
		out = append(out, part...)
		var err error
		if c, err = v.next(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// end is the first number that ends a chain.
func (v *Volume) end() uint32 {
	if v.bits == 32 {
		return 0x0ffffff8
	}
	return 1<<v.bits - 8
}

// next looks the cluster after c up in the first table.
func (v *Volume) next(c uint32) (uint32, error) {
	b := make([]byte, 4)[:(v.bits+7)/8]
	if n, err := v.r.ReadAt(b, v.table+int64(c)*int64(v.bits)/8); n < len(b) {
		return 0, fmt.Errorf("read table at cluster %d: %w", c, err)
	}
	switch v.bits {
	case 12:
		return uint32(binary.LittleEndian.Uint16(b)) >> (c & 1 * 4) & 0xfff, nil
	case 16:
		return uint32(binary.LittleEndian.Uint16(b)), nil
	}
	return binary.LittleEndian.Uint32(b) & 0x0fffffff, nil
}

func (v *Volume) directory() ([]byte, error) {
	if v.bits == 32 {
		return v.chain(v.rootStart, maxDirectory)
	}
	b := make([]byte, v.rootSize)
	if n, err := v.r.ReadAt(b, v.root); n < len(b) {
		return nil, err
	}
	return b, nil
}

// entries calls f for every entry that is in use with its long name, or its
// short one where it has none, until f says no.
func (v *Volume) entries(f func(name string, entry []byte) bool) error {
	b, err := v.directory()
	if err != nil {
		return fmt.Errorf("read root directory: %w", err)
	}
	var long longName
	for ; len(b) >= entrySize && b[0] != 0; b = b[entrySize:] {
		e := b[:entrySize]
		switch {
		case e[0] == deleted:
			long = longName{}
		case e[11]&attrMask == attrLong:
			long.add(e)
		default:
			name := long.take(e[:11])
			if name == "" {
				name = shortName(e)
			}
			if !f(name, e) {
				return nil
			}
		}
	}
	return nil
}

// shortName is an 8.3 name as people write it.
func shortName(e []byte) string {
	base, ext := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if ext != "" {
		base += "." + ext
	}
	return base
}

// longName collects the parts of a long name, which stand before its entry, the
// last part first.
type longName struct {
	parts [][]byte // UTF-16LE; the last first
	sum   byte
	next  int // number of the part that must follow; 0: the name is whole
}

func (l *longName) add(e []byte) {
	n := int(e[0] &^ lastLong)
	switch {
	case e[0]&lastLong != 0 && n >= 1 && n <= maxLongPart:
		*l = longName{sum: e[13], next: n}
	case n == 0 || n != l.next || e[13] != l.sum:
		*l = longName{}
		return
	}
	part := append(append(append(make([]byte, 0, 2*longChars), e[1:11]...), e[14:26]...), e[28:32]...)
	l.parts = append(l.parts, part)
	l.next = n - 1
}

// take gives the long name that belongs to a short one and forgets it; empty:
// there is none.
func (l *longName) take(short []byte) string {
	var sum byte
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	parts, whole := l.parts, len(l.parts) > 0 && l.next == 0 && l.sum == sum
	*l = longName{}
	if !whole {
		return ""
	}
	var units []uint16
	for i := len(parts) - 1; i >= 0; i-- {
		for p := parts[i]; len(p) > 0; p = p[2:] {
			u := binary.LittleEndian.Uint16(p)
			if u == 0 {
				return string(utf16.Decode(units))
			}
			units = append(units, u)
		}
	}
	return string(utf16.Decode(units))
}
