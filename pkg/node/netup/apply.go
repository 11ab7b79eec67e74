package netup

import (
	"net/netip"
	"slices"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
	"github.com/bee-os/bee/pkg/node/netup/dhcp6"
	"github.com/bee-os/bee/pkg/node/netup/rtnl"
)

// kernelGrace is how much longer than its lease an address lives in the kernel:
// the service takes it off in time, the kernel does where the service is gone.
const kernelGrace = 3 * time.Second

// minIPv6MTU: a link with less has no IPv6 (RFC 8200 section 5), and with it
// would go the way in that needs no server.
const minIPv6MTU = 1280

// apply makes the kernel have what the interface's addresses by hand and leases
// ask for, and no more of what this service set before.
func (s *service) apply(n *nic) {
	n.err = nil
	addrs, routes := s.desired(n, time.Now())
	s.applyMTU(n)
	for _, a := range addrs {
		if err := s.Kernel.ReplaceAddr(a); err != nil {
			s.fail(n, err)
		}
	}
	for _, old := range append(slices.Clip(n.setRoutes), nil...) {
		if !slices.Contains(routes, old) && !slices.ContainsFunc(routes, func(r rtnl.Route) bool { return sameSlot(r, old) }) {
			if err := s.Kernel.DeleteRoute(old); err != nil {
				s.fail(n, err)
			}
		}
	}
	if n.Up {
		for _, r := range routes {
			if err := s.Kernel.ReplaceRoute(r); err != nil {
				s.fail(n, err)
			}
		}
	}
	for _, old := range s.stale(n, addrs) {
		if err := s.Kernel.DeleteAddr(old); err != nil {
			s.fail(n, err)
		}
	}
	n.setAddrs, n.setRoutes = addrs, routes
	if n.Up && len(addrs) > 0 {
		s.isThere.Do(func() { close(s.addressed) })
	}
	s.dirty = true
}

// sameSlot says that setting a takes the place of b in the kernel.
func sameSlot(a, b rtnl.Route) bool {
	return a.Destination == b.Destination && a.Metric == b.Metric
}

// stale lists addresses that are there and no longer wanted: those set before,
// and, beside a new lease, those of an earlier life's.
func (s *service) stale(n *nic, wanted []rtnl.Addr) []rtnl.Addr {
	keep := func(p netip.Prefix) bool {
		return slices.ContainsFunc(wanted, func(a rtnl.Addr) bool { return a.Prefix == p })
	}
	var list []rtnl.Addr
	for _, a := range n.setAddrs {
		if !keep(a.Prefix) {
			list = append(list, a)
		}
	}
	if n.lease4 == nil {
		return list
	}
	for _, a := range n.addrs {
		if a.Prefix.Addr().Is4() && !a.Permanent && !keep(a.Prefix) && !slices.ContainsFunc(list, func(l rtnl.Addr) bool { return l.Prefix == a.Prefix }) {
			list = append(list, a)
		}
	}
	return list
}

func (s *service) desired(n *nic, now time.Time) ([]rtnl.Addr, []rtnl.Route) {
	var addrs []rtnl.Addr
	var routes []rtnl.Route
	for _, ip := range n.Static {
		addrs = append(addrs, rtnl.Addr{Index: n.Index, Prefix: ip.Addr, Metric: n.metric})
		routes = appendRoute(routes, staticRoute(n, ip))
	}
	if l := n.lease4; l != nil {
		addrs = append(addrs, rtnl.Addr{Index: n.Index, Prefix: l.Address, Metric: n.metric, Valid: remaining(l.Expire(), now)})
		for _, r := range l.Routes {
			routes = appendRoute(routes, leaseRoute(n, l, r))
		}
	}
	if l := n.lease6; l != nil {
		addrs = append(addrs, addresses6(n, l, now)...)
	}
	return addrs, routes
}

