package fat

import "fmt"

// Counts of clusters. The type of a file system is decided by nothing else
// (fatgen103, "FAT Type Determination"); the margin keeps off the readers that
// are wrong by a few, as the specification advises.
const (
	margin   = 16
	fat16Min = 4085 + margin
	fat16Max = 65524 - margin
	fat32Min = 65525 + margin
	fat32Max = 0x0ffffff4 - margin
)

// Sectors before the first FAT, at least, and where FAT32 keeps what it has
// there.
const (
	reserved32   = 32
	infoSector   = 1
	backupSector = 6
)

// dataAlign is what the first cluster is aligned to, in bytes: the page size of
// what reads it.
const dataAlign = 4096

// geometry says where the parts of a volume lie, in sectors.
type geometry struct {
	bits       int
	sectors    int64 // of the volume
	perCluster int64
	reserved   int64 // before the first FAT
	fat        int64 // of each of the two FATs
	root       int64 // of FAT16's root folder
	clusters   int64
}

func (g geometry) clusterSize() int64 { return g.perCluster * sectorSize }

// dataStart is the first byte of cluster 2, the first one.
func (g geometry) dataStart() int64 { return (g.reserved + 2*g.fat + g.root) * sectorSize }

// offset is the first byte of a cluster.
func (g geometry) offset(cluster int64) int64 { return g.dataStart() + (cluster-2)*g.clusterSize() }

// preferred are the cluster sizes, in sectors, for volumes up to so many MiB:
// the table of fatgen103, except that FAT32 never begins below 4 KiB.
var preferred = map[int][]struct{ upTo, sectors int64 }{
	16: {{128, 4}, {256, 8}, {512, 16}, {1024, 32}, {2048, 64}},
	32: {{8 << 10, 8}, {16 << 10, 16}, {32 << 10, 32}, {2 << 20, 64}},
}

// maxSize is the size in bytes that no volume exceeds.
func maxSize(bits int) int64 {
	list := preferred[bits]
	if list == nil {
		return 0
	}
	return list[len(list)-1].upTo*mib - sectorSize
}

// pick finds the geometry of a volume of size bytes: the preferred cluster size
// or, where that makes too few clusters for the type, the next smaller one.
func pick(size int64, bits int, rootEntries int64) (geometry, error) {
	list := preferred[bits]
	if list == nil {
		return geometry{}, fmt.Errorf("FAT%d is not written, only FAT32 and FAT16", bits)
	}
	if size%sectorSize != 0 || size <= 0 || size > maxSize(bits) {
		return geometry{}, fmt.Errorf("%d bytes must be a multiple of %d, and at most %d for FAT%d", size, sectorSize, maxSize(bits), bits)
	}
	per := int64(0)
	for _, p := range list {
		if per = p.sectors; size <= p.upTo*mib {
			break
		}
	}
	least, most := int64(fat32Min), int64(fat32Max)
	if bits == 16 {
		least, most = fat16Min, fat16Max
	}
	var g geometry
	for ; per > 0; per /= 2 {
		g = divide(size, bits, per, rootEntries)
		if g.clusters >= least && g.clusters <= most {
			return g, nil
		}
	}
	return g, fmt.Errorf("%d bytes make %d clusters at most, and FAT%d is what has at least %d; make the volume larger%s", size, g.clusters, bits, least, orSmaller(bits))
}

func orSmaller(bits int) string {
	if bits == 32 {
		return ", or FAT16"
	}
	return ""
}

// divide lays out a volume for one cluster size. A FAT may be a little longer
// than it must be, which the specification allows.
func divide(size int64, bits int, per, rootEntries int64) geometry {
	g := geometry{bits: bits, sectors: size / sectorSize, perCluster: per, reserved: 1}
	if bits == 16 {
		g.root = up(max(rootEntries, 512)*entrySize, sectorSize) / sectorSize
	} else {
		g.reserved = reserved32
	}
	g.fat = up((g.sectors/per+2)*int64(bits/8), sectorSize) / sectorSize
	before := g.reserved + 2*g.fat + g.root
	g.reserved += up(before, max(per, dataAlign/sectorSize)) - before
	g.clusters = max(0, (g.sectors-g.dataStart()/sectorSize)/per)
	return g
}

// up rounds n up to a multiple of m.
func up(n, m int64) int64 { return (n + m - 1) / m * m }
