package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/netup/names"
)

const (
	userOptHeader = 16  // struct nduseroptmsg, linux/rtnetlink.h
	routerAdvert  = 134 // ICMPv6 type, RFC 4861
	optRDNSS      = 25  // RFC 8106 section 5.1
	optDNSSL      = 31  // RFC 8106 section 5.2
	maxServers    = 8
)

// parseUserOption reads RTM_NEWNDUSEROPT: the kernel hands on one option of a
// router advertisement as it came from the network. nil: not about DNS.
func parseUserOption(b []byte) (Event, error) {
	if len(b) < userOptHeader {
		return nil, fmt.Errorf("parse router option: %d bytes are too few", len(b))
	}
	length := int(binary.NativeEndian.Uint16(b[2:]))
	index := int(int32(binary.NativeEndian.Uint32(b[4:])))
	if b[8] != routerAdvert || length < 8 || userOptHeader+length > len(b) {
		return nil, nil
	}
	r, ok, err := parseRADNS(b[userOptHeader : userOptHeader+length])
	if !ok || err != nil {
		return nil, err
	}
	r.Index = index
	return r, nil
}

// parseRADNS reads one RDNSS or DNSSL option.
func parseRADNS(b []byte) (r RADNS, ok bool, err error) {
	if len(b) < 8 {
		return r, false, fmt.Errorf("parse router option: %d bytes are too few", len(b))
	}
	if int(b[1])*8 != len(b) {
		return r, false, fmt.Errorf("parse router option: length %d units in %d bytes", b[1], len(b))
	}
	seconds := binary.BigEndian.Uint32(b[4:])
	r.Lifetime = time.Duration(seconds) * time.Second
	switch b[0] {
	case optRDNSS:
		for v := b[8:]; len(v) >= 16 && len(r.Servers) < maxServers; v = v[16:] {
			a := netip.AddrFrom16([16]byte(v[:16]))
			if !a.Is4In6() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !slices.Contains(r.Servers, a) {
				r.Servers = append(r.Servers, a)
			}
		}
		return r, len(r.Servers) > 0, nil
	case optDNSSL:
		r.Search = parseNames(b[8:])
		return r, len(r.Search) > 0, nil
	}
	return r, false, nil
}

// parseNames reads names of RFC 1035 section 3.1 without compression, which RFC
// 8106 rules out; zero bytes pad. It ends at the first that is broken.
func parseNames(b []byte) []string {
	var list []string
	var labels []string
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 {
			if len(labels) > 0 {
				list = names.AppendSearch(list, strings.Join(labels, "."))
			}
			labels, b = nil, b[1:]
			continue
		}
		if n > 63 || 1+n > len(b) {
			return list
		}
		labels, b = append(labels, string(b[1:1+n])), b[1+n:]
	}
	return list
}
