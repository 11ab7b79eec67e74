// Package lldp hears what the other end of a cable tells of itself: the Link
// Layer Discovery Protocol (IEEE 802.1AB-2016). It only listens.
package lldp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// EtherType of LLDP frames.
const EtherType = 0x88cc

// Interval is how often neighbours speak by default (9.2.5.7).
const Interval = 30 * time.Second

// Neighbour is one frame's content.
type Neighbour struct {
	Chassis, Port                         string // as text, by their subtype
	PortDescription, SystemName, SystemID string
	VLAN                                  uint16 // port VLAN id; 0: not told
	Addresses                             []netip.Addr
	TTL                                   time.Duration // 0: the neighbour leaves
}

// Parse decodes the TLVs behind the Ethernet header. The first three are
// mandatory and in this order: chassis, port, time to live (8.2).
func Parse(b []byte) (Neighbour, error) {
	var n Neighbour
	for i := 0; ; i++ {
		if len(b) < 2 {
			if i > 3 {
				return n, nil // the end TLV was left out
			}
			return n, errors.New("decode LLDP: it ends before its mandatory parts")
		}
		head := binary.BigEndian.Uint16(b)
		kind, size := head>>9, int(head&0x1ff)
		if 2+size > len(b) {
			return n, fmt.Errorf("decode LLDP: a part states %d bytes, and %d are left", size, len(b)-2)
		}
		v := b[2 : 2+size]
		b = b[2+size:]
		if i < 3 && int(kind) != i+1 {
			return n, fmt.Errorf("decode LLDP: part %d is of type %d", i+1, kind)
		}
		switch kind {
		case 0:
			return n, nil
		case 1:
			n.Chassis = id(v, 4, 5)
		case 2:
			n.Port = id(v, 3, 4)
		case 3:
			if len(v) < 2 {
				return n, errors.New("decode LLDP: the time to live is too short")
			}
			n.TTL = time.Duration(binary.BigEndian.Uint16(v)) * time.Second
		case 4:
			n.PortDescription = text(v)
		case 5:
			n.SystemName = text(v)
		case 6:
			n.SystemID = text(v)
		case 8:
			if a, ok := management(v); ok && len(n.Addresses) < 8 {
				n.Addresses = append(n.Addresses, a)
			}
		case 127: // organisationally specific: IEEE 802.1, port VLAN id (annex D.2.1)
			if len(v) >= 6 && v[0] == 0x00 && v[1] == 0x80 && v[2] == 0xc2 && v[3] == 1 {
				n.VLAN = binary.BigEndian.Uint16(v[4:])
			}
		}
	}
}

// id is a chassis or port id: an address where its subtype says so, else text
// (8.5.2 and 8.5.3).
func id(v []byte, mac, network byte) string {
	if len(v) < 2 {
		return ""
	}
	switch kind, v := v[0], v[1:]; {
	case kind == mac && len(v) == 6:
		return net.HardwareAddr(v).String()
	case kind == network && len(v) > 1:
		if a, ok := address(v); ok {
			return a.String()
		}
		return fmt.Sprintf("%x", v)
	default:
		return text(v)
	}
}

// address is an address family (1: IPv4, 2: IPv6) and its bytes.
func address(v []byte) (netip.Addr, bool) {
	if v[0] == 1 && len(v) == 5 || v[0] == 2 && len(v) == 17 {
		return netip.AddrFromSlice(v[1:])
	}
	return netip.Addr{}, false
}

func management(v []byte) (netip.Addr, bool) {
	if len(v) < 2 || int(v[0])+1 > len(v) || v[0] < 2 {
		return netip.Addr{}, false
	}
	return address(v[1 : 1+int(v[0])])
}

// text is what a person may be shown of a name from the network.
func text(v []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(v)))
}
