package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Read reads the table of a disk of size bytes and checks it: the protective
// MBR, both headers with their CRCs, that the copies agree, that the second one
// stands at the end of the disk, and that partitions neither leave the disk nor
// overlap. The error names everything that is wrong with the two copies.
func Read(r io.ReaderAt, size int64) (*Table, error) {
	if size%SectorSize != 0 || size < HeadSize+TailSize {
		return nil, fmt.Errorf("read partition table: a disk of %d bytes is too small, or not a multiple of %d", size, SectorSize)
	}
	m, err := ReadMBR(r, size)
	if err != nil {
		return nil, err
	}
	if len(m.Partitions) != 1 || m.Partitions[0].Type != protective || m.Partitions[0].Start != SectorSize {
		return nil, errors.New("read partition table: the MBR is not the protective one of a GUID partition table")
	}
	g := geometry(size)
	first, errFirst := readCopy(r, g.primary())
	second, errSecond := readCopy(r, g.backup())
	if errFirst != nil || errSecond != nil {
		return nil, errors.Join(wrap("read partition table", errFirst), wrap("read second copy of partition table", errSecond))
	}
	if !bytes.Equal(first.entries(), second.entries()) || first.Disk != second.Disk {
		return nil, errors.New("read partition table: the two copies differ; was only one of them changed?")
	}
	if slices.ContainsFunc(m.Boot, func(b byte) bool { return b != 0 }) {
		first.Boot = m.Boot
	}
	if first.Active, err = hasActive(r); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	if err := first.check(size); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	return first, nil
}

// hasActive says whether the MBR has the entry that Table.Active adds.
func hasActive(r io.ReaderAt) (bool, error) {
	e := make([]byte, mbrRecord)
	if err := readFull(r, e, mbrRecords+mbrRecord); err != nil {
		return false, err
	}
	return e[0] == 0x80 && e[4] == 0, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// readCopy reads the copy that must be at a place.
func readCopy(r io.ReaderAt, at copyAt) (*Table, error) {
	h := make([]byte, SectorSize)
	if err := readFull(r, h, at.own*SectorSize); err != nil {
		return nil, err
	}
	if err := checkHeader(h, at); err != nil {
		return nil, err
	}
	entries := make([]byte, maxEntries*entrySize)
	if err := readFull(r, entries, at.entries*SectorSize); err != nil {
		return nil, err
	}
	if got, want := crc32.ChecksumIEEE(entries), binary.LittleEndian.Uint32(h[88:]); got != want {
		return nil, fmt.Errorf("the entries' CRC is %08x, the header says %08x: the table is damaged", got, want)
	}
	t := &Table{Disk: GUID(h[56:72]).disk()}
	for i := range maxEntries {
		p, ok := decodeEntry(entries[i*entrySize:][:entrySize])
		if !ok {
			continue
		}
		if len(t.Partitions) != i {
			return nil, fmt.Errorf("entry %d is used and one before it is not, which bee's tools do not take", i+1)
		}
		t.Partitions = append(t.Partitions, p)
	}
	return t, nil
}

// checkHeader holds a header against where it stands.
func checkHeader(h []byte, at copyAt) error {
	le := binary.LittleEndian
	if string(h[:8]) != signature {
		return fmt.Errorf("sector %d has no header", at.own)
	}
	if le.Uint32(h[8:]) != revision || le.Uint32(h[12:]) != headerSize || le.Uint32(h[80:]) != maxEntries || le.Uint32(h[84:]) != entrySize {
		return fmt.Errorf("the header in sector %d is of a form that bee's tools do not take: revision %#x, %d bytes, %d entries of %d bytes",
			at.own, le.Uint32(h[8:]), le.Uint32(h[12:]), le.Uint32(h[80:]), le.Uint32(h[84:]))
	}
	plain := slices.Clone(h[:headerSize])
	clear(plain[16:20])
	if got, want := crc32.ChecksumIEEE(plain), le.Uint32(h[16:]); got != want {
		return fmt.Errorf("the CRC of the header in sector %d is %08x, it says %08x: it is damaged", at.own, got, want)
	}
	for _, f := range []struct {
		what string
		off  int
		want int64
	}{
		{"own sector", 24, at.own}, {"sector of the other copy", 32, at.other}, {"first usable sector", 40, at.firstUsable},
		{"last usable sector", 48, at.lastUsable}, {"sector of the entries", 72, at.entries},
	} {
		if got := le.Uint64(h[f.off:]); got != uint64(f.want) {
			return fmt.Errorf("the header in sector %d says %d for its %s; on a disk of this size it is %d", at.own, got, f.what, f.want)
		}
	}
	return nil
}

// readFull reads all of p, and takes a short image for damage.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at %d: %w", len(p), off, err)
}
