package dhcp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/bee-os/bee/pkg/node/netup/names"
)

// What a server may tell and is believed.
const (
	minMTU       = 576        // RFC 791: every host takes this much
	defaultLease = time.Hour  // for servers that give no time (RFC 1534: BOOTP)
	infinite     = 0xffffffff // RFC 2131 section 3.3
	maxList      = 16         // servers or search domains of one kind
	maxRoutes    = 256        // of option 121
	sname, file  = 44, 108    // offsets in the message, RFC 2131 figure 1
	optionsAt    = 236        // where the magic cookie begins
	optOverload  = 52         // options continue in file, sname or both
	overFile     = 1          // RFC 2132 section 9.3
	overSname    = 2          //
	minPrefixLen = 1          // a mask of 0.0.0.0 is a broken server
)

// reply is a message of a server after the checks that need no knowledge of
// the exchange it belongs to.
type reply struct {
	kind    dhcpv4.MessageType // Offer, Ack or Nak
	server  netip.Addr         // server identifier; invalid: absent
	message string             // option 56, printable
	lease   Lease              // Offer and Ack; Acquired not set
}

// parseReply reads a DHCP message from the network. xid and mac are those of
// the exchange; a message for anybody else is an error like a broken one.
func parseReply(b []byte, xid dhcpv4.TransactionID, mac net.HardwareAddr) (reply, error) {
	var r reply
	if len(b) <= optionsAt {
		return r, fmt.Errorf("parse DHCP message: %d bytes are too few", len(b))
	}
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		return r, fmt.Errorf("parse DHCP message: %w", err)
	}
	if err := appendOverloaded(m.Options, b); err != nil {
		return r, fmt.Errorf("parse DHCP message: %w", err)
	}
	switch {
	case m.OpCode != dhcpv4.OpcodeBootReply:
		return r, errors.New("parse DHCP message: not a reply")
	case m.TransactionID != xid:
		return r, errors.New("parse DHCP message: another transaction")
	case !bytes.Equal(m.ClientHWAddr, mac):
		return r, fmt.Errorf("parse DHCP message: it is for %s", m.ClientHWAddr)
	}
	r.kind = m.MessageType()
	r.message = printable(m.Message())
	r.server = addr4(m.ServerIdentifier())
	switch r.kind {
	case dhcpv4.MessageTypeNak:
		return r, nil
	case dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck:
	default:
		return r, fmt.Errorf("parse DHCP message: type %s is not for a client", r.kind)
	}
	if !r.server.IsValid() || !usable(r.server) {
		return r, errors.New("parse DHCP message: no usable server identifier (option 54)")
	}
	r.lease, err = parseLease(m)
	r.lease.Server = r.server
	return r, err
}

// appendOverloaded adds the options that continue in the fields file and sname
// (RFC 2132 section 9.3), in that order (RFC 3396 section 5).
func appendOverloaded(options dhcpv4.Options, b []byte) error {
	v := options[optOverload]
	if len(v) != 1 {
		return nil
	}
	if v[0]&overFile != 0 {
		if err := options.FromBytes(b[file:optionsAt]); err != nil {
			return fmt.Errorf("options in the file field: %w", err)
		}
	}
	if v[0]&overSname != 0 {
		if err := options.FromBytes(b[sname:file]); err != nil {
			return fmt.Errorf("options in the sname field: %w", err)
		}
	}
	return nil
}

func parseLease(m *dhcpv4.DHCPv4) (Lease, error) {
	var l Lease
	address := addr4(m.YourIPAddr)
	if !address.IsValid() || !usable(address) {
		return l, fmt.Errorf("parse DHCP message: offered address %s is none a host can have", m.YourIPAddr)
	}
	bits, err := prefixLen(m.Options.Get(dhcpv4.OptionSubnetMask), address)
	if err != nil {
		return l, err
	}
	l.Address = netip.PrefixFrom(address, bits)
	if bits < 31 && (address == l.Address.Masked().Addr() || address == lastAddr(l.Address)) {
		return l, fmt.Errorf("parse DHCP message: offered address %s is the network or broadcast address", l.Address)
	}
	l.Routes = parseRoutes(m, address)
	if v := m.Options.Get(dhcpv4.OptionInterfaceMTU); len(v) == 2 {
		if mtu := int(binary.BigEndian.Uint16(v)); mtu >= minMTU {
			l.MTU = mtu
		}
	}
	l.DNS = addrs4(m.Options.Get(dhcpv4.OptionDomainNameServer))
	l.NTP = addrs4(m.Options.Get(dhcpv4.OptionNTPServers))
	if search := m.DomainSearch(); search != nil {
		l.Search = names.AppendSearch(l.Search, search.Labels...)
	}
	l.Search = names.AppendSearch(l.Search, strings.Fields(text(m.Options.Get(dhcpv4.OptionDomainName)))...)
	l.Hostname = names.HostLabel(text(m.Options.Get(dhcpv4.OptionHostName)))
	l.Duration, l.T1, l.T2 = parseTimes(m.Options)
	return l, nil
}

