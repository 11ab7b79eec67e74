package netup

import (
	"cmp"
	"strings"
)

// Where a host name comes from, as netstate shows it.
const (
	fromParameter = "parameter"
	fromSeed      = "nocloud"
	fromDHCP      = "dhcp"
	fromMAC       = "mac"
	fromNothing   = "default" // no interface yet
)

// defaultHostname is the name of a machine without any NIC.
const defaultHostname = "bee"

// first is the interface that names the machine; nil: there is none.
func (s *service) first() *nic {
	for _, n := range s.ordered(func(_, _ *nic) int { return 0 }) {
		if len(n.MAC) > 0 {
			return n
		}
	}
	return nil
}

// ownHostname is the name without DHCP.
func (s *service) ownHostname() (name, source string) {
	if s.Params.Hostname != "" {
		return s.Params.Hostname, fromParameter
	}
	if s.seedName != "" {
		return s.seedName, fromSeed
	}
	if n := s.first(); n != nil {
		return "bee-" + strings.ReplaceAll(n.mac(), ":", ""), fromMAC
	}
	return defaultHostname, fromNothing
}

// toldHostname is what servers are told (option 12, one label).
func (s *service) toldHostname() string {
	name, source := s.ownHostname()
	if source == fromNothing {
		return ""
	}
	label, _, _ := strings.Cut(name, ".")
	return label
}

// nameMachine sets the host name: by parameter, else as a NoCloud seed says, else
// what DHCP offers on the first interface that has an offer, else by hardware
// address. A name from DHCP
// stays when its lease ends: a machine does not change its name for an outage.
func (s *service) nameMachine() {
	name, source := s.ownHostname()
	if source != fromParameter && source != fromSeed {
		offered := s.offeredHostname()
		switch {
		case offered != "" && offered != name: // servers repeat what they were told
			name, source = offered, fromDHCP
		case offered == "" && s.hostnameSource == fromDHCP:
			return
		}
	}
	if name == s.hostname && source == s.hostnameSource {
		return
	}
	s.dirty = true
	if name != s.hostname {
		if err := s.SetHostname(name); err != nil {
			s.logf("set host name %s: %v", name, err)
			return
		}
		s.logf("host name is %s (%s)", name, source)
	}
	s.hostname, s.hostnameSource = name, source
}

func (s *service) offeredHostname() string {
	for _, n := range s.ordered(func(a, b *nic) int { return cmp.Compare(a.metric, b.metric) }) {
		if n.lease4 != nil && n.lease4.Hostname != "" {
			return n.lease4.Hostname
		}
	}
	return ""
}
