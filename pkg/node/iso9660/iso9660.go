// Package iso9660 reads files from the root directory of an ISO 9660 file
// system without the kernel, so that a malicious one meets bounds checks
// instead of a file system driver. Names are those of Rock Ridge, else of
// Joliet, else the plain ones. It follows no folder: what a seed needs.
// Sources: ECMA-119; IEEE P1281 (SUSP) and P1282 (Rock Ridge), drafts 1.12;
// Joliet Specification of 1995.
package iso9660

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

// ErrNone says that there is no ISO 9660 file system.
var ErrNone = errors.New("no ISO 9660 file system")

// Bounds and places.
const (
	sectorSize     = 2048
	firstSector    = 16 // of the volume descriptors
	maxDescriptors = 64
	maxDirectory   = 1 << 20 // bytes
	maxContinued   = 16      // continuation areas of one entry
)

// Types of volume descriptors (ECMA-119, 8.1.1).
const (
	primary       = 1
	supplementary = 2
	terminator    = 255
)

// Flags of a directory record (ECMA-119, 9.1.6).
const (
	flagFolder = 0x02
	flagMore   = 0x80 // the file goes on in the next record
)

// Volume is an ISO 9660 file system.
type Volume struct {
	r             io.ReaderAt
	label         string
	root, joliet  extent // joliet has no size where there is none
	suspSkip      int    // bytes before the system use entries of a record
	hasSystemUses bool
}

// extent is a stretch of the volume, bytes.
type extent struct{ offset, size int64 }

// Open reads the volume descriptors. Its error is ErrNone where this is no ISO
// 9660 file system.
func Open(r io.ReaderAt) (*Volume, error) {
	v := &Volume{r: r}
	found := false
	b := make([]byte, sectorSize)
	for i := range int64(maxDescriptors) {
		if n, err := r.ReadAt(b, (firstSector+i)*sectorSize); n < len(b) {
			if errors.Is(err, io.EOF) {
				break
			}
			return nil, fmt.Errorf("read volume descriptor %d: %w", i, err)
		}
		if string(b[1:6]) != "CD001" || b[0] == terminator {
			break
		}
		switch {
		case b[0] == primary && !found:
			if block := binary.LittleEndian.Uint16(b[128:]); block != sectorSize {
				return nil, fmt.Errorf("ISO 9660 file system has blocks of %d bytes, not %d", block, sectorSize)
			}
			found = true
			v.label = strings.TrimRight(string(b[40:72]), " \x00")
			v.root = extentOf(b[156:190])
		case b[0] == supplementary && isJoliet(b[88:120]):
			v.joliet = extentOf(b[156:190])
		}
	}
	if !found {
		return nil, ErrNone
	}
	return v, v.findSystemUse()
}

// isJoliet looks for one of Joliet's escape sequences, for UCS-2 levels 1 to 3.
func isJoliet(escapes []byte) bool {
	return len(escapes) > 2 && escapes[0] == '%' && escapes[1] == '/' && bytes.IndexByte([]byte("@CE"), escapes[2]) >= 0
}

// extentOf is the extent in a directory record (ECMA-119, 9.1).
func extentOf(record []byte) extent {
	// What precedes the data is an extended attribute record (9.1.2).
	start := int64(binary.LittleEndian.Uint32(record[2:])) + int64(record[1])
	return extent{start * sectorSize, int64(binary.LittleEndian.Uint32(record[10:]))}
}

// Label is the volume identifier; empty: it has none.
func (v *Volume) Label() (string, error) { return v.label, nil }

