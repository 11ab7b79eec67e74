package repro

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// ISO 9660 (ECMA-119): a small walk that says what lies at a byte. Numbers that
// the standard writes in both byte orders are read in the little one.

const (
	isoSector  = 2048
	isoSystem  = 16 * isoSector // for boot code; partition tables in a hybrid
	isoMaxDirs = 10000
	isoMaxSize = 8 << 20 // of one folder, bytes
)

func isISO(v view) bool { return string(v.bytes(isoSystem+1, 5)) == "CD001" }

// extent is something in an ISO.
type extent struct {
	what       string
	start, end int64
	file       bool
	folder     []byte // of a folder: its records
}

// walkISO lists what lies where. It reads what it understands; the rest is in
// no extent.
func walkISO(v view) []extent {
	var list []extent
	for n := int64(16); n < 64; n++ {
		d := v.bytes(n*isoSector, isoSector)
		if d == nil || string(d[1:6]) != "CD001" {
			break
		}
		list = append(list, extent{what: fmt.Sprintf("volume descriptor %d (%s)", n-15, descriptor(d[0])), start: n * isoSector, end: (n + 1) * isoSector})
		switch d[0] {
		case 0:
			if strings.HasPrefix(string(d[7:]), "EL TORITO SPECIFICATION") {
				at := int64(binary.LittleEndian.Uint32(d[71:])) * isoSector
				list = append(list, extent{what: "El Torito boot catalogue", start: at, end: at + isoSector})
				list = append(list, bootImages(v, at)...)
			}
		case 1, 2:
			size := int64(binary.LittleEndian.Uint32(d[132:]))
			for _, sector := range []uint32{binary.LittleEndian.Uint32(d[140:]), binary.BigEndian.Uint32(d[148:])} {
				list = append(list, extent{what: "path table", start: int64(sector) * isoSector, end: int64(sector)*isoSector + size})
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
func bootImages(v view, at int64) []extent {
	var list []extent
	catalogue := v.bytes(at, isoSector)
	for i := 32; i+32 <= len(catalogue); i += 32 {
		e := catalogue[i:]
		if e[0] != 0x88 && e[0] != 0 { // not an image: the header of a section, or its end
			continue
		}
		start := int64(binary.LittleEndian.Uint32(e[8:])) * isoSector
		size := int64(binary.LittleEndian.Uint16(e[6:])) * 512
		if start == 0 {
			continue
		}
		what := fmt.Sprintf("El Torito boot image %d", len(list)+1)
		if f := v.part(start, v.size-start); isFAT(f) {
			size = max(size, fatSize(f))
		}
		list = append(list, extent{what: what, start: start, end: min(start+size, v.size), file: true})
	}
	return list
}

// fatSize is the size of a FAT volume, bytes (fatgen103, BPB_TotSec16 and
// BPB_TotSec32).
func fatSize(v view) int64 {
	b := v.bytes(0, 512)
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

func walkFolders(v view, root []byte) []extent {
	var list []extent
	seen := make(map[int64]bool)
	type folder struct {
		path string
		r    record
	}
	top, ok := readRecord(root, 0)
	if !ok {
		return nil
	}
	for queue := []folder{{"", top}}; len(queue) > 0 && len(seen) < isoMaxDirs; queue = queue[1:] {
		f := queue[0]
		if seen[f.r.start] || f.r.end-f.r.start > isoMaxSize {
			continue
		}
		seen[f.r.start] = true
		text := v.bytes(f.r.start, f.r.end-f.r.start)
		list = append(list, extent{what: "folder " + f.path + "/", start: f.r.start, end: f.r.end, folder: text})
		for _, r := range records(text) {
			name := f.path + "/" + r.name
			switch {
			case r.name == "." || r.name == "..":
			case r.folder:
				queue = append(queue, folder{name, r})
			default:
				list = append(list, extent{what: "file " + name, start: r.start, end: r.end, file: true})
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
			at = (at/isoSector + 1) * isoSector
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
	start := int64(binary.LittleEndian.Uint32(d[2:])) * isoSector
	r := record{at: at, length: length, start: start, end: start + int64(binary.LittleEndian.Uint32(d[10:])), folder: d[25]&2 != 0}
	switch r.name = string(d[33 : 33+nameLength]); r.name {
	case "\x00":
		r.name = "."
	case "\x01":
		r.name = ".."
	default:
		r.name, _, _ = strings.Cut(r.name, ";")
		if long := rockRidge(d[33+nameLength+(1-nameLength%2) : length]); long != "" {
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

// explainISO finds the smallest extent with the byte. What lies before the
// volume, or in a partition behind it, is for the partition table to explain.
func explainISO(x *explaining, a, b view, at int64) []string {
	var best *extent
	for _, e := range walkISO(a) {
		if at >= e.start && at < e.end && (best == nil || e.end-e.start < best.end-best.start) {
			best = &e
		}
	}
	if best == nil {
		return nil
	}
	name := "ISO 9660: " + best.what
	switch {
	case best.folder != nil:
		return []string{name, inRecord(best.folder, int(at-best.start)), plain(a, b, at)}
	case !best.file:
		return []string{name, fmt.Sprintf("byte %d of it", at-best.start), plain(a, b, at)}
	}
	size := best.end - best.start
	inner := x.inside(a.part(best.start, size), b.part(best.start, size))
	return append([]string{name}, inner...)
}

// inRecord names the entry of a folder and its field.
func inRecord(folder []byte, at int) string {
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
