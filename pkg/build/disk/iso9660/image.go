package iso9660

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/bee-os/bee/pkg/build/disk"
)

// Image is an ISO 9660 volume to be written (ECMA-119, interchange level 3, with
// Rock Ridge names), that starts as El Torito says and, with partition tables in
// its first 32 KiB, as a disk too. The bytes follow from the Image alone: from no
// clock, no chance, and not from the order of the files. Each file lies in one
// piece.
//
// The volume can be read from the beginning of the image and from the partition
// that Layout.Volume says: there is a second set of descriptors and folders,
// whose places count from there, as xorrisofs's -partition_offset 16 makes it.
type Image struct {
	Name        string      // of the volume: at most 32 characters of A-Z, 0-9 and _
	Application string      // what made the volume, at most 128 characters of A-Z, 0-9 and _
	Time        time.Time   // of the volume and of every file, taken in UTC
	Files       []disk.File // in any order; the folders that they lie in are made
	BIOS        string      // path of the file that a BIOS starts; empty: none
	EFI         int64       // bytes of the FAT volume behind the file system that UEFI starts; 0: none
	Tail        int64       // bytes at the end that the second copy of a partition table takes
}

// Layout is how an image was laid out, in bytes from its beginning.
type Layout struct {
	Files  map[string]disk.Extent // by Path
	Volume disk.Extent            // the file system as a partition
	EFI    disk.Extent
	Size   int64 // of the image
}

// Sizes and places, bytes or blocks of Sector.
const (
	descriptorsAt = 16 // block of the first descriptor
	partitionAt   = 16 // block where the partition begins, so that its first descriptor is at 32
	tablesAt      = 34 // block behind all descriptors
	efiAlign      = 4096
	// padding at the end of an image are the blocks that a drive may fail to read at
	// the end of a CD that was written track at once, and that Linux reads ahead.
	padding  = 150 * Sector
	maxFile  = 1<<32 - 1
	maxDepth = 8            // ECMA-119 6.8.2.1
	maxEFI   = 0xffff * 512 // El Torito counts sectors in 16 bits
)

// Plan says how the image would be laid out, without opening a file.
func (v Image) Plan() (Layout, error) {
	p, err := v.plan()
	if err != nil {
		return Layout{}, fmt.Errorf("plan ISO image: %w", err)
	}
	return p.layout, nil
}

// Write writes everything between System and the FAT volume, in rising order and
// each byte at most once; w must read as zeros where nothing was written. The
// caller writes partition tables, and the volume at Layout.EFI. A file that is
// shorter or longer than its Size is an error, after which what was written is of
// no use.
func (v Image) Write(ctx context.Context, w io.WriterAt) (Layout, error) {
	p, err := v.plan()
	if err == nil {
		err = p.write(disk.NewSink(ctx, w, System))
	}
	if err != nil {
		return Layout{}, fmt.Errorf("write ISO image: %w", err)
	}
	return p.layout, nil
}

func (p *plan) write(s *disk.Sink) error {
	for _, piece := range p.head() {
		if err := s.Put(piece.block*Sector, piece.data); err != nil {
			return err
		}
	}
	for _, n := range p.files {
		if n.file.Size == 0 {
			continue
		}
		if err := s.Copy(n.block*Sector, n.file); err != nil {
			return err
		}
	}
	return s.Flush()
}
