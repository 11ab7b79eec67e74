// Package rawip sends and receives DHCPv4 datagrams and ARP packets on an
// interface that has no address yet: packet(7) sockets with a kernel filter,
// and the IPv4, UDP and ARP headers that come with them.
package rawip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Ports of DHCPv4 (RFC 2131 section 4.1).
const (
	ServerPort = 67
	ClientPort = 68
)

const (
	ipv4HeaderLen = 20
	udpHeaderLen  = 8
	protoUDP      = 17
	ttl           = 64
)

// Broadcast is the limited broadcast address (RFC 919).
var Broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// A Datagram is one UDP datagram in IPv4.
type Datagram struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	Payload          []byte
}

// errNotForUs marks what the socket filter lets through but no DHCP client
// reads; it is dropped without a word.
var errNotForUs = errors.New("not a DHCP reply")

// AppendUDP4 appends d as an IPv4 packet (RFC 791, RFC 768), both checksums
// filled in.
func AppendUDP4(b []byte, d Datagram) []byte {
	src, dst := d.Src.As4(), d.Dst.As4()
	udpLen := udpHeaderLen + len(d.Payload)
	start := len(b)
	b = append(b, 0x45, 0x10) // version 4, five words; low delay, as every DHCP client sends
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4HeaderLen+udpLen))
	b = append(b, 0, 0, 0x40, 0, ttl, protoUDP, 0, 0) // don't fragment
	b = append(b, src[:]...)
	b = append(b, dst[:]...)
	binary.BigEndian.PutUint16(b[start+10:], ^sum(0, b[start:]))

	udp := len(b)
	b = binary.BigEndian.AppendUint16(b, d.SrcPort)
	b = binary.BigEndian.AppendUint16(b, d.DstPort)
	b = binary.BigEndian.AppendUint16(b, uint16(udpLen))
	b = append(b, 0, 0)
	b = append(b, d.Payload...)
	check := ^sum(pseudoHeader(src, dst, udpLen), b[udp:])
	if check == 0 {
		check = 0xffff // zero means "no checksum", RFC 768
	}
	binary.BigEndian.PutUint16(b[udp+6:], check)
	return b
}

// ParseUDP4 reads one IPv4 packet that holds a whole UDP datagram. verified
// says that the checksum of the UDP part need not be looked at: the sender is
// on this machine and left it to hardware (TP_STATUS_CSUMNOTREADY, packet(7)).
func ParseUDP4(b []byte, verified bool) (Datagram, error) {
	var d Datagram
	if len(b) < ipv4HeaderLen {
		return d, fmt.Errorf("parse IPv4 packet: %d bytes are too few", len(b))
	}
	headerLen := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]>>4 != 4:
		return d, fmt.Errorf("parse IPv4 packet: version %d", b[0]>>4)
	case headerLen < ipv4HeaderLen || total < headerLen+udpHeaderLen || total > len(b):
		return d, fmt.Errorf("parse IPv4 packet: header %d, total %d, received %d bytes", headerLen, total, len(b))
	case b[9] != protoUDP || binary.BigEndian.Uint16(b[6:])&0x3fff != 0:
		return d, errNotForUs // another protocol, or a fragment
	case ^sum(0, b[:headerLen]) != 0:
		return d, errors.New("parse IPv4 packet: wrong header checksum")
	}
	src, dst := [4]byte(b[12:16]), [4]byte(b[16:20])
	udp := b[headerLen:total] // what follows is Ethernet padding
	udpLen := int(binary.BigEndian.Uint16(udp[4:]))
	if udpLen < udpHeaderLen || udpLen > len(udp) {
		return d, fmt.Errorf("parse UDP datagram: length %d in %d bytes", udpLen, len(udp))
	}
	udp = udp[:udpLen]
	if given := binary.BigEndian.Uint16(udp[6:]); given != 0 && !verified && ^sum(pseudoHeader(src, dst, udpLen), udp) != 0 {
		return d, errors.New("parse UDP datagram: wrong checksum")
	}
	return Datagram{
		Src: netip.AddrFrom4(src), Dst: netip.AddrFrom4(dst),
		SrcPort: binary.BigEndian.Uint16(udp), DstPort: binary.BigEndian.Uint16(udp[2:]),
		Payload: udp[udpHeaderLen:],
	}, nil
}

func pseudoHeader(src, dst [4]byte, udpLen int) uint32 {
	s := uint32(protoUDP) + uint32(udpLen)
	for i := 0; i < 4; i += 2 {
		s += uint32(binary.BigEndian.Uint16(src[i:])) + uint32(binary.BigEndian.Uint16(dst[i:]))
	}
	return s
}

// sum is the Internet checksum before its complement (RFC 1071).
func sum(s uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
