package iso9660

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// piece is something before the files.
type piece struct {
	block int64
	data  []byte
}

// head are all pieces before the files, in the order in which they lie.
func (p *plan) head() []piece {
	size := p.layout.Size / Sector
	list := []piece{{descriptorsAt, p.primary(0, size)}}
	if p.catalogue != 0 {
		list = append(list, piece{descriptorsAt + 1, p.bootRecord()}, piece{descriptorsAt + 2, terminator()})
	} else {
		list = append(list, piece{descriptorsAt + 1, terminator()})
	}
	list = append(list,
		piece{partitionAt + descriptorsAt, p.primary(partitionAt, p.layout.Volume.Size/Sector)},
		piece{partitionAt + descriptorsAt + 1, terminator()})
	for i, at := range p.tables {
		list = append(list, piece{at, p.pathTable(i%2 == 1, int64(i/2)*partitionAt)})
	}
	for _, n := range p.folders {
		list = append(list, piece{n.block, p.entries(n, 0)})
	}
	for _, n := range p.folders {
		list = append(list, piece{n.second, p.entries(n, partitionAt)})
	}
	list = append(list, piece{p.more, extensions()})
	if p.catalogue != 0 {
		list = append(list, piece{p.catalogue, p.bootCatalogue()})
	}
	return list
}

// at is the folder's block for the image (base 0) or for the partition that
// begins at the block base, counted from there.
func (n *node) at(base int64) uint32 {
	if base != 0 && n.folder {
		return uint32(n.second - base)
	}
	return uint32(n.block - base)
}

// field is text filled up with blanks.
func field(b []byte, text string, size int) []byte {
	return append(append(b, text...), strings.Repeat(" ", size-len(text))...)
}

// long is a time in a descriptor (ECMA-119 8.4.26.1).
func long(b []byte, t time.Time) []byte {
	return append(append(b, t.UTC().Format("20060102150405")+"00"...), 0)
}

// primary is the primary volume descriptor (ECMA-119 8.4) of a volume of blocks.
func (p *plan) primary(base, blocks int64) []byte {
	tables := p.tables[:2]
	if base != 0 {
		tables = p.tables[2:]
	}
	root := p.folders[0]
	b := append(make([]byte, 0, Sector), 1)
	b = append(b, "CD001\x01\x00"...)
	b = field(b, "", 32) // system
	b = field(b, p.Name, 32)
	b = append(b, make([]byte, 8)...)
	b = both32(b, uint32(blocks))
	b = append(b, make([]byte, 32)...)
	b = both16(both16(both16(b, 1), 1), Sector) // one volume, the first; size of a block
	b = both32(b, uint32(p.tableSize))
	b = binary.LittleEndian.AppendUint32(b, uint32(tables[0]-base))
	b = append(b, 0, 0, 0, 0) // no other copy
	b = binary.BigEndian.AppendUint32(b, uint32(tables[1]-base))
	b = append(b, 0, 0, 0, 0)
	b = append(b, header(root, "\x00", root.at(base), p.Time)...)
	b = field(b, "", 128) // set of volumes
	b = field(b, "", 128) // publisher
	b = field(b, p.Application, 128)
	b = field(b, p.Application, 128)
	b = field(b, "", 3*37) // copyright, abstract, bibliography
	b = long(long(b, p.Time), p.Time)
	for range 2 { // expires, effective: not said
		b = append(append(b, strings.Repeat("0", 16)...), 0)
	}
	b = append(b, 1)
	return b[:Sector]
}

// bootRecord points at El Torito's catalogue (El Torito 1.0, figure 7).
func (p *plan) bootRecord() []byte {
	b := make([]byte, Sector)
	copy(b, "\x00CD001\x01EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(b[71:], uint32(p.catalogue))
	return b
}

func terminator() []byte {
	b := make([]byte, Sector)
	copy(b, "\xffCD001\x01")
	return b
}

// What El Torito calls platforms (figure 2; UEFI 2.10, 13.3.2.1).
const (
	platformBIOS = 0
	platformEFI  = 0xef
)

// bootCatalogue says what starts (El Torito 1.0, section 2): without emulation,
// four sectors for a BIOS, and the whole FAT volume for UEFI.
func (p *plan) bootCatalogue() []byte {
	var efi, bios []byte
	platform := byte(platformEFI)
	if p.EFI > 0 {
		efi = bootEntry(uint16(p.EFI/512), uint32(p.layout.EFI.Offset/Sector))
	}
	if p.boot != nil {
		platform, bios = platformBIOS, bootEntry(4, uint32(p.boot.block))
	}
	b := make([]byte, 32, Sector)
	b[0], b[1], b[30], b[31] = 1, platform, 0x55, 0xaa
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += binary.LittleEndian.Uint16(b[i:])
	}
	binary.LittleEndian.PutUint16(b[28:], -sum)
	if bios != nil && efi != nil {
		header := make([]byte, 32)
		header[0], header[1], header[2] = 0x91, platformEFI, 1 // the last section, one entry
		bios = append(bios, header...)
	}
	return slices.Concat(b, bios, efi)
}

func bootEntry(sectors uint16, block uint32) []byte {
	b := make([]byte, 32)
	b[0] = 0x88
	binary.LittleEndian.PutUint16(b[6:], sectors)
	binary.LittleEndian.PutUint32(b[8:], block)
	return b
}

// pathTable lists the folders (ECMA-119 9.4), in one byte order.
func (p *plan) pathTable(big bool, base int64) []byte {
	var b []byte
	for _, n := range p.folders {
		r := n.pathRecord(base)
		if big {
			slices.Reverse(r[2:6])
			slices.Reverse(r[6:8])
		}
		b = append(b, r...)
	}
	return b
}

func (n *node) pathRecord(base int64) []byte {
	id := n.id
	if n.parent == n {
		id = "\x00"
	}
	b := []byte{byte(len(id)), 0}
	b = binary.LittleEndian.AppendUint32(b, n.at(base))
	b = binary.LittleEndian.AppendUint16(b, uint16(n.parent.number))
	return even(append(b, id...))
}
