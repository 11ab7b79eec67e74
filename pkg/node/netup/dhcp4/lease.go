package dhcp4

import (
	"net/netip"
	"time"
)

// Lease is what a server granted, checked: every address in it is one a host
// can use, every name is a host name.
type Lease struct {
	Address  netip.Prefix  `json:"address"`
	Server   netip.Addr    `json:"server"`             // server identifier, option 54
	Routes   []Route       `json:"routes,omitempty"`   // of option 121, else a default route for each router of option 3
	MTU      int           `json:"mtu,omitempty"`      // bytes, option 26; 0: not told
	DNS      []netip.Addr  `json:"dns,omitempty"`      // option 6
	Search   []string      `json:"search,omitempty"`   // options 119 and 15
	NTP      []netip.Addr  `json:"ntp,omitempty"`      // option 42
	Hostname string        `json:"hostname,omitempty"` // option 12, one label
	Duration time.Duration `json:"duration"`           // from Acquired; 0: for ever
	T1       time.Duration `json:"t1"`                 // renew after
	T2       time.Duration `json:"t2"`                 // rebind after
	Acquired time.Time     `json:"acquired"`           // when the request was sent that the server granted (RFC 2131 section 4.4.1)
}

// Route is one route of a lease.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway,omitzero"` // invalid: on the link
}

// Infinite says that the lease never ends.
func (l *Lease) Infinite() bool { return l.Duration == 0 }

// Renew is when to ask the server for more time; zero: never.
func (l *Lease) Renew() time.Time { return l.after(l.T1) }

// Rebind is when to ask any server; zero: never.
func (l *Lease) Rebind() time.Time { return l.after(l.T2) }

// Expire is when the address may no longer be used; zero: never.
func (l *Lease) Expire() time.Time { return l.after(l.Duration) }

func (l *Lease) after(d time.Duration) time.Time {
	if l.Infinite() {
		return time.Time{}
	}
	return l.Acquired.Add(d)
}
