package dhcp6

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/bee-os/bee/pkg/node/netup/names"
)

const (
	maxList     = 16
	infinite    = 0xffffffff * time.Second // RFC 8415 section 7.7
	minRefresh  = 10 * time.Minute         // IRT_MINIMUM, RFC 8415 section 7.6
	baseRefresh = 24 * time.Hour           // IRT_DEFAULT
)

// errNoBinding: the server does not know the lease (RFC 8415 section 18.2.10.1).
var errNoBinding = errors.New("server does not know the lease")

// errNoAddress: the server has nothing to give.
var errNoAddress = errors.New("server has no address")

// errNotOnLink: the addresses do not belong to this link.
var errNotOnLink = errors.New("addresses are not for this link")

// reply is a message of a server that belongs to our exchange.
type reply struct {
	kind   dhcpv6.MessageType // Advertise or Reply
	rapid  bool
	lease  Lease // Acquired not set
	status error // errNoAddress, errNoBinding, errNotOnLink or another refusal
}

// parseReply reads a message from the network. iaid is looked for only where
// addresses are asked for.
func parseReply(b []byte, xid dhcpv6.TransactionID, duid []byte, iaid [4]byte) (reply, error) {
	var r reply
	m, err := dhcpv6.MessageFromBytes(b)
	if err != nil {
		return r, fmt.Errorf("parse DHCPv6 message: %w", err)
	}
	client, server := m.Options.ClientID(), m.Options.ServerID()
	switch {
	case m.MessageType != dhcpv6.MessageTypeAdvertise && m.MessageType != dhcpv6.MessageTypeReply:
		return r, fmt.Errorf("parse DHCPv6 message: type %s is not for a client", m.MessageType)
	case m.TransactionID != xid:
		return r, errors.New("parse DHCPv6 message: another transaction")
	case client == nil || !bytes.Equal(client.ToBytes(), duid):
		return r, errors.New("parse DHCPv6 message: it is for another client")
	case server == nil:
		return r, errors.New("parse DHCPv6 message: no server identifier (option 2)")
	}
	r.kind, r.rapid = m.MessageType, m.GetOneOption(dhcpv6.OptionRapidCommit) != nil
	r.lease.Server = server.ToBytes()
	r.lease.DNS = addrs6(m.Options.DNS())
	r.lease.NTP = addrs6(append(m.Options.NTPServers(), m.Options.SNTP()...))
	if labels := m.Options.DomainSearchList(); labels != nil {
		r.lease.Search = names.AppendSearch(nil, labels.Labels...)
	}
	r.lease.Refresh = max(m.Options.InformationRefreshTime(baseRefresh), minRefresh)
	r.status = statusError(m.Options.Status())
	if r.status == nil {
		r.status = r.lease.readIA(m.Options.IANA(), iaid)
	}
	return r, nil
}

func statusError(s *dhcpv6.OptStatusCode) error {
	if s == nil {
		return nil
	}
	switch s.StatusCode {
	case iana.StatusSuccess:
		return nil
	case iana.StatusNoAddrsAvail:
		return errNoAddress
	case iana.StatusNoBinding:
		return errNoBinding
	case iana.StatusNotOnLink:
		return errNotOnLink
	}
	return fmt.Errorf("server answers %s: %s", s.StatusCode, printable(s.StatusMessage))
}

// readIA takes the addresses of our IA_NA. A lifetime of zero takes an address
// back; a preferred lifetime above the valid one voids it (section 21.6).
func (l *Lease) readIA(list []*dhcpv6.OptIANA, iaid [4]byte) error {
	for _, ia := range list {
		if ia.IaId != iaid {
			continue
		}
		if err := statusError(ia.Options.Status()); err != nil {
			return err
		}
		preferred, longest, endless := time.Duration(0), time.Duration(0), false
		for _, a := range ia.Options.Addresses() {
			addr, ok := netip.AddrFromSlice(a.IPv6Addr)
			if !ok || !usable(addr) || a.ValidLifetime <= 0 || a.PreferredLifetime > a.ValidLifetime || len(l.Addresses) == maxList {
				continue
			}
			if status := a.Options.Status(); status != nil && status.StatusCode != iana.StatusSuccess {
				continue
			}
			l.Addresses = append(l.Addresses, Address{addr, finite(a.PreferredLifetime), finite(a.ValidLifetime)})
			if a.PreferredLifetime > 0 && (preferred == 0 || a.PreferredLifetime < preferred) {
				preferred = a.PreferredLifetime
			}
			longest = max(longest, a.ValidLifetime)
			endless = endless || a.ValidLifetime >= infinite
		}
		if len(l.Addresses) == 0 {
			return errNoAddress
		}
		if endless {
			l.T1, l.T2, l.Duration = 0, 0, 0
			return nil
		}
		if preferred == 0 {
			preferred = longest
		}
		l.Duration = longest
		l.T1, l.T2 = times(ia.T1, ia.T2, preferred, longest)
		return nil
	}
	return errNoAddress
}

// times fills in what the server leaves to the client, or contradicts itself
// in (sections 14.2 and 21.4): half and four fifths of the shortest preferred
// lifetime.
func times(t1, t2, preferred, valid time.Duration) (time.Duration, time.Duration) {
	if t2 <= 0 || t2 >= valid {
		t2 = min(preferred, valid) * 4 / 5
	}
	if t1 <= 0 || t1 > t2 {
		t1 = min(preferred/2, t2*5/8)
	}
	return t1, t2
}

func finite(d time.Duration) time.Duration {
	if d >= infinite {
		return 0
	}
	return d
}

func usable(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}

func addrs6(list []net.IP) []netip.Addr {
	var out []netip.Addr
	for _, ip := range list {
		a, ok := netip.AddrFromSlice(ip)
		if ok && a.Is6() && !a.Is4In6() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() &&
			len(out) < maxList && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
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
