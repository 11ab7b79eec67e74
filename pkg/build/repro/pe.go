package repro

import (
	"debug/pe"
	"encoding/binary"
	"fmt"
)

func isPE(v view) bool {
	h := v.bytes(0, 64)
	if h == nil || string(h[:2]) != "MZ" {
		return false
	}
	return string(v.bytes(int64(binary.LittleEndian.Uint32(h[60:])), 4)) == "PE\x00\x00"
}

// explainPE finds the header's field or the section (Microsoft PE and COFF
// Specification). A unified kernel image keeps kernel and initrd in sections.
func explainPE(x *explaining, a, b view, at int64) []string {
	base := int64(binary.LittleEndian.Uint32(a.bytes(60, 4)))
	if field := peField(at - base); field != "" {
		return []string{"PE: " + field, plain(a, b, at)}
	}
	left, errLeft := pe.NewFile(a)
	right, errRight := pe.NewFile(b)
	if errLeft != nil || errRight != nil {
		return nil
	}
	defer left.Close()
	defer right.Close()
	for i, s := range left.Sections {
		start, size := int64(s.Offset), int64(s.Size)
		if at < start || at >= start+size || i >= len(right.Sections) {
			continue
		}
		r := right.Sections[i]
		if r.Name != s.Name || r.Offset != s.Offset {
			break
		}
		name := fmt.Sprintf("PE: section %s", s.Name)
		if s.VirtualSize != r.VirtualSize {
			name += fmt.Sprintf(" (of %d bytes in the first and %d in the second)", s.VirtualSize, r.VirtualSize)
		}
		inner := x.inside(a.part(start, min(size, int64(s.VirtualSize))), b.part(start, min(int64(r.Size), int64(r.VirtualSize))))
		if inner == nil {
			inner = []string{"padding behind its content"}
		}
		return append([]string{name}, inner...)
	}
	if start, size := certificates(left); size > 0 && at >= start {
		return []string{"PE: signature (certificate table), which may carry a time", plain(a, b, at)}
	}
	return []string{"PE: between or behind the sections", plain(a, b, at)}
}

// peField names the headers' fields, by their distance from the signature.
func peField(at int64) string {
	switch {
	case at < 0:
		return "DOS header or stub"
	case at >= 8 && at < 12:
		return "time stamp of the COFF header"
	case at < 24:
		return "COFF header"
	case at >= 24+64 && at < 24+68:
		return "checksum of the optional header"
	case at < 24+112:
		return "optional header"
	}
	return ""
}

// certificates is where the signatures lie, which the directory names by file
// offset.
func certificates(f *pe.File) (start, size int64) {
	switch h := f.OptionalHeader.(type) {
	case *pe.OptionalHeader64:
		d := h.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_SECURITY]
		return int64(d.VirtualAddress), int64(d.Size)
	case *pe.OptionalHeader32:
		d := h.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_SECURITY]
		return int64(d.VirtualAddress), int64(d.Size)
	}
	return 0, 0
}
