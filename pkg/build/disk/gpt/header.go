package gpt

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"unicode/utf16"
)

// Layout of UEFI 2.10, tables 5.5 and 5.6.
const (
	signature    = "EFI PART"
	revision     = 0x00010000
	headerSize   = 92
	entrySize    = 128
	maxEntries   = 128
	entrySectors = maxEntries * entrySize / SectorSize
)

// ends are the sector numbers that a disk's size decides.
type ends struct{ last int64 }

func geometry(size int64) ends { return ends{size/SectorSize - 1} }

// copyAt says where one copy of the table lies, in sectors.
type copyAt struct{ own, other, entries, firstUsable, lastUsable int64 }

func (e ends) primary() copyAt {
	return copyAt{own: 1, other: e.last, entries: 2, firstUsable: HeadSize / SectorSize, lastUsable: e.last - TailSize/SectorSize}
}

func (e ends) backup() copyAt {
	c := e.primary()
	c.own, c.other, c.entries = c.other, c.own, e.last-entrySectors
	return c
}

// header encodes the header for one of the two places, as a sector.
func (t *Table) header(at copyAt, entries []byte) []byte {
	le := binary.LittleEndian
	h := make([]byte, 0, SectorSize)
	h = append(h, signature...)
	h = le.AppendUint32(h, revision)
	h = le.AppendUint32(h, headerSize)
	h = le.AppendUint32(h, 0) // its CRC, which counts itself as 0
	h = le.AppendUint32(h, 0)
	for _, n := range []int64{at.own, at.other, at.firstUsable, at.lastUsable} {
		h = le.AppendUint64(h, uint64(n))
	}
	id := t.Disk.disk()
	h = append(h, id[:]...)
	h = le.AppendUint64(h, uint64(at.entries))
	h = le.AppendUint32(h, maxEntries)
	h = le.AppendUint32(h, entrySize)
	h = le.AppendUint32(h, crc32.ChecksumIEEE(entries))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h))
	return h[:SectorSize]
}

// entries encodes the array of partitions.
func (t *Table) entries() []byte {
	le := binary.LittleEndian
	out := make([]byte, maxEntries*entrySize)
	for i, p := range t.Partitions {
		e := out[i*entrySize:][:entrySize]
		kind, id := p.Type.disk(), p.ID.disk()
		copy(e, kind[:])
		copy(e[16:], id[:])
		le.PutUint64(e[32:], uint64(p.Start/SectorSize))
		le.PutUint64(e[40:], uint64(p.End()/SectorSize-1))
		le.PutUint64(e[48:], p.Attributes)
		for j, u := range utf16.Encode([]rune(p.Name)) {
			le.PutUint16(e[56+2*j:], u)
		}
	}
	return out
}

// decodeEntry reads one entry; ok is false where it is unused.
func decodeEntry(e []byte) (p Partition, ok bool) {
	le := binary.LittleEndian
	p.Type = GUID(e[:16]).disk()
	if p.Type == (GUID{}) {
		return p, false
	}
	p.ID = GUID(e[16:32]).disk()
	first, last := int64(le.Uint64(e[32:])), int64(le.Uint64(e[40:]))
	// Sector numbers that no disk has stay what they are not: out of bounds.
	const most = 1 << 53
	if first < 0 || last < first || last >= most {
		first, last = 0, 0
	}
	p.Start, p.Size = first*SectorSize, (last-first+1)*SectorSize
	p.Attributes = le.Uint64(e[48:])
	var name []uint16
	for j := range maxName {
		u := le.Uint16(e[56+2*j:])
		if u == 0 {
			break
		}
		name = append(name, u)
	}
	p.Name = strings.ToValidUTF8(string(utf16.Decode(name)), "\uFFFD")
	return p, true
}
