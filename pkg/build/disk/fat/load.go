package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf16"
)

// loader reads the folders of a volume. Every cluster belongs to one file or
// folder at most, which is also why no chain, and no folder, can go round.
type loader struct {
	fs    *FS
	seen  []byte // one bit a cluster: it has an owner
	chunk []byte // of the FAT
	at    int64  // its place in the FAT
}

func (l *loader) load() error {
	f := l.fs
	if f.g.bits == 32 {
		return l.folder(f.root, 0)
	}
	text := make([]byte, f.g.root*sectorSize)
	if err := readFull(f.r, text, f.rootStart()); err != nil {
		return err
	}
	return l.entries(f.root, text, 0)
}

// folder reads a folder's own clusters, and what is in it.
func (l *loader) folder(e *entry, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("folder %s is more than %d folders deep", e.path, maxDepth)
	}
	const most = maxEntries * entrySize
	if err := l.chain(e, most/l.fs.g.clusterSize()+1); err != nil {
		return err
	}
	var text []byte
	for _, r := range e.runs {
		at := len(text)
		text = append(text, make([]byte, r.count*l.fs.g.clusterSize())...)
		if err := readFull(l.fs.r, text[at:], l.fs.offset(r.first)); err != nil {
			return fmt.Errorf("folder %s: %w", e.path, err)
		}
	}
	return l.entries(e, text, depth)
}

// chain follows the clusters of an entry, at most so many.
func (l *loader) chain(e *entry, most int64) error {
	var count int64
	for c := e.first; ; {
		if c < 2 || c >= l.fs.g.clusters+2 {
			return fmt.Errorf("%s leads to cluster %d, which the volume has not", e.path, c)
		}
		if bit := byte(1) << (c % 8); l.seen[c/8]&bit != 0 {
			return fmt.Errorf("%s has cluster %d, and so has something else, or itself: chains are crossed", e.path, c)
		} else {
			l.seen[c/8] |= bit
		}
		if count++; count > most {
			return fmt.Errorf("%s has more than the %d clusters that it may have", e.path, most)
		}
		if n := len(e.runs); n > 0 && e.runs[n-1].first+e.runs[n-1].count == c {
			e.runs[n-1].count++
		} else {
			e.runs = append(e.runs, run{c, 1})
		}
		next, err := l.next(c)
		if err != nil {
			return err
		}
		if next >= l.endMark() {
			break
		}
		c = next
	}
	e.clusters = count
	var before int64
	for _, r := range e.runs {
		l.fs.owner = append(l.fs.owner, ownedRun{r, e, before})
		before += r.count
	}
	return nil
}

// endMark is the least value that ends a chain.
func (l *loader) endMark() int64 {
	if l.fs.g.bits == 16 {
		return 0xfff8
	}
	return 0x0ffffff8
}

// next is the FAT's entry of a cluster.
func (l *loader) next(c int64) (int64, error) {
	width := int64(l.fs.g.bits / 8)
	off := c * width
	if l.chunk == nil || off < l.at || off >= l.at+int64(len(l.chunk)) {
		l.at = off / tableChunk * tableChunk
		l.chunk = make([]byte, min(tableChunk, l.fs.g.fat*sectorSize-l.at))
		if err := readFull(l.fs.r, l.chunk, l.fs.g.reserved*sectorSize+l.at); err != nil {
			return 0, err
		}
	}
	if width == 2 {
		return int64(binary.LittleEndian.Uint16(l.chunk[off-l.at:])), nil
	}
	return int64(binary.LittleEndian.Uint32(l.chunk[off-l.at:]) & 0x0fffffff), nil
}

// entries reads a folder's entries and, of folders among them, theirs.
func (l *loader) entries(dir *entry, text []byte, depth int) error {
	dir.byName = map[string]*entry{}
	var long longName
	for ; len(text) >= entrySize && text[0] != 0; text = text[entrySize:] {
		e := text[:entrySize]
		attr := e[11]
		switch {
		case e[0] == 0xe5: // deleted
			long = longName{}
		case attr&0x3f == attrLong:
			long.add(e)
		case attr&attrLabel != 0:
			if dir == l.fs.root {
				l.fs.Label = strings.TrimRight(latin1(e[:11]), " ")
			}
			long = longName{}
		default:
			if err := l.entry(dir, e, long.name(shortName(e[:11])), depth); err != nil {
				return err
			}
			long = longName{}
		}
	}
	return nil
}