func staticRoute(n *nic, ip bootparam.IP) rtnl.Route {
	if !ip.Gateway.IsValid() {
		return rtnl.Route{}
	}
	any := netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	if ip.Gateway.Is4() {
		any = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	r := rtnl.Route{Index: n.Index, Destination: any, Gateway: ip.Gateway.WithZone(""), Metric: n.metric, Static: true}
	r.OnLink = !ip.Addr.Contains(ip.Gateway) && !ip.Gateway.IsLinkLocalUnicast()
	if ip.Gateway.Is4() && ip.Addr.Addr().Is4() {
		r.Source = ip.Addr.Addr()
	}
	return r
}

func leaseRoute(n *nic, l *dhcp4.Lease, r dhcp4.Route) rtnl.Route {
	route := rtnl.Route{Index: n.Index, Destination: r.Destination, Gateway: r.Gateway, Source: l.Address.Addr(), Metric: n.metric}
	if r.Gateway.IsValid() {
		route.OnLink = !l.Address.Contains(r.Gateway) // as with the /32 of many clouds
	} else if r.Destination == l.Address.Masked() {
		return rtnl.Route{} // the kernel makes it with the address
	}
	if l.MTU != 0 && l.MTU < minIPv6MTU {
		route.MTU = l.MTU
	}
	return route
}

// appendRoute keeps the first route to a destination: further routers of a
// lease are further choices (RFC 2132 section 3.5).
func appendRoute(list []rtnl.Route, r rtnl.Route) []rtnl.Route {
	if r.Index == 0 || slices.ContainsFunc(list, func(o rtnl.Route) bool { return o.Destination == r.Destination }) {
		return list
	}
	return append(list, r)
}

func addresses6(n *nic, l *dhcp6.Lease, now time.Time) []rtnl.Addr {
	var list []rtnl.Addr
	for _, a := range l.Addresses {
		addr := rtnl.Addr{Index: n.Index, Prefix: netip.PrefixFrom(a.Addr, 128), Metric: n.metric}
		if a.Valid != 0 {
			end := l.Acquired.Add(a.Valid)
			if !now.Before(end) {
				continue
			}
			addr.Valid = remaining(end, now)
			addr.Preferred = min(max(l.Acquired.Add(a.Preferred).Sub(now), time.Second), addr.Valid)
		}
		list = append(list, addr)
	}
	return list
}

// remaining is the time until end as the kernel is to know it; 0: for ever.
func remaining(end, now time.Time) time.Duration {
	if end.IsZero() {
		return 0
	}
	return max(end.Sub(now), 0) + kernelGrace
}

// applyMTU sets what the lease asks for, or again what the interface had.
func (s *service) applyMTU(n *nic) {
	if n.lease4 == nil || n.MTU == 0 {
		return
	}
	want := n.mtu
	if n.lease4.MTU != 0 {
		want = max(n.lease4.MTU, minIPv6MTU)
	}
	if want == n.MTU {
		return
	}
	if err := s.Kernel.SetMTU(n.Index, want); err != nil {
		s.fail(n, err)
		return
	}
	n.MTU = want
}

func (s *service) dhcp4Changed(e dhcp4Event) {
	n := s.nics[e.index]
	if n == nil || n.v4 == nil {
		return
	}
	s.dirty = true
	n.state4 = e.State
	switch e.Kind {
	case dhcp4.Configured:
		n.lease4, n.lost4 = e.Lease, false
		s.apply(n)
		word := "bound"
		if e.Resumed {
			word = "resumed"
		}
		s.logf("%s: %s %s from %s for %s", n.Name, word, e.Lease.Address, e.Lease.Server, leaseTime(e.Lease))
		s.nameMachine()
		s.keepLease(n)
	case dhcp4.Renewed:
		n.lease4, n.lost4 = e.Lease, false
		s.apply(n)
		s.logf("%s: renewed %s from %s for %s", n.Name, e.Lease.Address, e.Lease.Server, leaseTime(e.Lease))
		s.nameMachine()
		s.keepLease(n)
	case dhcp4.Lost:
		n.lease4, n.lost4 = nil, true
		s.apply(n)
		s.logf("%s: lost %s: %s", n.Name, e.Old.Address, e.Reason)
		if err := dropLease(s.Root, leaseKey(n.mac(), n.vlan)); err != nil {
			s.fail(n, err)
		}
	case dhcp4.Noted:
		s.logf("%s: %s", n.Name, e.Reason)
	}
}

func leaseTime(l *dhcp4.Lease) string {
	if l.Infinite() {
		return "ever"
	}
	return l.Duration.String()
}

func (s *service) keepLease(n *nic) {
	boottime, err := s.Boottime()
	if err == nil {
		err = saveLease(s.Root, leaseKey(n.mac(), n.vlan), *n.lease4, time.Now(), boottime)
	}
	if err != nil {
		s.fail(n, err)
	}
}
