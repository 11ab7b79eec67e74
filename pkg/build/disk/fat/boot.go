package fat

import "encoding/binary"

// media is the media descriptor of a fixed disk, in the boot sector and the
// first FAT entry.
const media = 0xf8

// The geometry that the boot sector pretends: cylinders of 1 MiB, which divide
// volumes that are aligned as partitions are. mtools warns where they do not.
const (
	trackSectors = 32
	heads        = 64
)

// bootCode is what a BIOS that starts the volume runs: int 0x18, which tries
// the next device, and a halt.
var bootCode = []byte{0xcd, 0x18, 0xf4, 0xeb, 0xfd}

// reservedArea encodes the sectors before the first FAT that are not zero: the
// boot sector and, of FAT32, FSInfo and the backup of both (fatgen103, "Boot
// Sector and BPB", "FSInfo Sector Structure").
func (p *plan) reservedArea() []byte {
	boot := p.bootSector()
	if p.g.bits == 16 {
		return boot
	}
	out := make([]byte, (backupSector+3)*sectorSize)
	info := p.infoSector()
	for _, at := range []int{0, backupSector} {
		copy(out[at*sectorSize:], boot)
		copy(out[(at+infoSector)*sectorSize:], info)
		sign(out[(at+2)*sectorSize:]) // the third boot sector, empty
	}
	return out
}

// sign puts the mark at the end of a sector.
func sign(sector []byte) { sector[510], sector[511] = 0x55, 0xaa }

func (p *plan) bootSector() []byte {
	le := binary.LittleEndian
	s := make([]byte, sectorSize)
	copy(s[3:], "MSWIN4.1") // what the specification finds most readers take
	le.PutUint16(s[11:], sectorSize)
	s[13] = byte(p.g.perCluster)
	le.PutUint16(s[14:], uint16(p.g.reserved))
	s[16] = 2 // FATs
	le.PutUint16(s[17:], uint16(p.g.root*sectorSize/entrySize))
	if p.g.bits == 16 && p.g.sectors < 1<<16 {
		le.PutUint16(s[19:], uint16(p.g.sectors))
	} else {
		le.PutUint32(s[32:], uint32(p.g.sectors))
	}
	s[21] = media
	le.PutUint16(s[24:], trackSectors)
	le.PutUint16(s[26:], heads)
	le.PutUint32(s[28:], p.v.Hidden)
	tail, kind := s[36:], "FAT16   "
	if p.g.bits == 16 {
		le.PutUint16(s[22:], uint16(p.g.fat))
	} else {
		le.PutUint32(s[36:], uint32(p.g.fat))
		le.PutUint32(s[44:], uint32(p.root.first))
		le.PutUint16(s[48:], infoSector)
		le.PutUint16(s[50:], backupSector)
		tail, kind = s[64:], "FAT32   "
	}
	tail[0] = 0x80 // BIOS drive
	tail[2] = 0x29 // the next three are there
	le.PutUint32(tail[3:], p.v.Serial)
	label := p.label()
	if p.v.Label == "" {
		label = shortName([]byte("NO NAME    "))
	}
	copy(tail[7:], label[:])
	copy(tail[18:], kind)
	code := len(s) - len(tail) + 26
	copy(s, []byte{0xeb, byte(code - 2), 0x90})
	copy(s[code:], bootCode)
	sign(s)
	return s
}

func (p *plan) infoSector() []byte {
	le := binary.LittleEndian
	s := make([]byte, sectorSize)
	le.PutUint32(s, 0x41615252)
	le.PutUint32(s[484:], 0x61417272)
	le.PutUint32(s[488:], uint32(p.g.clusters-p.used))
	le.PutUint32(s[492:], uint32(min(p.end, p.g.clusters+1))) // where to look for a free one
	sign(s)
	return s
}
