// Package fat writes FAT32 and FAT16 file systems once, in one pass from the
// beginning to the end, and reads them. The sources are Microsoft's "FAT32 File
// System Specification" (fatgen103, 2000) and, for what Linux and mtools add,
// their sources.
//
// The bytes follow from the Volume alone: from no clock, no chance, and not from
// the order of the files. Each file lies in one piece, so that a byte of it can
// be found, and changed in place, without a reader.
package fat

import (
	"fmt"
	"time"

	"github.com/bee-os/bee/pkg/build/disk"
)

// Sizes in bytes.
const (
	sectorSize = 512
	mib        = 1 << 20
	// maxFile is what the size of a directory entry can say.
	maxFile = 1<<32 - 1
)

// Volume is a file system to be written.
type Volume struct {
	Size   int64       // bytes, a multiple of 512
	Bits   int         // 32 (also 0) or 16: the width of a FAT entry
	Label  string      // at most 11 characters, capitals and digits; empty: none
	Serial uint32      // of the volume; Linux's UUID of it
	Time   time.Time   // of every file and folder, taken in UTC; FAT knows the years 1980 to 2107
	Hidden uint32      // sectors of 512 bytes before the volume on its disk; 0 where it is not in a partition
	Files  []disk.File // in any order, aligned to 4096 or to the cluster size, whichever is smaller; the folders that they lie in are made
}

// Layout is how a volume was laid out.
type Layout struct {
	Cluster int64                  // bytes
	Free    int64                  // bytes in free clusters
	Files   map[string]disk.Extent // by Path; an empty file is at 0
}

// Plan says how the volume would be laid out, and whether all fits, without
// opening a file.
func (v Volume) Plan() (Layout, error) {
	p, err := v.plan()
	if err != nil {
		return Layout{}, err
	}
	return p.layout(), nil
}

// MinSize is the smallest Size in bytes, a multiple of 1 MiB, that the volume's
// files fit into. The Size that is set does not matter.
func (v Volume) MinSize() (int64, error) {
	root, err := v.tree()
	if err != nil {
		return 0, err
	}
	var least int64
	for _, f := range v.Files {
		least += f.Size
	}
	for size := max(mib, least/mib*mib); ; size += mib {
		g, err := pick(size, v.bits(), root.entries(v.Label != ""))
		if err == nil {
			if _, _, err = assign(root, g, v.Label != ""); err == nil {
				return size, nil
			}
		}
		if size > maxSize(v.bits()) {
			return 0, fmt.Errorf("size FAT volume: %w", err)
		}
	}
}

func (v Volume) bits() int {
	if v.Bits == 0 {
		return 32
	}
	return v.Bits
}
