// Package rtnl is what the network service says to the kernel and hears from
// it: links, addresses, routes and router advertisements over rtnetlink(7).
package rtnl

import (
	"net"
	"net/netip"
	"time"
)

// Link is one network interface as the kernel knows it.
type Link struct {
	Index    int
	Name     string
	MAC      net.HardwareAddr
	MTU      int
	Ethernet bool   // ARPHRD_ETHER
	Loopback bool   //
	Up       bool   // administratively
	Carrier  bool   // up and the lower layer too (IFF_LOWER_UP)
	Master   int    // index of the bridge or bond it belongs to; 0: none
	Parent   int    // index of the link below it; 0: none
	Kind     string // of a virtual link, "vlan"; empty: a device
	RA       RAFlags
	HasRA    bool // RA holds what the kernel knows; notices of other kinds leave it out
}

// RAFlags are the flags of the last router advertisement (RFC 4861 section 4.2).
type RAFlags struct {
	Managed bool // M: addresses by DHCPv6
	Other   bool // O: other information by DHCPv6
}

// Addr is one address of an interface.
type Addr struct {
	Index     int
	Prefix    netip.Prefix
	Permanent bool          // no lifetime
	Usable    bool          // not tentative, no duplicate found
	Valid     time.Duration // to set: 0: for ever
	Preferred time.Duration // to set, IPv6: 0: as Valid
	Metric    int           // to set: of the route to the prefix
}

// Route is one route of the main table.
type Route struct {
	Index       int
	Destination netip.Prefix
	Gateway     netip.Addr // invalid: on the link
	Source      netip.Addr // preferred source; invalid: the kernel's choice
	Metric      int
	MTU         int  // bytes; 0: the link's
	OnLink      bool // the gateway is reached although no prefix covers it
	Static      bool // by hand, else by DHCP: what rtm_protocol says
}

// Event is one of the types below.
type Event any

// LinkChanged tells of a new interface or anything new about one.
type LinkChanged struct{ Link Link }

// LinkGone tells that an interface went away.
type LinkGone struct{ Index int }

// RAChanged tells of other flags in the router advertisements on an interface.
type RAChanged struct {
	Index int
	Flags RAFlags
}

// AddrChanged tells of a new address, or a new state of one.
type AddrChanged struct{ Addr Addr }

// AddrGone tells that an address went.
type AddrGone struct{ Addr Addr }

// RoutesChanged tells that some route came or went.
type RoutesChanged struct{}

// RADNS is what a router told about name service (RFC 8106).
type RADNS struct {
	Index    int
	Servers  []netip.Addr  // RDNSS, link-local ones without zone
	Search   []string      // DNSSL
	Lifetime time.Duration // 0: forget them
}

// Overrun tells that events were lost: ask for the whole state again.
type Overrun struct{}
