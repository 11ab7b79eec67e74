package netup

import (
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bootparam"
)

// Methods, as netstate shows them.
const (
	methodDHCP   = "dhcp"
	methodStatic = "static"
	methodOff    = "off"
)

// plan is what is to be done with one interface.
type plan struct {
	Use       bool           // bring it up
	Method    string         //
	Static    []bootparam.IP // addresses by hand
	Candidate bool           // addresses by hand that name no interface are for it, if it is the first with carrier
}

// choose applies bee.ip and bee.nic to the interface with this name and
// hardware address. An entry that names the interface goes before one that
// names none.
func choose(p bootparam.Params, name, mac string) plan {
	listed := len(p.NIC) == 0 || slices.ContainsFunc(p.NIC, func(s string) bool { return names(s, name, mac) })
	if !listed {
		// The parent of a VLAN must be up whatever it does itself.
		parent := slices.ContainsFunc(p.VLAN, func(v bootparam.VLAN) bool { return names(v.NIC, name, mac) })
		return plan{Use: parent, Method: methodOff}
	}
	own := plan{Use: true}
	fallback := plan{Use: true, Method: methodDHCP}
	for _, ip := range p.IP {
		to := &fallback
		if ip.NIC != "" {
			if !names(ip.NIC, name, mac) {
				continue
			}
			to = &own
		}
		switch {
		case ip.Method == methodStatic && to == &fallback:
			to.Candidate = true
		case ip.Method == methodStatic:
			to.Method = methodStatic
			to.Static = append(to.Static, ip)
		case to.Method != methodStatic:
			to.Method = ip.Method
		}
	}
	if own.Method == "" {
		own = fallback
	}
	if own.Method == methodOff && !own.Candidate {
		own.Use = slices.ContainsFunc(p.VLAN, func(v bootparam.VLAN) bool { return names(v.NIC, name, mac) })
	}
	return own
}

// unnamed lists the addresses by hand that name no interface.
func unnamed(p bootparam.Params) []bootparam.IP {
	var list []bootparam.IP
	for _, ip := range p.IP {
		if ip.Method == methodStatic && ip.NIC == "" {
			list = append(list, ip)
		}
	}
	return list
}

// names says that s, a name or a hardware address, means this interface.
func names(s, name, mac string) bool {
	return s == name || strings.EqualFold(strings.ReplaceAll(s, "-", ":"), mac)
}
