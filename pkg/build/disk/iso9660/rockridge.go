package iso9660

import (
	"encoding/binary"
	"slices"
	"time"
)

// What POSIX has and ECMA-119 has not stands in entries of the System Use Sharing
// Protocol (IEEE P1281), those of Rock Ridge (IEEE P1282) in its version 1.10,
// which all systems read.
const (
	modeFolder = 0o040555
	modeFile   = 0o100444
	maxRecord  = 254 // bytes: the length is one byte, and even
)

// entries are a folder's bytes in whole blocks (ECMA-119 6.8.1): itself, its
// parent, and what is in it. No entry crosses a block. Places count from base.
func (p *plan) entries(n *node, base int64) []byte {
	var first, last []byte
	if n.parent == n { // the root: there are extensions, and P1281 says where they are told
		first, last = []byte("SP\x07\x01\xbe\xef\x00"), []byte("CE\x1c\x01")
		for _, x := range []uint32{uint32(p.more - base), 0, uint32(len(extensions()))} {
			last = both32(last, x)
		}
	}
	list := [][]byte{p.entry(n, "\x00", base, first, last), p.entry(n.parent, "\x01", base, nil, nil)}
	for _, k := range n.kids {
		id := k.id
		if !k.folder {
			id += ";1"
		}
		list = append(list, p.entry(k, id, base, nil, k.named()))
	}
	var b []byte
	for _, e := range list {
		if left := Sector - len(b)%Sector; len(e) > left {
			b = append(b, make([]byte, left)...)
		}
		b = append(b, e...)
	}
	return append(b, make([]byte, up(int64(len(b)), Sector)-int64(len(b)))...)
}

// named is the entry of a node's name (P1282 4.1.4).
func (n *node) named() []byte {
	return append([]byte{'N', 'M', byte(5 + len(n.name)), 1, 0}, n.name...)
}

// entry is a folder's entry with its extensions: first, POSIX attributes, times
// (P1282 4.1.1, 4.1.6), last.
func (p *plan) entry(n *node, id string, base int64, first, last []byte) []byte {
	b := append(header(n, id, n.at(base), p.Time), first...)
	mode, links := uint32(modeFile), uint32(1)
	if n.folder {
		mode, links = modeFolder, 2
		for _, k := range n.kids {
			if k.folder {
				links++
			}
		}
	}
	b = append(b, "PX\x24\x01"...)
	for _, x := range []uint32{mode, links, 0, 0} { // of root
		b = both32(b, x)
	}
	t := stamp(p.Time)
	b = append(b, "TF\x1a\x01\x0e"...) // changed, read, attributes changed
	return sized(slices.Concat(b, t, t, t, last))
}

// sized is an entry whose length is even and stands in its first byte.
func sized(b []byte) []byte {
	b = even(b)
	b[0] = byte(len(b))
	return b
}

// header is an entry without extensions (ECMA-119 9.1).
func header(n *node, id string, block uint32, t time.Time) []byte {
	b := []byte{0, 0} // length; no attributes before the content
	b = both32(b, block)
	b = both32(b, uint32(n.bytes))
	b = append(b, stamp(t)...)
	flags := byte(0)
	if n.folder {
		flags = 2
	}
	b = append(b, flags, 0, 0) // in one piece
	b = both16(b, 1)           // on the first volume
	b = append(b, byte(len(id)))
	return sized(append(b, id...))
}

// extensions says which they are (P1281 5.5; the words are those of P1282 4.3).
func extensions() []byte {
	const (
		id     = "RRIP_1991A"
		text   = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
		source = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
	)
	b := []byte{'E', 'R', byte(8 + len(id) + len(text) + len(source)), 1, byte(len(id)), byte(len(text)), byte(len(source)), 1}
	return append(append(append(b, id...), text...), source...)
}

// stamp is a time in an entry (ECMA-119 9.1.5).
func stamp(t time.Time) []byte {
	t = t.UTC()
	return []byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0}
}

// Numbers in both byte orders (ECMA-119 7.2.3, 7.3.3).
func both16(b []byte, n uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, n), n)
}

func both32(b []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, n), n)
}

// even adds a byte to an odd length.
func even(b []byte) []byte {
	if len(b)%2 == 1 {
		return append(b, 0)
	}
	return b
}
