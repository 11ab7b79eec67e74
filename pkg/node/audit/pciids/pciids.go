// Package pciids finds names in the PCI ID database (pci.ids(5), kept at
// pci-ids.ucw.cz). It reads the file once, in order, and keeps only what is
// asked for: the file has 1.4 MB, a machine a hundred functions.
package pciids

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
)

// Path is where the database lies, relative to the root.
const Path = "usr/share/misc/pci.ids"

// elsewhere is where other systems keep it.
const elsewhere = "usr/share/hwdata/pci.ids"

// Key is one function, in lower-case hexadecimal as sysfs writes it.
type Key struct{ Vendor, Device, SubVendor, SubDevice, Class string }

// Names is what the database calls it. What it does not know is empty.
type Names struct{ Vendor, Device, Subsystem, Class string }

// mapper is a root that can show a file without reading all of it.
type mapper interface {
	Map(name string) (b []byte, done func(), err error)
}

// Read finds the names of the functions.
func Read(root fs.FS, keys []Key) (map[Key]Names, error) {
	if m, ok := root.(mapper); ok {
		if text, done, err := m.Map(Path); err == nil {
			defer done()
			return Find(text, keys), nil
		}
	}
	text, err := fs.ReadFile(root, Path)
	if errors.Is(err, fs.ErrNotExist) {
		if other, otherErr := fs.ReadFile(root, elsewhere); otherErr == nil {
			text, err = other, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read PCI names: %w", err)
	}
	return Find(text, keys), nil
}

// Find looks the functions up in the database's text. The vendors are in the
// order of their numbers and the classes stand at the end, so that only what is
// asked for is gone through; where that does not find a vendor, everything is.
func Find(text []byte, keys []Key) map[Key]Names {
	s := newSearch(keys)
	whole := false
	for vendor := range s.byVendor {
		if at := find(text, vendor); at >= 0 {
			s.scan(text[at:], true)
		} else {
			whole = true
		}
	}
	tail := text[max(0, len(text)-classTail):]
	if i := bytes.Index(tail, []byte("\nC 00")); i >= 0 && !whole {
		s.scan(tail[i+1:], false)
		return s.names
	}
	s.scan(text, false)
	return s.names
}

// classTail is how much of the end is looked at for the classes, bytes.
const classTail = 64 << 10

// find is where a vendor's line begins; -1: there is none, or the vendors are
// in no order.
func find(text []byte, vendor string) int {
	for lo, hi := 0, len(text); lo < hi; {
		mid := (lo + hi) / 2
		at := nextVendor(text, mid, hi)
		if at < 0 {
			hi = mid
			continue
		}
		switch id := string(text[at : at+4]); {
		case text[at] == 'C' || id > vendor:
			hi = mid
		case id < vendor:
			lo = at + 1
		default:
			return at
		}
	}
	return -1
}

// nextVendor is the first line from a place on that begins a vendor or a class.
func nextVendor(text []byte, at, end int) int {
	if at > 0 && text[at-1] != '\n' {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
	}
	for at+5 < end {
		if c := text[at]; c != '\t' && c != '#' && c != '\n' {
			return at
		}
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
	}
	return -1
}

// scan goes through lines: of the first vendor alone, or of all.
func (s *search) scan(text []byte, one bool) {
	for n := 0; len(text) > 0; n++ {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		text = rest
		switch {
		case len(line) < 5 || line[0] == '#':
		case one && n > 0 && line[0] != '\t':
			return
		case line[0] == 'C' && line[1] == ' ':
			s.class(line[2:])
		case line[0] != '\t':
			if !s.vendor(line) {
				text = skipVendor(text)
			}
		case line[1] != '\t':
			s.device(line[1:])
		default:
			s.subsystem(line[2:])
		}
	}
}

// skipVendor passes over the lines below a vendor nobody asked for.
func skipVendor(text []byte) []byte {
	for len(text) > 0 && (text[0] == '\t' || text[0] == '#') {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return nil
		}
		text = text[i+1:]
	}
	return text
}

// search is the state while the file goes by.
type search struct {
	names      map[Key]Names
	byVendor   map[string][]Key
	byClass    map[string][]Key // of the first two digits
	here       []Key            // of the current vendor
	hereDevice []Key
	inClass    string // first two digits; empty: in the vendors
	classKeys  []Key
}

func newSearch(keys []Key) *search {
	s := &search{names: make(map[Key]Names, len(keys)), byVendor: make(map[string][]Key), byClass: make(map[string][]Key)}
	for _, k := range keys {
		if _, ok := s.names[k]; ok {
			continue
		}
		s.names[k] = Names{}
		s.byVendor[k.Vendor] = append(s.byVendor[k.Vendor], k)
		// Subsystems have vendors too, whose names may be all there is.
		if len(k.Class) >= 4 {
			s.byClass[k.Class[:2]] = append(s.byClass[k.Class[:2]], k)
		}
	}
	return s
}

// name cuts "8086  Intel Corporation" after n digits.
func name(line []byte, n int) (id, text string, ok bool) {
	if len(line) < n+2 || line[n] != ' ' {
		return "", "", false
	}
	return string(line[:n]), string(bytes.TrimSpace(line[n:])), true
}

func (s *search) set(keys []Key, f func(*Names)) {
	for _, k := range keys {
		n := s.names[k]
		f(&n)
		s.names[k] = n
	}
}

func (s *search) vendor(line []byte) bool {
	s.inClass, s.here, s.hereDevice = "", nil, nil
	id, text, ok := name(line, 4)
	if !ok {
		return false
	}
	s.here = s.byVendor[id]
	s.set(s.here, func(n *Names) { n.Vendor = text })
	return len(s.here) > 0
}

func (s *search) device(line []byte) {
	if s.inClass != "" {
		sub, text, ok := name(line, 2)
		if !ok {
			return
		}
		for _, k := range s.classKeys {
			if k.Class[2:4] == sub {
				s.set([]Key{k}, func(n *Names) { n.Class = text })
			}
		}
		return
	}
	s.hereDevice = nil
	id, text, ok := name(line, 4)
	if !ok {
		return
	}
	for _, k := range s.here {
		if k.Device == id {
			s.hereDevice = append(s.hereDevice, k)
		}
	}
	s.set(s.hereDevice, func(n *Names) { n.Device = text })
}

func (s *search) subsystem(line []byte) {
	if s.inClass != "" || len(s.hereDevice) == 0 || len(line) < 11 {
		return
	}
	for _, k := range s.hereDevice {
		if string(line[:4]) == k.SubVendor && string(line[5:9]) == k.SubDevice {
			s.set([]Key{k}, func(n *Names) { n.Subsystem = string(bytes.TrimSpace(line[9:])) })
		}
	}
}

func (s *search) class(line []byte) {
	s.here, s.hereDevice, s.classKeys = nil, nil, nil
	id, text, ok := name(line, 2)
	if !ok {
		s.inClass = "?"
		return
	}
	s.inClass = id
	s.classKeys = s.byClass[id]
	s.set(s.classKeys, func(n *Names) { n.Class = text })
}
