package rtnl

import (
	"syscall"
	"testing"
)

// FuzzParse gives every parser of netlink messages foreign bytes.
func FuzzParse(f *testing.F) {
	for _, kind := range []uint16{syscall.RTM_NEWLINK, syscall.RTM_DELLINK, syscall.RTM_NEWADDR, syscall.RTM_DELADDR, syscall.RTM_NEWROUTE, 68} {
		f.Add(kind, make([]byte, 40))
	}
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		parseEvent(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind, Len: uint32(len(b)) + 16}, Data: b})
	})
}

func FuzzParseRADNS(f *testing.F) {
	f.Add([]byte{25, 3, 0, 0, 0, 0, 1, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) { parseRADNS(b); parseNames(b) })
}
