package pcr

import (
	"crypto/sha256"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"slices"
)

// measured are the sections that systemd's stub measures, in the order in which
// it does that, which is not that of the file (systemd 257, src/fundamental/uki.c;
// UKI specification, "TPM PCR Measurements"). .pcrsig is left out on purpose: it
// holds signatures of the result.
var measured = []string{".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey"}

// chosen are sections of which the stub takes one by what machine it runs on, or
// what it was asked for.
var chosen = []string{".profile", ".dtbauto", ".hwids"}

// Stub is what systemd's stub measures into PCR 11 when it starts the unified
// kernel image of size bytes in r: for each section its name, with a NUL, and
// its content. Images whose measurements depend on the machine (several profiles
// or device trees) are refused.
func Stub(r io.ReaderAt, size int64) ([]Event, error) {
	f, err := pe.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("read the unified kernel image: %w", err)
	}
	for _, name := range chosen {
		if f.Section(name) != nil {
			return nil, fmt.Errorf("predict PCR %d: what is measured of an image with a section %s depends on the machine", KernelImage, name)
		}
	}
	var list []Event
	for _, name := range measured {
		s, err := only(f, name)
		if err != nil {
			return nil, err
		}
		if s == nil || s.VirtualSize == 0 {
			continue
		}
		d, err := content(s, size)
		if err != nil {
			return nil, err
		}
		list = append(list, Measure(KernelImage, append([]byte(name), 0), "name of "+name), Event{KernelImage, d, "section " + name})
	}
	if s := f.Section(".linux"); s == nil || s.VirtualSize == 0 {
		return nil, errors.New("read the unified kernel image: it has no section .linux, or an empty one; it starts nothing")
	}
	return list, nil
}

// only finds the one section of that name; nil where there is none.
func only(f *pe.File, name string) (*pe.Section, error) {
	var found *pe.Section
	for _, s := range f.Sections {
		if s.Name != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("read the unified kernel image: it has two sections %s", name)
		}
		found = s
	}
	return found, nil
}

// content is the hash of a section as it is in memory, where it lacks the
// padding of the file.
func content(s *pe.Section, size int64) (d Digest, err error) {
	if err := within(s, size); err != nil {
		return d, err
	}
	h := sha256.New()
	if _, err := io.CopyN(h, s.Open(), int64(s.VirtualSize)); err != nil {
		return d, fmt.Errorf("read section %s: %w", s.Name, err)
	}
	h.Sum(d[:0])
	return d, nil
}

// within checks that a section is whole in the file of size bytes.
func within(s *pe.Section, size int64) error {
	if int64(s.Offset)+int64(s.Size) > size || s.VirtualSize > s.Size {
		return fmt.Errorf("read section %s: %d bytes in memory, %d in the file at %#x, which has %#x", s.Name, s.VirtualSize, s.Size, s.Offset, size)
	}
	return nil
}

// UKI is everything that is known beforehand of a unified kernel image that
// pkg/build/uki made and the firmware's first boot option starts: PCR 4, 11 and 9.
// PCR 12 and 13, of which there are no events, stay zero.
func UKI(r io.ReaderAt, size int64) ([]Event, error) {
	h, err := Application(r, size)
	if err != nil {
		return nil, err
	}
	sections, err := Stub(r, size)
	if err != nil {
		return nil, err
	}
	kernel, err := StubKernel(r, size)
	if err != nil {
		return nil, err
	}
	return slices.Concat(Applications(h), sections, kernel), nil
}
