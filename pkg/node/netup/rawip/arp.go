package rawip

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

const arpLen = 28

// arp is an ARP packet for IPv4 over Ethernet (RFC 826).
type arp struct {
	Operation            uint16 // 1 request, 2 reply
	SenderMAC, TargetMAC net.HardwareAddr
	SenderIP, TargetIP   netip.Addr
}

func appendARP(b []byte, a arp) []byte {
	b = append(b, 0, 1, 8, 0, 6, 4) // Ethernet, IPv4
	b = binary.BigEndian.AppendUint16(b, a.Operation)
	sender, target := a.SenderIP.As4(), a.TargetIP.As4()
	b = append(b, a.SenderMAC[:6]...)
	b = append(b, sender[:]...)
	b = append(b, a.TargetMAC[:6]...)
	return append(b, target[:]...)
}

func parseARP(b []byte) (arp, error) {
	if len(b) < arpLen {
		return arp{}, fmt.Errorf("parse ARP packet: %d bytes are too few", len(b))
	}
	if [6]byte(b[:6]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return arp{}, fmt.Errorf("parse ARP packet: % x is not IPv4 over Ethernet", b[:6])
	}
	return arp{
		Operation: binary.BigEndian.Uint16(b[6:]),
		SenderMAC: net.HardwareAddr(append([]byte(nil), b[8:14]...)),
		SenderIP:  netip.AddrFrom4([4]byte(b[14:18])),
		TargetMAC: net.HardwareAddr(append([]byte(nil), b[18:24]...)),
		TargetIP:  netip.AddrFrom4([4]byte(b[24:28])),
	}, nil
}
