package uki

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// maxStub bounds the stub, in bytes; systemd's has 92 KiB.
const maxStub = 16 << 20

// magic stands in systemd's programs in a section of its own, and says which one
// it is.
const (
	magicSection = ".sdmagic"
	magicText    = "#### LoaderInfo: systemd-stub "
)

// Offsets in the optional header, and of the file header (Microsoft's "PE
// Format").
const (
	fileHeader       = 4 // behind the PE signature
	numberOfSections = fileHeader + 2
	optionalHeader   = fileHeader + 20
	initializedData  = optionalHeader + 8
	sizeOfImage      = optionalHeader + 56
	characteristics  = optionalHeader + 70
	sectionHeader    = 40
	virtualSize      = 8 // in a section's header
)

// stub is systemd's stub, becoming an image.
type stub struct {
	text      []byte // the whole file
	start     int64  // offset of the PE signature
	header    *pe.OptionalHeader64
	sections  []*pe.Section
	table     int64 // offset of the section headers
	machine   uint16
	fileAlign int64
}

func readStub(name string) (*stub, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxStub+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxStub {
		return nil, fmt.Errorf("it has more than %d bytes: it is no stub", maxStub)
	}
	return parseStub(text)
}

func parseStub(text []byte) (*stub, error) {
	im, err := pe.NewFile(bytes.NewReader(text))
	if err != nil || !bytes.HasPrefix(text, []byte("MZ")) {
		return nil, errors.Join(errors.New("it is no PE image"), err)
	}
	h, ok := im.OptionalHeader.(*pe.OptionalHeader64)
	if !ok {
		return nil, errors.New("it is no PE32+ image")
	}
	s := &stub{text: text, start: int64(binary.LittleEndian.Uint32(text[60:])), header: h, sections: im.Sections, machine: im.Machine, fileAlign: int64(h.FileAlignment)}
	s.table = s.start + optionalHeader + int64(im.SizeOfOptionalHeader)
	return s, s.check(im)
}

// check wants systemd's stub, laid out so that sections can be put behind it.
func (s *stub) check(im *pe.File) error {
	m := im.Section(magicSection)
	if m == nil {
		return errors.New("it is not systemd's stub; take linuxx64.efi.stub or linuxaa64.efi.stub of Debian's systemd-boot-efi")
	}
	text, err := m.Data()
	if err != nil || !bytes.HasPrefix(text, []byte(magicText)) {
		return errors.Join(fmt.Errorf("it is %q and not systemd's stub", bytes.TrimRight(text, "\x00")), err)
	}
	h := s.header
	align := int64(h.SectionAlignment)
	if s.fileAlign < 512 || s.fileAlign&(s.fileAlign-1) != 0 || align < s.fileAlign || align&(align-1) != 0 {
		return fmt.Errorf("it is aligned to %#x in the file and %#x in memory", s.fileAlign, align)
	}
	if h.NumberOfRvaAndSizes > pe.IMAGE_DIRECTORY_ENTRY_SECURITY && h.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_SECURITY].Size != 0 {
		return errors.New("it is signed; take the one without a signature: what is put behind it would make the signature a wrong one")
	}
	end, memory := int64(h.SizeOfHeaders), int64(0)
	for _, x := range s.sections {
		if int64(x.Offset) != end || x.Size == 0 || int64(x.Size)%s.fileAlign != 0 || int64(x.VirtualAddress) < memory {
			return fmt.Errorf("its section %s lies at %#x in the file, %#x in memory, where sections cannot be put behind it", x.Name, x.Offset, x.VirtualAddress)
		}
		end += int64(x.Size)
		memory = up(int64(x.VirtualAddress)+int64(x.VirtualSize), align)
	}
	if end != int64(len(s.text)) || end%s.fileAlign != 0 {
		return fmt.Errorf("its sections end at %#x and it has %#x bytes", end, len(s.text))
	}
	return nil
}

func (s *stub) put16(at int64, v uint16) { binary.LittleEndian.PutUint16(s.text[at:], v) }
func (s *stub) put32(at int64, v uint32) { binary.LittleEndian.PutUint32(s.text[at:], v) }

// clearNX takes back that the image runs where data cannot be executed: it must
// not say so of a kernel that does not.
func (s *stub) clearNX() {
	s.put16(s.start+characteristics, s.header.DllCharacteristics&^pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT)
}

