// Package smbios reads the tables in which firmware describes the machine
// (DMTF DSP0134, System Management BIOS Reference Specification), as the kernel
// offers them in /sys/firmware/dmi/tables. A structure that is broken is told
// and passed over: the others are read nevertheless.
package smbios

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// Files below the root.
const (
	EntryPath = "sys/firmware/dmi/tables/smbios_entry_point"
	TablePath = "sys/firmware/dmi/tables/DMI"
)

// maxStructures bounds what a table may hold.
const maxStructures = 4096

// Tables are all structures of a machine.
type Tables struct {
	Version    string // of the specification, "3.0.0"; empty: unknown
	Structures []Structure
	Broken     []error // what could not be read of the table
}

// Structure is one of them.
type Structure struct {
	Type    byte
	Handle  uint16
	data    []byte // formatted area, header included
	strings []string
}

// Read reads the tables of the machine whose root is given.
func Read(root fs.FS) (Tables, error) {
	table, err := fs.ReadFile(root, TablePath)
	if err != nil {
		return Tables{}, fmt.Errorf("read SMBIOS tables: %w", err)
	}
	t := Parse(table)
	if t.Version != "" {
		return t, nil // a dump that brought its entry point
	}
	entry, err := fs.ReadFile(root, EntryPath)
	if err == nil {
		t.Version, err = Version(entry)
	}
	if err != nil {
		t.Broken = append(t.Broken, fmt.Errorf("read SMBIOS entry point: %w", err))
	}
	return t, nil
}

// Version reads the specification's version from an entry point (DSP0134 5.2).
func Version(entry []byte) (string, error) {
	switch {
	case len(entry) >= 10 && string(entry[:5]) == "_SM3_":
		return fmt.Sprintf("%d.%d.%d", entry[7], entry[8], entry[9]), nil
	case len(entry) >= 8 && string(entry[:4]) == "_SM_":
		return fmt.Sprintf("%d.%d", entry[6], entry[7]), nil
	}
	return "", errors.New("neither _SM_ nor _SM3_")
}

// strip takes the entry point off a dump that begins with it, as dmidecode
// --dump-bin writes them: the table lies where the entry point says, else behind
// it.
func strip(b []byte) (table []byte, version string) {
	version, err := Version(b)
	if err != nil {
		return b, ""
	}
	at, length := uint64(0), 0
	switch {
	case b[3] == '3' && len(b) >= 0x18:
		at, length = binary.LittleEndian.Uint64(b[0x10:]), int(b[6])
	case b[3] == '_' && len(b) >= 0x1f:
		at, length = uint64(binary.LittleEndian.Uint32(b[0x18:])), int(b[5])
	default:
		return nil, version
	}
	if at < uint64(length) || at >= uint64(len(b)) { // the address it had in memory
		at = uint64(min((length+15)&^15, len(b)))
	}
	return b[at:], version
}

// Parse reads a structure table (DSP0134 6.1), with or without an entry point
// in front. It takes what it can.
func Parse(table []byte) Tables {
	var t Tables
	table, t.Version = strip(table)
	for len(table) > 0 && len(t.Structures) < maxStructures {
		s, rest, err := next(table)
		if err != nil {
			t.Broken = append(t.Broken, err)
			if s.data != nil { // cut off in its strings
				t.Structures = append(t.Structures, s)
			}
			return t // no length to go on by
		}
		if s.Type == 127 { // end of table
			return t
		}
		t.Structures = append(t.Structures, s)
		table = rest
	}
	return t
}

func next(b []byte) (s Structure, rest []byte, err error) {
	if len(b) < 4 {
		return s, nil, fmt.Errorf("parse SMBIOS: %d bytes are left over", len(b))
	}
	s.Type, s.Handle = b[0], binary.LittleEndian.Uint16(b[2:])
	length := int(b[1])
	if length < 4 || length > len(b) {
		return s, nil, fmt.Errorf("parse SMBIOS: structure %#04x of type %d states a length of %d, and %d bytes are left", s.Handle, s.Type, length, len(b))
	}
	s.data = b[:length]
	rest = b[length:]
	if len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 { // no strings
		return s, rest[2:], nil
	}
	for {
		i := bytes.IndexByte(rest, 0)
		switch {
		case i < 0:
			s.strings = append(s.strings, clean(rest))
			return s, nil, fmt.Errorf("parse SMBIOS: the strings of structure %#04x of type %d have no end", s.Handle, s.Type)
		case i == 0:
			return s, rest[1:], nil
		}
		s.strings = append(s.strings, clean(rest[:i]))
		rest = rest[i+1:]
	}
}

// clean makes text of what firmware wrote: printable, trimmed.
func clean(b []byte) string {
	if !utf8.Valid(b) {
		out := make([]rune, len(b))
		for i, c := range b {
			out[i] = rune(c)
		}
		b = []byte(string(out))
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, string(b)))
}

// Of returns the structures of a type, in the order of the table.
func (t Tables) Of(kind byte) []Structure {
	var out []Structure
	for _, s := range t.Structures {
		if s.Type == kind {
			out = append(out, s)
		}
	}
	return out
}

// Len is the length of the formatted area, bytes: an older firmware's is
// shorter, and fields behind its end are not there.
func (s Structure) Len() int { return len(s.data) }

// Byte reads the number at an offset of the specification; false where the
// structure ends before it.
func (s Structure) Byte(off int) (byte, bool) {
	if off+1 > len(s.data) {
		return 0, false
	}
	return s.data[off], true
}

// Word reads two bytes.
func (s Structure) Word(off int) (uint16, bool) {
	if off+2 > len(s.data) {
		return 0, false
	}
	return binary.LittleEndian.Uint16(s.data[off:]), true
}

// Dword reads four bytes.
func (s Structure) Dword(off int) (uint32, bool) {
	if off+4 > len(s.data) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(s.data[off:]), true
}

// Qword reads eight bytes.
func (s Structure) Qword(off int) (uint64, bool) {
	if off+8 > len(s.data) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(s.data[off:]), true
}

// Bytes is n bytes at an offset.
func (s Structure) Bytes(off, n int) ([]byte, bool) {
	if off+n > len(s.data) {
		return nil, false
	}
	return s.data[off : off+n], true
}

// ErrBadIndex says that a field points at a string that is not there.
var ErrBadIndex = errors.New("the field points at a string that is not there")

// String reads the string whose number stands at an offset; empty where the
// number is 0 or the structure ends before it.
func (s Structure) String(off int) (string, error) {
	n, ok := s.Byte(off)
	if !ok || n == 0 {
		return "", nil
	}
	if int(n) > len(s.strings) {
		return "", fmt.Errorf("structure %#04x of type %d, offset %#x: %w", s.Handle, s.Type, off, ErrBadIndex)
	}
	return s.strings[n-1], nil
}

// Strings is all strings of the structure.
func (s Structure) Strings() []string { return append([]string(nil), s.strings...) }
