// Package gpt writes and reads partition tables: the GUID partition table with
// its protective MBR (UEFI 2.10, chapter 5), and the plain MBR that a Raspberry
// Pi boots from. Nothing in a table comes from a clock or from chance: the
// caller gives every GUID.
package gpt

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf16"
)

// Sizes in bytes.
const (
	SectorSize = 512
	// Alignment is where partitions begin: on a multiple of what flash and RAID
	// erase or stripe at once.
	Alignment = 1 << 20
	// HeadSize and TailSize are what the tables take at the two ends of a disk.
	HeadSize = (2 + entrySectors) * SectorSize
	TailSize = (1 + entrySectors) * SectorSize
)

// maxName is the room for a partition's name in UTF-16 units.
const maxName = 36

// ReadOnly is the attribute of a partition of BasicData that is not to be written
// (Microsoft, PARTITION_INFORMATION_GPT).
const ReadOnly = 1 << 60

// LegacyBoot is the attribute by which BIOS boot code finds its partition (UEFI
// 2.10, table 5.8).
const LegacyBoot = 1 << 2

// Partition is an entry of the table.
type Partition struct {
	Type, ID   GUID
	Name       string // at most 36 UTF-16 units
	Start      int64  // bytes from the beginning of the disk, a multiple of SectorSize
	Size       int64  // bytes, a multiple of SectorSize
	Attributes uint64
}

// End is the first byte after the partition.
func (p Partition) End() int64 { return p.Start + p.Size }

// Table is a GUID partition table with its protective MBR.
type Table struct {
	Disk       GUID
	Partitions []Partition // entries 1, 2, …; at most 128
	Boot       []byte      // boot code of the MBR, at most 440 bytes; nil: none
	// Active adds a second entry to the MBR, empty and marked as what starts, for
	// BIOSes that take a disk without one for data. UEFI ignores it.
	Active bool
}

// Place puts the partitions whose Start is 0 one after another, each on a
// multiple of Alignment and after whatever stands before it in the list. A
// Size of 0 is the rest of a disk of size bytes, down to a multiple of
// Alignment. Nothing is changed on error.
func (t *Table) Place(size int64) error {
	placed := slices.Clone(t.Partitions)
	next := int64(Alignment)
	for i := range placed {
		p := &placed[i]
		if p.Start == 0 {
			p.Start = alignUp(next)
		}
		if p.Size == 0 {
			p.Size = (size-TailSize)/Alignment*Alignment - p.Start
		}
		if p.Size <= 0 {
			return fmt.Errorf("place partition %d (%s): nothing is left of the disk's %d bytes; make the disk larger", i+1, p.Name, size)
		}
		next = max(next, p.End())
	}
	if err := (&Table{t.Disk, placed, t.Boot, t.Active}).check(size); err != nil {
		return err
	}
	t.Partitions = placed
	return nil
}

// alignUp rounds up to a multiple of Alignment.
func alignUp(n int64) int64 { return (n + Alignment - 1) / Alignment * Alignment }

// MinSize is the size in bytes of the smallest disk for the placed partitions,
// a multiple of Alignment.
func (t *Table) MinSize() int64 {
	end := int64(HeadSize)
	for _, p := range t.Partitions {
		end = max(end, p.End())
	}
	return alignUp(end + TailSize)
}

// Write writes both copies of the table to a disk of size bytes, and touches
// nothing between them. A table that was read from an image fits a larger disk:
// the second copy goes to that disk's end.
func (t *Table) Write(w io.WriterAt, size int64) error {
	head, tail, err := t.Encode(size)
	if err != nil {
		return err
	}
	if _, err := w.WriteAt(head, 0); err != nil {
		return fmt.Errorf("write partition table: %w", err)
	}
	if _, err := w.WriteAt(tail, size-int64(len(tail))); err != nil {
		return fmt.Errorf("write second copy of partition table: %w", err)
	}
	return nil
}

// Encode gives what stands at the two ends of a disk of size bytes: the first
// HeadSize bytes and the last TailSize, for a caller that writes from the
// beginning to the end.
func (t *Table) Encode(size int64) (head, tail []byte, err error) {
	if err := t.check(size); err != nil {
		return nil, nil, err
	}
	g := geometry(size)
	entries := t.entries()
	records := []record{{kind: protective, first: 1, count: min(g.last, 0xffffffff)}}
	if t.Active {
		records = append(records, record{active: true, count: 1})
	}
	mbr := MBR{Boot: t.Boot}.sector(records)
	head = slices.Concat(mbr, t.header(g.primary(), entries), entries)
	tail = slices.Concat(entries, t.header(g.backup(), entries))
	return head, tail, nil
}

// check says what does not fit the format.
func (t *Table) check(size int64) error {
	if size%SectorSize != 0 || size < HeadSize+TailSize {
		return fmt.Errorf("make partition table: a disk of %d bytes is not a multiple of %d, or too small", size, SectorSize)
	}
	if len(t.Boot) > bootSize {
		return fmt.Errorf("make partition table: the boot code has %d bytes; %d fit", len(t.Boot), bootSize)
	}
	if len(t.Partitions) > maxEntries {
		return fmt.Errorf("make partition table: %d partitions; %d fit", len(t.Partitions), maxEntries)
	}
	if t.Disk == (GUID{}) {
		return errors.New("make partition table: the disk has no GUID; give one, such as Derive makes")
	}
	seen := map[GUID]bool{t.Disk: true}
	for i, p := range t.Partitions {
		if err := p.check(size); err != nil {
			return fmt.Errorf("make partition table: partition %d (%s): %w", i+1, p.Name, err)
		}
		if seen[p.ID] {
			return fmt.Errorf("make partition table: partition %d (%s): GUID %s is used twice", i+1, p.Name, p.ID)
		}
		seen[p.ID] = true
	}
	return overlap(t.Partitions)
}

func (p Partition) check(size int64) error {
	switch {
	case p.Type == GUID{} || p.ID == GUID{}:
		return errors.New("it has no type or no GUID")
	case p.Start%SectorSize != 0 || p.Size%SectorSize != 0 || p.Size <= 0:
		return fmt.Errorf("start %d and size %d must be multiples of %d bytes", p.Start, p.Size, SectorSize)
	case p.Start < HeadSize || p.Size > size-TailSize-p.Start:
		return fmt.Errorf("bytes %d to %d do not fit between the tables of a disk of %d", p.Start, p.End(), size)
	case len(utf16.Encode([]rune(p.Name))) > maxName:
		return fmt.Errorf("its name is longer than %d UTF-16 units", maxName)
	}
	return nil
}

// overlap finds two partitions that share bytes.
func overlap(list []Partition) error {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b Partition) int { return int(min(1, max(-1, a.Start-b.Start))) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.End() > b.Start {
			return fmt.Errorf("make partition table: partitions %q and %q overlap: one ends at byte %d, the other begins at %d", a.Name, b.Name, a.End(), b.Start)
		}
	}
	return nil
}
