package gpt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// FAT32LBA is the type of a FAT32 partition in an MBR that is addressed by
// sector numbers.
const FAT32LBA = 0x0c

// bootSize is the room for boot code before the disk's signature.
const bootSize = 440

// protective is the type of the entry that covers a disk with a GUID partition
// table (UEFI 2.10, table 5.4).
const protective = 0xee

// Layout of the first sector (UEFI 2.10, tables 5.1 and 5.2).
const (
	mbrSignature = 440
	mbrRecords   = 446
	mbrRecord    = 16
	mbrMax       = 4
	mbrEnd       = 510
)

// MBR is a plain partition table of at most four partitions.
type MBR struct {
	Boot       []byte // at most 440 bytes
	Signature  uint32 // of the disk; Linux's PARTUUID is made of it
	Partitions []MBRPartition
}

// MBRPartition is an entry of an MBR.
type MBRPartition struct {
	Type   byte
	Active bool  // its boot code is what a BIOS starts
	Start  int64 // bytes, a multiple of SectorSize
	Size   int64 // bytes, a multiple of SectorSize
}

// record is an entry in sectors.
type record struct {
	kind         byte
	active       bool
	first, count int64
}

// Write writes the first sector of a disk of size bytes.
func (m MBR) Write(w io.WriterAt, size int64) error {
	records, err := m.records(size)
	if err != nil {
		return fmt.Errorf("make MBR: %w", err)
	}
	if _, err := w.WriteAt(m.sector(records), 0); err != nil {
		return fmt.Errorf("write MBR: %w", err)
	}
	return nil
}

// records checks the partitions against a disk of size bytes.
func (m MBR) records(size int64) ([]record, error) {
	if len(m.Boot) > bootSize || len(m.Partitions) > mbrMax {
		return nil, fmt.Errorf("%d bytes of boot code and %d partitions; %d and %d fit", len(m.Boot), len(m.Partitions), bootSize, mbrMax)
	}
	var list []record
	for i, p := range m.Partitions {
		switch {
		case p.Type == 0:
			return nil, fmt.Errorf("partition %d has no type", i+1)
		case p.Start%SectorSize != 0 || p.Size%SectorSize != 0 || p.Size <= 0 || p.Start < SectorSize:
			return nil, fmt.Errorf("partition %d: start %d and size %d must be multiples of %d bytes, after the first", i+1, p.Start, p.Size, SectorSize)
		case p.Size > size-p.Start:
			return nil, fmt.Errorf("partition %d: bytes %d to %d do not fit a disk of %d", i+1, p.Start, p.Start+p.Size, size)
		case (p.Start+p.Size)/SectorSize > math.MaxUint32+1:
			return nil, fmt.Errorf("partition %d ends beyond 2 TiB, which an MBR cannot say; use a GUID partition table", i+1)
		}
		for j, q := range m.Partitions[:i] {
			if p.Start < q.Start+q.Size && q.Start < p.Start+p.Size {
				return nil, fmt.Errorf("partitions %d and %d overlap", j+1, i+1)
			}
		}
		list = append(list, record{p.Type, p.Active, p.Start / SectorSize, p.Size / SectorSize})
	}
	return list, nil
}

// sector encodes the first sector of a disk.
func (m MBR) sector(list []record) []byte {
	s := make([]byte, SectorSize)
	copy(s, m.Boot)
	binary.LittleEndian.PutUint32(s[mbrSignature:], m.Signature)
	for i, r := range list {
		e := s[mbrRecords+i*mbrRecord:]
		if r.active {
			e[0] = 0x80
		}
		first, last := chs(r.first), chs(r.first+r.count-1)
		copy(e[1:], first[:])
		e[4] = r.kind
		copy(e[5:], last[:])
		binary.LittleEndian.PutUint32(e[8:], uint32(r.first))
		binary.LittleEndian.PutUint32(e[12:], uint32(r.count))
	}
	s[mbrEnd], s[mbrEnd+1] = 0x55, 0xaa
	return s
}

// chs gives the head, sector and cylinder of a sector number on the disk of 255
// heads and 63 sectors a track that BIOSes pretend, all ones where it cannot be
// said. UEFI wants sector 1 as 00 02 00, which this gives too.
func chs(n int64) [3]byte {
	const heads, sectors, cylinders = 255, 63, 1024
	cylinder, head, sector := n/(heads*sectors), n/sectors%heads, n%sectors+1
	if cylinder >= cylinders {
		return [3]byte{0xff, 0xff, 0xff}
	}
	return [3]byte{byte(head), byte(sector) | byte(cylinder>>8)<<6, byte(cylinder)}
}

// ReadMBR reads the first sector of a disk of size bytes. A protective MBR is
// an entry of type 0xee, which is no error here.
func ReadMBR(r io.ReaderAt, size int64) (MBR, error) {
	s := make([]byte, SectorSize)
	if err := readFull(r, s, 0); err != nil {
		return MBR{}, fmt.Errorf("read MBR: %w", err)
	}
	if s[mbrEnd] != 0x55 || s[mbrEnd+1] != 0xaa {
		return MBR{}, errors.New("read MBR: the first sector does not end in 55 aa: this is no partitioned disk")
	}
	m := MBR{Boot: s[:bootSize:bootSize], Signature: binary.LittleEndian.Uint32(s[mbrSignature:])}
	for i := range mbrMax {
		e := s[mbrRecords+i*mbrRecord:]
		if e[4] == 0 {
			continue
		}
		if e[0]&0x7f != 0 {
			return MBR{}, fmt.Errorf("read MBR: partition %d: its boot flag is %#x", i+1, e[0])
		}
		m.Partitions = append(m.Partitions, MBRPartition{
			Type: e[4], Active: e[0] != 0,
			Start: int64(binary.LittleEndian.Uint32(e[8:])) * SectorSize,
			Size:  int64(binary.LittleEndian.Uint32(e[12:])) * SectorSize,
		})
	}
	if _, err := m.records(size); err != nil {
		return MBR{}, fmt.Errorf("read MBR: %w", err)
	}
	return m, nil
}
