// Package iso9660 says what lies where in an ISO image (ECMA-119): descriptors,
// tables, folders, files, and what El Torito boots; and it writes such images.
// What reads does so to compare and to check, whoever wrote.
//
// Numbers that the standard writes in both byte orders are read in the little
// one. Names are those of Rock Ridge where an entry has them. What is not
// understood is in no extent.
package iso9660

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Sizes in bytes.
const (
	Sector = 2048
	System = 16 * Sector // before the volume: boot code, and the partition tables of a hybrid
)

const (
	maxFolders = 10000
	maxFolder  = 8 << 20 // bytes
)

// image is an ISO.
type image struct {
	io.ReaderAt
	size int64
}

// bytes reads a piece whole; nil where it is not there whole.
func (v image) bytes(at, size int64) []byte {
	if at < 0 || size < 0 || at > v.size-size {
		return nil
	}
	text := make([]byte, size)
	if n, _ := v.ReadAt(text, at); int64(n) != size {
		return nil
	}
	return text
}

// Is says whether an image of size bytes has an ISO 9660 volume.
func Is(r io.ReaderAt, size int64) bool {
	return string(image{r, size}.bytes(System+1, 5)) == "CD001"
}

// Extent is something in an ISO.
type Extent struct {
	What       string // in words
	Path       string // of a file or folder, from the root: /boot/vmlinuz
	Start, End int64  // bytes
	Content    bool   // a file or a boot image: its bytes are somebody else's
	Folder     []byte // of a folder: its entries
}

// Open finds a file by its path and reads it. The error wraps fs.ErrNotExist
// where there is none.
func Open(r io.ReaderAt, size int64, path string) (*io.SectionReader, error) {
	for _, e := range Walk(r, size) {
		if e.Content && e.Path == path {
			if e.Start < System || e.End < e.Start || e.End > size {
				return nil, fmt.Errorf("open %s in the ISO: its content lies outside: the image is damaged or cut", path)
			}
			return io.NewSectionReader(r, e.Start, e.End-e.Start), nil
		}
	}
	return nil, fmt.Errorf("open %s in the ISO: %w", path, fs.ErrNotExist)
}

// Walk lists what lies where.
func Walk(r io.ReaderAt, size int64) []Extent {
	v := image{r, size}
	var list []Extent
	for n := int64(16); n < 64; n++ {
		d := v.bytes(n*Sector, Sector)
		if d == nil || string(d[1:6]) != "CD001" {
			break
		}
		list = append(list, Extent{What: fmt.Sprintf("volume descriptor %d (%s)", n-15, descriptor(d[0])), Start: n * Sector, End: (n + 1) * Sector})
		switch d[0] {
		case 0:
			if strings.HasPrefix(string(d[7:]), "EL TORITO SPECIFICATION") {
				at := int64(binary.LittleEndian.Uint32(d[71:])) * Sector
				list = append(list, Extent{What: "El Torito boot catalogue", Start: at, End: at + Sector})
				list = append(list, bootImages(v, at)...)
			}
		case 1, 2:
			size := int64(binary.LittleEndian.Uint32(d[132:]))
			for _, sector := range []uint32{binary.LittleEndian.Uint32(d[140:]), binary.BigEndian.Uint32(d[148:])} {
				list = append(list, Extent{What: "path table", Start: int64(sector) * Sector, End: int64(sector)*Sector + size})
			}
			if d[0] == 1 {
				list = append(list, walkFolders(v, d[156:190])...)
			}
		case 255:
			return list
		}
	}
	return list
}

// bootImages are the images of the boot catalogue (El Torito 1.0, section 2).
// One that is a FAT volume, as UEFI wants it, is as large as its boot sector
// says: the catalogue has room for 32 MiB only.
func bootImages(v image, at int64) []Extent {
	var list []Extent
	catalogue := v.bytes(at, Sector)
	for i := 32; i+32 <= len(catalogue); i += 32 {
		e := catalogue[i:]
		if e[0] != 0x88 && e[0] != 0 { // not an image: the header of a section, or its end
			continue
		}
		start := int64(binary.LittleEndian.Uint32(e[8:])) * Sector
		size := int64(binary.LittleEndian.Uint16(e[6:])) * 512
		if start == 0 {
			continue
		}
		what := fmt.Sprintf("El Torito boot image %d", len(list)+1)
		size = max(size, fatSize(v.bytes(start, 512)))
		list = append(list, Extent{What: what, Start: start, End: min(start+size, v.size), Content: true})
	}
	return list
}

