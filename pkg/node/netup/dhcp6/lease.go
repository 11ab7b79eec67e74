package dhcp6

import (
	"net/netip"
	"time"
)

// Lease is what a DHCPv6 server told, checked.
type Lease struct {
	Server    []byte // DUID
	Addresses []Address
	DNS       []netip.Addr  // option 23
	Search    []string      // option 24
	NTP       []netip.Addr  // options 56 and 31
	T1, T2    time.Duration // from Acquired; 0: never
	Duration  time.Duration // the longest valid lifetime, from Acquired; 0: for ever
	Refresh   time.Duration // stateless only: ask again after (option 32)
	Acquired  time.Time
}

// Address is one address of an IA_NA (RFC 8415 section 21.6). DHCPv6 tells no
// prefix length: which addresses are on the link is the router's to say.
type Address struct {
	Addr             netip.Addr
	Preferred, Valid time.Duration // 0: for ever
}

func (l *Lease) after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return l.Acquired.Add(d)
}

// Expire is when the last address ends; zero: never.
func (l *Lease) Expire() time.Time { return l.after(l.Duration) }
