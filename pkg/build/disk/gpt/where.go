package gpt

import "fmt"

// Where says in words what stands at a byte of a disk of size bytes, to name
// the first difference of two images. inside is the number of the partition
// that holds the byte, counted from 0, and -1 where none does.
func (t *Table) Where(off, size int64) (what string, inside int) {
	for i, p := range t.Partitions {
		if off >= p.Start && off < p.End() {
			return fmt.Sprintf("partition %d (%s), byte %d", i+1, p.Name, off-p.Start), i
		}
	}
	switch tail := size - TailSize; {
	case off < bootSize:
		return fmt.Sprintf("MBR, byte %d of the boot code", off), -1
	case off < SectorSize:
		return "MBR, protective partition", -1
	case off < 2*SectorSize:
		return fmt.Sprintf("GPT header, byte %d", off-SectorSize), -1
	case off < HeadSize:
		return fmt.Sprintf("GPT, entry %d", (off-2*SectorSize)/entrySize+1), -1
	case off < tail:
		return "no partition", -1
	case off < size-SectorSize:
		return fmt.Sprintf("second copy of the GPT, entry %d", (off-tail)/entrySize+1), -1
	}
	return fmt.Sprintf("second copy of the GPT header, byte %d", off-(size-SectorSize)), -1
}
