// Package netstate is what the network service tells the rest of the node: it
// writes the state as one JSON file, atomically, at every change; the console,
// the audit, motd, clock and the smoke test read it. It knows no netlink.
package netstate

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"time"
)

// Path is where the file lies, relative to the root.
const Path = "run/bee/net.json"

// State is the whole network as the service sees it.
type State struct {
	Hostname       string       `json:"hostname"`
	HostnameSource string       `json:"hostname_source"` // "parameter", "nocloud", "dhcp", "mac", or "default" while there is no NIC
	Interfaces     []Interface  `json:"interfaces"`      // physical first, by name
	DNS            []netip.Addr `json:"dns"`             // in the order of resolv.conf
	Search         []string     `json:"search,omitempty"`
	NTP            []string     `json:"ntp,omitempty"` // as offered or as told by bee.ntp
	Time           time.Time    `json:"time"`          // of this writing
}

// Interface is one network interface.
type Interface struct {
	Name      string         `json:"name"`
	MAC       string         `json:"mac"`
	Carrier   bool           `json:"carrier"`
	Method    string         `json:"method"` // "dhcp", "static", "off"
	State     string         `json:"state"`  // "no carrier", "discovering", "bound", "renewing", "rebinding", "expired", "static", "off", "failed"
	Error     string         `json:"error,omitempty"`
	Addresses []netip.Prefix `json:"addresses"` // IPv4 and IPv6, link-local too
	Gateways  []netip.Addr   `json:"gateways,omitempty"`
	MTU       int            `json:"mtu"`
	Metric    int            `json:"metric,omitempty"` // of its default route; lower wins
	Lease     *Lease         `json:"lease,omitempty"`
	DHCPv6    *Lease6        `json:"dhcpv6,omitempty"`

	Listening  time.Time   `json:"listening,omitzero"`   // since when for neighbours; zero: not at all
	Neighbours []Neighbour `json:"neighbours,omitempty"` // the other ends of the cable (LLDP)
}

// Neighbour is what the other end of a cable tells of itself (IEEE 802.1AB).
type Neighbour struct {
	Chassis           string       `json:"chassis"`
	Port              string       `json:"port"`
	PortDescription   string       `json:"port_description,omitempty"`
	SystemName        string       `json:"system_name,omitempty"`
	SystemDescription string       `json:"system_description,omitempty"`
	VLAN              uint16       `json:"vlan,omitempty"`
	Addresses         []netip.Addr `json:"addresses,omitempty"` // of management
	Until             time.Time    `json:"until"`               // it is forgotten then
}

// Lease is a DHCPv4 lease (RFC 2131). Times are zero where it never ends.
type Lease struct {
	Server   netip.Addr `json:"server"`
	Acquired time.Time  `json:"acquired"`
	Renew    time.Time  `json:"renew"`  // T1
	Rebind   time.Time  `json:"rebind"` // T2
	Expire   time.Time  `json:"expire"`
}

// Lease6 is what a DHCPv6 server gave (RFC 8415).
type Lease6 struct {
	Addresses []netip.Addr `json:"addresses"`
	Acquired  time.Time    `json:"acquired"`
	Expire    time.Time    `json:"expire"` // zero: never
}

// Read reads the state below root. Before the network service has written it
// the error wraps fs.ErrNotExist.
func Read(root fs.FS) (State, error) {
	var s State
	b, err := fs.ReadFile(root, Path)
	if err != nil {
		return s, fmt.Errorf("read network state: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("parse network state %s: %w", Path, err)
	}
	return s, nil
}
