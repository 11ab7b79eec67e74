package dhcp4

import (
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// VendorClass is what the client calls itself (option 60), for servers and
// logs that tell machines apart by it.
const VendorClass = "bee"

// maxMessage is told to servers (option 57): what fits an Ethernet frame
// behind the IPv4 and UDP headers.
const maxMessage = 1472

// minMessage is the least size of a message on the wire: BOOTP relays drop
// shorter ones (RFC 1542 section 2.1).
const minMessage = 300

// asked is the parameter request list. Option 121 comes
// before 3 (RFC 3442).
var asked = []byte{
	1, 121, 3, // mask, routes, routers
	6, 15, 119, 12, // DNS, domain, search list, host name
	26, 28, 42, // MTU, broadcast address, NTP
	51, 54, 58, 59, // lease time, server, T1, T2
}

// message is what the client says, before it is bytes (RFC 2131 table 5).
type message struct {
	kind      dhcpv4.MessageType
	xid       dhcpv4.TransactionID
	secs      time.Duration
	ciaddr    netip.Addr // the address in use: RENEWING, REBINDING
	requested netip.Addr // option 50
	server    netip.Addr // option 54
	broadcast bool       // ask for a broadcast reply
	comment   string     // option 56, DECLINE only
}

func (c *Config) encode(m message) []byte {
	p := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        iana.HWTypeEthernet,
		TransactionID: m.xid,
		NumSeconds:    uint16(min(m.secs/time.Second, 0xffff)),
		ClientHWAddr:  c.MAC,
		ClientIPAddr:  ip4(m.ciaddr), YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero,
		Options: make(dhcpv4.Options),
	}
	if m.broadcast {
		p.SetBroadcast()
	}
	p.UpdateOption(dhcpv4.OptMessageType(m.kind))
	// Type and hardware address, as iPXE and most boot firmware send it: the
	// machine keeps the lease that it was booted with, and a reservation by
	// address holds for both. RFC 4361's longer form would make it a stranger.
	p.UpdateOption(dhcpv4.OptClientIdentifier(append([]byte{byte(iana.HWTypeEthernet)}, c.MAC...)))
	if m.requested.IsValid() {
		p.UpdateOption(dhcpv4.OptRequestedIPAddress(ip4(m.requested)))
	}
	if m.server.IsValid() {
		p.UpdateOption(dhcpv4.OptServerIdentifier(ip4(m.server)))
	}
	if m.kind == dhcpv4.MessageTypeDecline {
		p.UpdateOption(dhcpv4.OptMessage(m.comment))
	} else {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionParameterRequestList, asked))
		p.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
		p.UpdateOption(dhcpv4.OptClassIdentifier(VendorClass))
		if c.Hostname != "" {
			p.UpdateOption(dhcpv4.OptHostName(c.Hostname))
		}
	}
	b := p.ToBytes()
	if len(b) < minMessage {
		b = append(b, make([]byte, minMessage-len(b))...)
	}
	return b
}

func ip4(a netip.Addr) net.IP {
	if !a.IsValid() {
		return net.IPv4zero
	}
	return a.AsSlice()
}