// parseTimes reads options 51, 58 and 59. Times that contradict each other
// become the defaults of RFC 2131 section 4.4.5.
func parseTimes(o dhcpv4.Options) (lease, t1, t2 time.Duration) {
	seconds := func(code dhcpv4.OptionCode) (uint32, bool) {
		v := o.Get(code)
		if len(v) != 4 {
			return 0, false
		}
		return binary.BigEndian.Uint32(v), true
	}
	s, ok := seconds(dhcpv4.OptionIPAddressLeaseTime)
	switch {
	case s == infinite:
		return 0, 0, 0
	case !ok || s == 0:
		lease = defaultLease
	default:
		lease = time.Duration(s) * time.Second
	}
	s1, _ := seconds(dhcpv4.OptionRenewTimeValue)
	s2, _ := seconds(dhcpv4.OptionRebindingTimeValue)
	t1, t2 = time.Duration(s1)*time.Second, time.Duration(s2)*time.Second
	if t2 <= 0 || t2 >= lease {
		t2 = lease * 7 / 8
	}
	if t1 <= 0 || t1 >= t2 {
		t1 = min(lease/2, t2*4/7)
	}
	return lease, t1, t2
}

// parseRoutes reads option 121, and option 3 only where there is none (RFC
// 3442). A single bad route is left out; an option cut short counts as absent.
func parseRoutes(m *dhcpv4.DHCPv4, self netip.Addr) []Route {
	var routes []Route
	if v := m.Options.Get(dhcpv4.OptionClasslessStaticRoute); len(v) > 0 {
		var list dhcpv4.Routes
		if err := list.FromBytes(v); err == nil {
			for _, r := range list {
				if route, ok := cleanRoute(r, self); ok && len(routes) < maxRoutes && !slices.Contains(routes, route) {
					routes = append(routes, route)
				}
			}
			return routes
		}
	}
	for _, gateway := range addrs4(m.Options.Get(dhcpv4.OptionRouter)) {
		if gateway != self {
			routes = append(routes, Route{netip.PrefixFrom(netip.IPv4Unspecified(), 0), gateway})
		}
	}
	return routes
}

func cleanRoute(r *dhcpv4.Route, self netip.Addr) (Route, bool) {
	dest, gateway := addr4(r.Dest.IP), addr4(r.Router)
	bits, _ := r.Dest.Mask.Size()
	prefix := netip.PrefixFrom(dest, bits).Masked()
	if bits > 0 && !usable(prefix.Addr()) || gateway == self {
		return Route{}, false
	}
	if gateway == netip.IPv4Unspecified() { // RFC 3442: on the link
		return Route{Destination: prefix}, bits > 0
	}
	return Route{prefix, gateway}, usable(gateway)
}

// prefixLen reads option 1; without it the network has the size of its class,
// as servers that leave it out still assume.
func prefixLen(mask []byte, address netip.Addr) (int, error) {
	if len(mask) == 0 {
		switch first := address.As4()[0]; {
		case first < 128:
			return 8, nil
		case first < 192:
			return 16, nil
		}
		return 24, nil
	}
	bits, size := net.IPMask(mask).Size()
	if size != 32 || bits < minPrefixLen {
		return 0, fmt.Errorf("parse DHCP message: % x is no subnet mask", mask)
	}
	return bits, nil
}

// usable says that a host may have the address: unicast, and not one of the
// blocks that mean "this host" or are reserved (RFC 6890).
func usable(a netip.Addr) bool {
	b := a.As4()
	return b[0] != 0 && b[0] != 127 && b[0] < 224
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	v := binary.BigEndian.Uint32(b[:]) | (1<<(32-p.Bits()) - 1)
	binary.BigEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func addr4(ip net.IP) netip.Addr {
	if v4 := ip.To4(); v4 != nil {
		return netip.AddrFrom4([4]byte(v4))
	}
	return netip.Addr{}
}

func addrs4(v []byte) []netip.Addr {
	var list []netip.Addr
	for ; len(v) >= 4 && len(list) < maxList; v = v[4:] {
		a := netip.AddrFrom4([4]byte(v[:4]))
		if usable(a) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

func text(v []byte) string {
	s, _, _ := strings.Cut(string(v), "\x00") // some servers count the terminator
	return strings.TrimSpace(s)
}

func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 120)]
}
