package fat

import (
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf16"
)

// Layout of a directory entry (fatgen103, "FAT Directory Structure").
const (
	entrySize  = 32
	maxEntries = 65536 // of a folder

	attrReadOnly = 0x01
	attrLabel    = 0x08
	attrFolder   = 0x10
	attrArchive  = 0x20
	attrLong     = 0x0f

	longLast  = 0x40 // flag of the entry with the end of a long name
	longUnits = 13   // UTF-16 units of a long name in an entry
)

// longAt are the places of the units of a long name in its entry.
var longAt = [longUnits]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// stamp is a time as FAT has it, in steps of two seconds.
type stamp struct{ date, time uint16 }

func makeStamp(t time.Time) (stamp, error) {
	t = t.UTC()
	if y := t.Year(); y < 1980 || y > 2107 {
		return stamp{}, fmt.Errorf("FAT cannot say the year %d, only 1980 to 2107; is SOURCE_DATE_EPOCH set?", y)
	}
	return stamp{
		date: uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day()),
		time: uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2),
	}, nil
}

// slots is the number of directory entries of a node in its folder.
func (n *node) slots() int64 {
	if !n.long() {
		return 1
	}
	return 1 + int64(len(utf16.Encode([]rune(n.name)))+longUnits-1)/longUnits
}

// appendEntry encodes a short entry.
func appendEntry(out []byte, name shortName, attr byte, at stamp, cluster, size int64) []byte {
	le := binary.LittleEndian
	e := append(out, name[:]...)
	e = append(e, attr, 0, 0)
	for _, v := range []uint16{at.time, at.date, at.date, uint16(cluster >> 16), at.time, at.date, uint16(cluster)} {
		e = le.AppendUint16(e, v)
	}
	return le.AppendUint32(e, uint32(size))
}

// appendLong encodes the entries of a long name, which stand before the short
// one, the end of the name first.
func appendLong(out []byte, name string, short shortName) []byte {
	units := utf16.Encode([]rune(name))
	sum := checksum(short)
	for i := (len(units) - 1) / longUnits; i >= 0; i-- {
		var e [entrySize]byte
		e[0], e[11], e[13] = byte(i+1), attrLong, sum
		if i == (len(units)-1)/longUnits {
			e[0] |= longLast
		}
		for j, at := range longAt {
			unit := uint16(0xffff) // after the end
			switch k := i*longUnits + j; {
			case k < len(units):
				unit = units[k]
			case k == len(units):
				unit = 0
			}
			binary.LittleEndian.PutUint16(e[at:], unit)
		}
		out = append(out, e[:]...)
	}
	return out
}

// checksum ties a long name to its short one.
func checksum(s shortName) byte {
	var sum byte
	for _, b := range s {
		sum = sum>>1 | sum<<7
		sum += b
	}
	return sum
}

// folder encodes a folder's entries.
func (p *plan) folder(n *node) []byte {
	var out []byte
	if n.parent == nil {
		if p.v.Label != "" {
			out = appendEntry(out, p.label(), attrLabel, p.at, 0, 0)
		}
	} else {
		up := n.parent.first
		if n.parent.parent == nil {
			up = 0 // the root is said as 0, also where it has a cluster
		}
		out = appendEntry(out, makeShort(".", ""), attrFolder, p.at, n.first, 0)
		out = appendEntry(out, makeShort("..", ""), attrFolder, p.at, up, 0)
	}
	for _, c := range n.children {
		if c.long() {
			out = appendLong(out, c.name, c.short)
		}
		attr := byte(attrArchive)
		if c.dir {
			attr = attrFolder
		}
		out = appendEntry(out, c.short, attr, p.at, c.first, c.file.Size)
	}
	return out
}