// addSBAT puts what a kernel says of its generations behind what the stub says
// of its own, so that either can be revoked (shim's SBAT.md). There must be room
// for it in the stub's section.
func (s *stub) addSBAT(kernel []byte) error {
	lines := bytes.TrimRight(kernel, "\x00")
	if _, rest, ok := bytes.Cut(lines, []byte("\n")); ok && bytes.HasPrefix(lines, []byte("sbat,")) {
		lines = rest // the stub says the version of the format
	}
	if len(lines) == 0 {
		return nil
	}
	for i, x := range s.sections {
		if x.Name != ".sbat" {
			continue
		}
		room := s.text[x.Offset : x.Offset+x.Size]
		end := len(bytes.TrimRight(room[:min(x.VirtualSize, x.Size)], "\x00"))
		if end+len(lines) > len(room) {
			return fmt.Errorf("add the kernel's SBAT: its %d bytes do not fit behind the stub's", len(lines))
		}
		n := end + copy(room[end:], lines)
		s.put32(s.table+int64(i)*sectionHeader+virtualSize, uint32(n))
		x.VirtualSize = uint32(n)
		return nil
	}
	return errors.New("add the kernel's SBAT: the stub has no section for it")
}

// append puts headers for the parts behind those that there are and returns how
// long the file becomes.
func (s *stub) append(parts []part) (int64, error) {
	align := int64(s.header.SectionAlignment)
	last := s.sections[len(s.sections)-1]
	file, memory := int64(len(s.text)), int64(last.VirtualAddress)+int64(last.VirtualSize)
	at, data := s.table+int64(len(s.sections))*sectionHeader, int64(s.header.SizeOfInitializedData)
	for _, p := range parts {
		if at+sectionHeader > int64(s.header.SizeOfHeaders) {
			return 0, fmt.Errorf("add section %s: the stub's header has no room for it", p.name)
		}
		memory = up(memory, align)
		h := pe.SectionHeader32{VirtualAddress: uint32(memory), VirtualSize: uint32(p.size), PointerToRawData: uint32(file), SizeOfRawData: uint32(up(p.size, s.fileAlign)), Characteristics: p.flags}
		copy(h.Name[:], p.name)
		file, memory, data = file+up(p.size, s.fileAlign), memory+p.size, data+p.size
		if file > math.MaxUint32 || up(memory, align) > math.MaxUint32 || data > math.MaxUint32 {
			return 0, fmt.Errorf("add section %s of %d bytes: a PE image has less than 4 GiB", p.name, p.size)
		}
		if _, err := binary.Encode(s.text[at:], binary.LittleEndian, h); err != nil {
			return 0, err
		}
		at += sectionHeader
	}
	s.put16(s.start+numberOfSections, uint16(len(s.sections)+len(parts)))
	s.put32(s.start+initializedData, uint32(data))
	s.put32(s.start+sizeOfImage, uint32(up(memory, align)))
	return file, nil
}

// kernelImage is what of a kernel matters to the image around it.
type kernelImage struct {
	nx   bool   // runs where data cannot be executed
	sbat []byte // its section .sbat
}

func readKernel(name string, machine uint16) (kernelImage, error) {
	f, err := os.Open(name)
	if err != nil {
		return kernelImage{}, err
	}
	defer f.Close() // only read
	return parseKernel(f, machine)
}

func parseKernel(r io.ReaderAt, machine uint16) (kernelImage, error) {
	var head [2]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[:]) != "MZ" {
		return kernelImage{}, errors.Join(errors.New("it is no EFI program; a compressed one must be unpacked first"), err)
	}
	im, err := pe.NewFile(r)
	if err != nil {
		return kernelImage{}, fmt.Errorf("it is no EFI program: %w", err)
	}
	h, ok := im.OptionalHeader.(*pe.OptionalHeader64)
	if !ok {
		return kernelImage{}, errors.New("it is no EFI program of 64 bits")
	}
	if im.Machine != machine {
		return kernelImage{}, fmt.Errorf("it is for machine %#x and the stub for %#x; take both of one architecture", im.Machine, machine)
	}
	k := kernelImage{nx: h.DllCharacteristics&pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT != 0}
	if x := im.Section(".sbat"); x != nil {
		if k.sbat, err = x.Data(); err != nil {
			return k, fmt.Errorf("read its section .sbat: %w", err)
		}
		k.sbat = k.sbat[:min(int(x.VirtualSize), len(k.sbat))]
	}
	return k, nil
}