// fatSize is the size of the FAT volume that begins with a sector, bytes
// (fatgen103, BPB_TotSec16 and BPB_TotSec32); 0 where none does.
func fatSize(b []byte) int64 {
	if b == nil || string(b[510:]) != "\x55\xaa" || string(b[54:57]) != "FAT" && string(b[82:85]) != "FAT" {
		return 0
	}
	sectors := int64(binary.LittleEndian.Uint16(b[19:]))
	if sectors == 0 {
		sectors = int64(binary.LittleEndian.Uint32(b[32:]))
	}
	return sectors * int64(binary.LittleEndian.Uint16(b[11:]))
}

func descriptor(kind byte) string {
	switch kind {
	case 0:
		return "boot record"
	case 1:
		return "primary"
	case 2:
		return "supplementary"
	case 255:
		return "end"
	}
	return "of another kind"
}

// record is one entry of a folder (ECMA-119 9.1).
type record struct {
	at         int // offset in the folder's bytes
	length     int
	name       string
	start, end int64
	folder     bool
}

func walkFolders(v image, root []byte) []Extent {
	var list []Extent
	seen := make(map[int64]bool)
	type folder struct {
		path string
		r    record
	}
	top, ok := readRecord(root, 0)
	if !ok {
		return nil
	}
	for queue := []folder{{"", top}}; len(queue) > 0 && len(seen) < maxFolders; queue = queue[1:] {
		f := queue[0]
		if seen[f.r.start] || f.r.end-f.r.start > maxFolder {
			continue
		}
		seen[f.r.start] = true
		text := v.bytes(f.r.start, f.r.end-f.r.start)
		list = append(list, Extent{What: "folder " + f.path + "/", Path: f.path + "/", Start: f.r.start, End: f.r.end, Folder: text})
		for _, r := range records(text) {
			name := f.path + "/" + r.name
			switch {
			case r.name == "." || r.name == "..":
			case r.folder:
				queue = append(queue, folder{name, r})
			default:
				list = append(list, Extent{What: "file " + name, Path: name, Start: r.start, End: r.end, Content: true})
			}
		}
	}
	return list
}

// records are a folder's entries. None crosses a sector; zeros fill one up.
func records(text []byte) []record {
	var list []record
	for at := 0; at < len(text); {
		if text[at] == 0 {
			at = (at/Sector + 1) * Sector
			continue
		}
		r, ok := readRecord(text, at)
		if !ok {
			return list
		}
		list = append(list, r)
		at += r.length
	}
	return list
}

func readRecord(text []byte, at int) (record, bool) {
	if at+34 > len(text) {
		return record{}, false
	}
	d := text[at:]
	length, nameLength := int(d[0]), int(d[32])
	if length < 34 || length > len(d) || 33+nameLength > length {
		return record{}, false
	}
	start := int64(binary.LittleEndian.Uint32(d[2:])) * Sector
	r := record{at: at, length: length, start: start, end: start + int64(binary.LittleEndian.Uint32(d[10:])), folder: d[25]&2 != 0}
	switch r.name = string(d[33 : 33+nameLength]); r.name {
	case "\x00":
		r.name = "."
	case "\x01":
		r.name = ".."
	default:
		r.name, _, _ = strings.Cut(r.name, ";")
		area := min(33+nameLength+(1-nameLength%2), length) // after a byte that makes the name's length odd
		if long := rockRidge(d[area:length]); long != "" {
			r.name = long
		}
	}
	return r, true
}

// rockRidge is the name in the NM entries of a record's system use area
// (IEEE P1282 4.1.4), as far as they stand in the record itself.
func rockRidge(area []byte) string {
	var name strings.Builder
	for len(area) >= 4 {
		n := int(area[2])
		if n < 4 || n > len(area) {
			break
		}
		if string(area[:2]) == "NM" && n > 5 {
			name.Write(area[5:n])
		}
		area = area[n:]
	}
	return name.String()
}

// Entry names the entry and its field at a byte of a folder's.
func Entry(folder []byte, at int) string {
	for _, r := range records(folder) {
		if at < r.at || at >= r.at+r.length {
			continue
		}
		field := "name or Rock Ridge data"
		switch off := at - r.at; {
		case off >= 2 && off < 10:
			field = "place of its content"
		case off >= 10 && off < 18:
			field = "size"
		case off >= 18 && off < 25:
			field = "time"
		case off < 33:
			field = "header"
		}
		return fmt.Sprintf("entry %q, %s", r.name, field)
	}
	return "between its entries"
}
