// Package qcow2 writes disk images of QEMU's format, version 3, and reads them. The source is docs/interop/qcow2.rst of QEMU. The bytes of an image
// follow from the disk in it alone.
package qcow2

import (
	"encoding/binary"
	"fmt"
)

// Sizes of the images that are written.
const (
	clusterBits = 16
	clusterSize = 1 << clusterBits
	headerSize  = 104
	sectorSize  = 512
	// perTable is the number of clusters that a table of the second level maps,
	// and perRefBlock of those that a block counts references of.
	perTable    = clusterSize / 8
	perRefBlock = clusterSize / 2
)

// Bits of table entries.
const (
	flagCopied     = 1 << 63 // the cluster has one reference
	flagCompressed = 1 << 62
	flagZero       = 1
	offsetMask     = 1<<56 - 1<<9
)

const magic = "QFI\xfb"

// maxTable is the largest table of the first level that is taken, in entries:
// QEMU's own limit of 32 MiB.
const maxTable = 32 << 20 / 8

// header is what stands at the beginning of an image.
type header struct {
	size       uint64 // of the raw image in bytes
	bits       uint32 // log2 of the cluster size
	tableSize  uint32 // entries of the first level
	table      uint64 // offsets in the image
	refTable   uint64
	refCluster uint32 // clusters of refTable
}

func (h header) encode() []byte {
	be := binary.BigEndian
	b := append(make([]byte, 0, clusterSize), magic...)
	b = be.AppendUint32(b, 3)
	b = be.AppendUint64(b, 0) // no backing file
	b = be.AppendUint32(b, 0)
	b = be.AppendUint32(b, h.bits)
	b = be.AppendUint64(b, h.size)
	b = be.AppendUint32(b, 0) // no encryption
	b = be.AppendUint32(b, h.tableSize)
	b = be.AppendUint64(b, h.table)
	b = be.AppendUint64(b, h.refTable)
	b = be.AppendUint32(b, h.refCluster)
	b = append(b, make([]byte, 4+8+3*8)...) // no snapshots, no features
	b = be.AppendUint32(b, 4)               // log2 of the bits of a reference count
	b = be.AppendUint32(b, headerSize)
	return b[:clusterSize] // zeros: the end of the header's extensions
}

// decodeHeader reads a header and refuses what bee's tools cannot read.
func decodeHeader(b []byte) (header, error) {
	be := binary.BigEndian
	if len(b) < headerSize || string(b[:4]) != magic {
		return header{}, fmt.Errorf("it does not begin with %q: this is no qcow2 image", magic)
	}
	h := header{bits: be.Uint32(b[20:]), size: be.Uint64(b[24:]), tableSize: be.Uint32(b[36:]), table: be.Uint64(b[40:]),
		refTable: be.Uint64(b[48:]), refCluster: be.Uint32(b[56:])}
	switch v := be.Uint32(b[4:]); {
	case v != 2 && v != 3:
		return h, fmt.Errorf("version %d is not read, only 2 and 3", v)
	case be.Uint64(b[8:]) != 0:
		return h, fmt.Errorf("it has a backing file, which is not read")
	case be.Uint32(b[32:]) != 0:
		return h, fmt.Errorf("it is encrypted")
	case v == 3 && be.Uint64(b[72:]) != 0:
		return h, fmt.Errorf("it needs features %#x, which are not known", be.Uint64(b[72:]))
	case h.bits < 9 || h.bits > 21:
		return h, fmt.Errorf("clusters of 2^%d bytes are against the format", h.bits)
	case h.size > 1<<56 || h.tableSize > maxTable || h.size > uint64(h.tableSize)<<(2*h.bits-3):
		return h, fmt.Errorf("its tables do not map %d bytes", h.size)
	}
	return h, nil
}
