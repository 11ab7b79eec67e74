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
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
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
	Size   int64     // bytes, a multiple of 512
	Bits   int       // 32 (also 0) or 16: the width of a FAT entry
	Label  string    // at most 11 characters, capitals and digits; empty: none
	Serial uint32    // of the volume; Linux's UUID of it
	Time   time.Time // of every file and folder, taken in UTC; FAT knows the years 1980 to 2107
	Hidden uint32    // sectors of 512 bytes before the volume on its disk; 0 where it is not in a partition
	Files  []File    // in any order; the folders that they lie in are made
}

// File is a file or a folder of a Volume.
type File struct {
	Path string // with slashes, as fs.ValidPath has it; a folder, which needs to be named only when it is empty, ends in a slash
	Size int64  // bytes
	// Open gives the content, which must have Size bytes. It is called once a
	// Write, and not for folders and empty files.
	Open func() (io.ReadCloser, error)
	// Align wants the content at a multiple of so many bytes from the volume's
	// beginning: a power of two. Without it, files lie at multiples of 4096 or of
	// the cluster size, whichever is smaller.
	Align int64
}

// Bytes is a file with the given content.
func Bytes(path string, content []byte) File {
	return File{Path: path, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// FromDisk is a file with the content of a file on the host.
func FromDisk(path, host string) (File, error) {
	st, err := os.Stat(host)
	if err != nil {
		return File{}, fmt.Errorf("add %s to FAT volume: %w", path, err)
	}
	if !st.Mode().IsRegular() {
		return File{}, fmt.Errorf("add %s to FAT volume: %s is not a regular file", path, host)
	}
	return File{Path: path, Size: st.Size(), Open: func() (io.ReadCloser, error) { return os.Open(host) }}, nil
}

// Extent is where a file's content lies, in bytes from the volume's beginning.
type Extent struct{ Offset, Size int64 }

// Layout is how a volume was laid out.
type Layout struct {
	Cluster int64             // bytes
	Free    int64             // bytes in free clusters
	Files   map[string]Extent // by Path; an empty file is at 0
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
