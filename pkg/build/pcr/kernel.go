package pcr

import (
	"bytes"
	"crypto/sha256"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// maxText bounds a section that is read into memory, in bytes.
const maxText = 1 << 20

// kernel is what the kernel's EFI stub measures into PCR 9
// (drivers/firmware/efi/libstub/efi-stub-helper.c): the command line as its loader
// gave it, and the initrd that the loader hands it through LoadFile2.
func kernel(cmdline string, initrd Digest) []Event {
	var text []byte
	for _, c := range utf16.Encode([]rune(cmdline)) {
		text = append(text, byte(c), byte(c>>8))
	}
	return []Event{Measure(Files, text, "LOADED_IMAGE::LoadOptions"), {Files, initrd, "Linux initrd"}}
}

// StubKernel is what the kernel in a unified kernel image measures of itself into
// PCR 9, command line and initrd, as systemd 257 starts it: behind the image's initrd it puts an archive with the os-release
// (src/boot/stub.c, generate_embedded_initrds). Images with other sections that
// become files are refused.
func StubKernel(r io.ReaderAt, size int64) ([]Event, error) {
	f, err := pe.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("read the unified kernel image: %w", err)
	}
	for _, name := range append([]string{".pcrsig", ".pcrpkey", ".ucode"}, chosen...) {
		if f.Section(name) != nil {
			return nil, fmt.Errorf("predict PCR %d: what becomes of a section %s is not known here", Files, name)
		}
	}
	cmdline, err := small(f, ".cmdline", size)
	if err != nil {
		return nil, err
	}
	release, err := small(f, ".osrel", size)
	if err != nil {
		return nil, err
	}
	s, err := only(f, ".initrd")
	if err == nil && (s == nil || s.VirtualSize == 0 || len(cmdline) == 0) {
		err = errors.New("read the unified kernel image: it has no section .initrd or no .cmdline, or an empty one")
	}
	if err == nil {
		err = within(s, size)
	}
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	if _, err := io.CopyN(h, s.Open(), int64(s.VirtualSize)); err != nil {
		return nil, fmt.Errorf("read section .initrd: %w", err)
	}
	h.Write(make([]byte, -s.VirtualSize&3))
	if len(release) > 0 {
		h.Write(archive("os-release", release))
	}
	var d Digest
	h.Sum(d[:0])
	return kernel(string(cmdline)+"\x00", d), nil
}

// small is the content of a section that fits into memory; none where there is
// no such section.
func small(f *pe.File, name string, size int64) ([]byte, error) {
	s, err := only(f, name)
	if s == nil || err != nil {
		return nil, err
	}
	if err := within(s, size); err != nil {
		return nil, err
	}
	if s.VirtualSize > maxText {
		return nil, fmt.Errorf("read section %s: it has %d bytes, more than %d", name, s.VirtualSize, maxText)
	}
	b := make([]byte, s.VirtualSize)
	if _, err := io.ReadFull(s.Open(), b); err != nil {
		return nil, fmt.Errorf("read section %s: %w", name, err)
	}
	return b, nil
}

// archive is a newc archive with one file in the folder .extra, byte for byte as
// systemd's stub writes it (src/boot/cpio.c).
func archive(name string, text []byte) []byte {
	var b bytes.Buffer
	entry := func(inode, mode int, name string, text []byte) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", inode, mode, 0, 0, 1, 0, len(text), 0, 0, 0, 0, len(name)+1, 0, name)
		pad(&b)
		b.Write(text)
		pad(&b)
	}
	entry(1, 0o040555, ".extra", nil)
	entry(2, 0o100444, ".extra/"+name, text)
	fmt.Fprintf(&b, "070701%032x%08x%048x%08X%08x", 0, 1, 0, len("TRAILER!!!")+1, 0)
	b.WriteString("TRAILER!!!\x00\x00\x00\x00")
	return b.Bytes()
}

// pad fills up to a multiple of 4 bytes.
func pad(b *bytes.Buffer) { b.Write(make([]byte, -b.Len()&3)) }