// ReadFile reads a file of the root directory. Its error is fs.ErrNotExist
// where there is none of that name; a file of more than limit bytes is an
// error.
func (v *Volume) ReadFile(name string, limit int64) ([]byte, error) {
	at, err := v.find(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if at.size > limit {
		return nil, fmt.Errorf("read %s: it has %d bytes, at most %d are read", name, at.size, limit)
	}
	b := make([]byte, at.size)
	if n, err := v.r.ReadAt(b, at.offset); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

func (v *Volume) find(name string) (extent, error) {
	var found *extent
	var split bool
	look := func(nameOf func(record []byte) (string, error)) func([]byte) (bool, error) {
		return func(record []byte) (bool, error) {
			n, err := nameOf(record)
			if err != nil || record[25]&flagFolder != 0 || n != name {
				return err == nil, err
			}
			at := extentOf(record)
			// Interleaved (9.1.7) or in several extents: nothing that makes seeds does so.
			found, split = &at, record[25]&flagMore != 0 || record[26] != 0
			return false, nil
		}
	}
	err := v.records(v.root, look(v.primaryName))
	if err == nil && found == nil && v.joliet.size > 0 {
		err = v.records(v.joliet, look(func(r []byte) (string, error) { return jolietName(identifier(r)), nil }))
	}
	switch {
	case err != nil:
		return extent{}, err
	case found == nil:
		return extent{}, fs.ErrNotExist
	case split:
		return extent{}, errors.New("it does not lie in one piece")
	}
	return *found, nil
}

// records calls f for the records of a directory until it says no.
func (v *Volume) records(dir extent, f func(record []byte) (bool, error)) error {
	if dir.size > maxDirectory {
		return fmt.Errorf("root directory has %d bytes, at most %d are read", dir.size, maxDirectory)
	}
	b := make([]byte, dir.size)
	if n, err := v.r.ReadAt(b, dir.offset); n < len(b) {
		return fmt.Errorf("read root directory: %w", err)
	}
	for at := 0; at < len(b); {
		n := int(b[at])
		if n == 0 { // no record crosses a sector (6.8.1.1)
			at = (at/sectorSize + 1) * sectorSize
			continue
		}
		if n < 34 || at+n > len(b) || 33+int(b[at+32]) > n {
			return fmt.Errorf("root directory is broken at byte %d", at)
		}
		if more, err := f(b[at : at+n]); err != nil || !more {
			return err
		}
		at += n
	}
	return nil
}

func identifier(record []byte) []byte { return record[33 : 33+int(record[32])] }

// primaryName is Rock Ridge's name, else the plain one without its version.
func (v *Volume) primaryName(record []byte) (string, error) {
	if v.hasSystemUses {
		if name, err := v.rockRidgeName(systemUse(record)); err != nil || name != "" {
			return name, err
		}
	}
	return strings.TrimSuffix(withoutVersion(string(identifier(record))), "."), nil
}

func jolietName(id []byte) string {
	units := make([]uint16, len(id)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(id[2*i:])
	}
	return withoutVersion(string(utf16.Decode(units)))
}

func withoutVersion(name string) string {
	base, version, ok := strings.Cut(name, ";")
	if ok && strings.Trim(version, "0123456789") == "" {
		return base
	}
	return name
}

// systemUse is what stands in a record behind the padded name (9.1.13).
func systemUse(record []byte) []byte {
	at := 33 + int(record[32])
	at += at & 1
	if at > len(record) {
		return nil
	}
	return record[at:]
}

// findSystemUse looks into the first record of the root directory, ".", for the
// entry SP, without which there is no Rock Ridge (SUSP, 5.3).
func (v *Volume) findSystemUse() error {
	first := true
	return v.records(v.root, func(record []byte) (bool, error) {
		use := systemUse(record)
		if first && len(use) >= 7 && string(use[:2]) == "SP" && use[4] == 0xbe && use[5] == 0xef {
			v.hasSystemUses, v.suspSkip = true, int(use[6])
		}
		first = false
		return false, nil
	})
}

// rockRidgeName joins the NM entries of a record (P1282, 4.1.4); empty: it has
// none.
func (v *Volume) rockRidgeName(use []byte) (string, error) {
	if len(use) < v.suspSkip {
		return "", nil
	}
	use = use[v.suspSkip:]
	var name []byte
	for range maxContinued {
		var next extent
		for len(use) >= 4 && use[2] >= 4 && int(use[2]) <= len(use) {
			e := use[:use[2]]
			use = use[use[2]:]
			switch {
			case string(e[:2]) == "NM" && len(e) >= 5 && e[4]&^1 == 0: // bits 1 and 2: "." and ".."
				name = append(name, e[5:]...)
			case string(e[:2]) == "CE" && len(e) >= 28:
				le := binary.LittleEndian
				next = extent{int64(le.Uint32(e[4:]))*sectorSize + int64(le.Uint32(e[12:])), int64(le.Uint32(e[20:]))}
			case string(e[:2]) == "ST":
				use = nil
			}
		}
		if next.size == 0 {
			return string(name), nil
		}
		if next.size > sectorSize {
			return "", fmt.Errorf("continuation area of %d bytes, at most %d can be", next.size, sectorSize)
		}
		use = make([]byte, next.size)
		if n, err := v.r.ReadAt(use, next.offset); n < len(use) {
			return "", fmt.Errorf("read continuation area: %w", err)
		}
	}
	return "", fmt.Errorf("a name in more than %d pieces", maxContinued)
}
