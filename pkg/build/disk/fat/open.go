package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxDepth bounds folders in folders; a path on Linux or Windows has fewer.
const maxDepth = 128

// tableChunk is how much of the FAT is read at once, a multiple of what an
// entry takes.
const tableChunk = 64 << 10

// FS is a volume that was opened. It is read-only, an fs.FS, and safe for
// concurrent use where its reader is.
type FS struct {
	Bits   int    // 32 or 16
	Size   int64  // bytes
	Label  string // of the root folder, else of the boot sector
	Serial uint32

	r    io.ReaderAt
	g    geometry
	fats int64
	root *entry
	// owner tells which entry holds a cluster, sorted by the first one.
	owner []ownedRun
}

// run is a row of clusters, one after another.
type run struct{ first, count int64 }

type ownedRun struct {
	run
	e      *entry
	before int64 // clusters of the entry before this run
}

// Open reads the folders of a volume of size bytes, or of at most size, and
// checks them: every chain of clusters ends, none is shared, and each is as long
// as its file. Long names are taken; short ones without one are taken as
// Latin-1, in small letters where the entry says so.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	f := &FS{r: r}
	if err := f.readBoot(size); err != nil {
		return nil, fmt.Errorf("open FAT volume: %w", err)
	}
	l := &loader{fs: f, seen: make([]byte, f.g.clusters/8+1)}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("open FAT volume: %w", err)
	}
	slices.SortFunc(f.owner, func(a, b ownedRun) int { return int(a.first - b.first) })
	return f, nil
}

// readBoot reads the boot sector and works out the geometry.
func (f *FS) readBoot(size int64) error {
	s := make([]byte, sectorSize)
	if err := readFull(f.r, s, 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	if s[510] != 0x55 || s[511] != 0xaa || le.Uint16(s[11:]) != sectorSize {
		return fmt.Errorf("the first sector is not a boot sector with sectors of %d bytes", sectorSize)
	}
	g := geometry{perCluster: int64(s[13]), reserved: int64(le.Uint16(s[14:])), bits: 16}
	f.fats = int64(s[16])
	rootEntries := int64(le.Uint16(s[17:]))
	g.root = up(rootEntries*entrySize, sectorSize) / sectorSize
	if g.sectors = int64(le.Uint16(s[19:])); g.sectors == 0 {
		g.sectors = int64(le.Uint32(s[32:]))
	}
	tail := s[36:]
	var rootCluster int64
	if g.fat = int64(le.Uint16(s[22:])); g.fat == 0 {
		g.fat, g.bits, rootCluster, tail = int64(le.Uint32(s[36:])), 32, int64(le.Uint32(s[44:])), s[64:]
	}
	if g.perCluster == 0 || g.perCluster&(g.perCluster-1) != 0 || g.reserved == 0 || f.fats < 1 || f.fats > 2 || g.fat == 0 {
		return errors.New("the boot sector makes no sense: is this a FAT volume?")
	}
	if g.sectors*sectorSize > size {
		return fmt.Errorf("it says that it has %d bytes, and %d are there: the image was cut off", g.sectors*sectorSize, size)
	}
	g.clusters = (g.sectors - g.reserved - f.fats*g.fat - g.root) / g.perCluster
	if err := checkCount(g, rootEntries, rootCluster); err != nil {
		return err
	}
	f.g, f.Bits, f.Size, f.Serial = g, g.bits, g.sectors*sectorSize, le.Uint32(tail[3:])
	f.Label = strings.TrimRight(latin1(tail[7:18]), " ")
	f.root = &entry{name: ".", dir: true, first: rootCluster}
	return nil
}

// checkCount holds the number of clusters against the type and the FAT.
func checkCount(g geometry, rootEntries, rootCluster int64) error {
	least, most := int64(4085), int64(65524)
	if g.bits == 32 {
		least, most = 65525, 0x0ffffff5
	}
	switch {
	case g.clusters < 1 || g.clusters+2 > g.fat*sectorSize*8/int64(g.bits):
		return errors.New("the boot sector makes no sense: its parts do not fit each other")
	case g.clusters < least || g.clusters > most:
		return fmt.Errorf("it has %d clusters, and FAT%d is what has %d to %d; FAT12 is not read", g.clusters, g.bits, least, most)
	case g.bits == 16 && rootEntries == 0 || g.bits == 32 && (rootEntries != 0 || rootCluster < 2 || rootCluster >= g.clusters+2):
		return errors.New("the boot sector makes no sense: it has no root folder")
	}
	return nil
}

// dataStart is geometry's, for a volume with one FAT too.
func (f *FS) dataStart() int64 {
	return (f.g.reserved + f.fats*f.g.fat + f.g.root) * sectorSize
}

// rootStart is the place of FAT16's root folder.
func (f *FS) rootStart() int64 { return (f.g.reserved + f.fats*f.g.fat) * sectorSize }

// offset is the first byte of a cluster.
func (f *FS) offset(cluster int64) int64 { return f.dataStart() + (cluster-2)*f.g.clusterSize() }

// readFull reads all of p, and takes a short image for damage.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)
}

// latin1 reads bytes as Latin-1.
func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}