// entry reads one file or folder.
func (l *loader) entry(dir *entry, raw []byte, long string, depth int) error {
	short := shortName(raw[:11])
	if short == makeShort(".", "") || short == makeShort("..", "") {
		return nil
	}
	le := binary.LittleEndian
	e := &entry{name: long, dir: raw[11]&attrFolder != 0, attr: raw[11],
		first: int64(le.Uint16(raw[26:])), size: int64(le.Uint32(raw[28:])), at: stamp{le.Uint16(raw[24:]), le.Uint16(raw[22:])}}
	if l.fs.g.bits == 32 {
		e.first |= int64(le.Uint16(raw[20:])) << 16
	}
	if e.name == "" {
		e.name = plainName(short, raw[12])
	}
	e.path = path.Join(dir.path, e.name)
	if !fs.ValidPath(e.name) || e.name == "." || strings.Contains(e.name, "/") {
		return fmt.Errorf("folder %q: an entry is called %q", dir.path, e.name)
	}
	if dir.byName[e.name] != nil {
		return fmt.Errorf("%s is there twice", e.path)
	}
	dir.byName[e.name] = e
	dir.children = append(dir.children, e)
	if e.dir {
		e.size = 0
		return l.folder(e, depth+1)
	}
	return l.content(e)
}

// content checks a file's chain against its size.
func (l *loader) content(e *entry) error {
	want := up(e.size, l.fs.g.clusterSize()) / l.fs.g.clusterSize()
	if want == 0 && e.first == 0 {
		return nil
	}
	if want == 0 || e.first == 0 {
		return fmt.Errorf("%s has %d bytes and begins at cluster %d", e.path, e.size, e.first)
	}
	if err := l.chain(e, want); err != nil {
		return err
	}
	if e.clusters != want {
		return fmt.Errorf("%s has %d bytes and %d clusters of the %d that they need", e.path, e.size, e.clusters, want)
	}
	return nil
}

// plainName is the name of an entry without a long one. Two bits, which Windows
// NT invented, say that the name or its extension is in small letters.
func plainName(s shortName, flags byte) string {
	if s[0] == 0x05 {
		s[0] = 0xe5 // which as a first byte means deleted
	}
	base, ext := strings.TrimRight(latin1(s[:8]), " "), strings.TrimRight(latin1(s[8:]), " ")
	if flags&0x08 != 0 {
		base = strings.ToLower(base)
	}
	if flags&0x10 != 0 {
		ext = strings.ToLower(ext)
	}
	if ext == "" {
		return base
	}
	return base + "." + ext
}

// longName collects the entries of a long name.
type longName struct {
	units []uint16
	next  byte // number of the entry that must follow; 0: the name is whole
	sum   byte
	ok    bool
}

func (n *longName) add(e []byte) {
	number := e[0] &^ longLast
	if e[0]&longLast != 0 {
		*n = longName{next: number, sum: e[13], ok: true}
	}
	if !n.ok || number == 0 || number != n.next || e[13] != n.sum || len(n.units) > maxName {
		*n = longName{}
		return
	}
	part := make([]uint16, longUnits)
	for i, at := range longAt {
		part[i] = binary.LittleEndian.Uint16(e[at:])
	}
	n.units = append(part, n.units...)
	n.next--
}

// name is the collected name, empty where it is not whole or not of that short
// name: then readers take the short one.
func (n *longName) name(s shortName) string {
	if !n.ok || n.next != 0 || n.sum != checksum(s) {
		return ""
	}
	units := n.units
	for i, u := range units {
		if u == 0 {
			units = units[:i]
			break
		}
	}
	return string(utf16.Decode(units))
}

// moment reads a stamp. A month or day of 0, which some writers leave, is the
// first.
func (s stamp) moment() time.Time {
	return time.Date(1980+int(s.date>>9), time.Month(max(1, s.date>>5&15)), int(max(1, s.date&31)), int(s.time>>11), int(s.time>>5&63), int(s.time&31)*2, 0, time.UTC)
}

// errFolder is the error of reading a folder as a file.
var errFolder = errors.New("it is a folder")
