package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxModule bounds how much ReadModinfo holds in memory, bytes. The largest
// module of Debian's 6.12 kernel has 16 MB.
const maxModule = 256 << 20

// Modinfo is what a module says of itself in its ELF section .modinfo (man 8
// modinfo), the fields that bee needs.
type Modinfo struct {
	Name     string
	Alias    []string // device patterns as in modules.alias
	Depends  []string // direct hard dependencies
	SoftPre  []string // wanted before it, where they exist
	SoftPost []string // wanted after it, where they exist
	Firmware []string // relative to /lib/firmware, may hold wildcards
	License  string
	Vermagic string // kernel release and build options
}

// ReadModinfo reads an uncompressed module. Pass an io.ReaderAt (a bytes.Reader,
// an os.File) where there is one; another reader is read to its end first.
func ReadModinfo(r io.Reader) (Modinfo, error) {
	at, ok := r.(io.ReaderAt)
	if !ok {
		b, err := io.ReadAll(io.LimitReader(r, maxModule+1))
		if err != nil {
			return Modinfo{}, fmt.Errorf("read module: %w", err)
		}
		if len(b) > maxModule {
			return Modinfo{}, fmt.Errorf("read module: larger than %d bytes", maxModule)
		}
		at = bytes.NewReader(b)
	}
	f, err := elf.NewFile(at)
	if err != nil {
		return Modinfo{}, fmt.Errorf("read module: %w", err)
	}
	s := f.Section(".modinfo")
	if s == nil {
		return Modinfo{}, errors.New("read module: no .modinfo section: not a kernel module")
	}
	if s.Size > maxModule {
		return Modinfo{}, fmt.Errorf("read module: .modinfo claims %d bytes", s.Size)
	}
	b, err := s.Data()
	if err != nil {
		return Modinfo{}, fmt.Errorf("read module: .modinfo: %w", err)
	}
	return parseModinfo(b), nil
}

// parseModinfo reads the NUL-separated key=value fields. What has no '=' is
// passed over, as the kernel does.
func parseModinfo(b []byte) Modinfo {
	var m Modinfo
	for _, field := range strings.Split(string(b), "\x00") {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			continue
		}
		switch key {
		case "name":
			m.Name = Normalize(value)
		case "alias":
			m.Alias = append(m.Alias, value)
		case "depends":
			for _, d := range strings.Split(value, ",") {
				if d != "" {
					m.Depends = append(m.Depends, Normalize(d))
				}
			}
		case "softdep":
			pre, post := parseSoft(strings.Fields(value))
			m.SoftPre, m.SoftPost = append(m.SoftPre, pre...), append(m.SoftPost, post...)
		case "firmware":
			m.Firmware = append(m.Firmware, value)
		case "license":
			m.License = value
		case "vermagic":
			m.Vermagic = value
		}
	}
	return m
}
