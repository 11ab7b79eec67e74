package netup

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
	netnames "github.com/bee-os/bee/pkg/node/netup/names"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
)

// Files beside netstate.Path. /etc/resolv.conf points to resolvPath.
const (
	resolvPath   = "run/bee/resolv.conf"
	hostnamePath = "etc/hostname" // hostname(5)
)

// published is what the world was told last.
type published struct {
	any            bool
	carrier, route bool
	status, resolv string
	hostname       string // in /etc/hostname
	failed         string
}

// publish tells the rest of the node how things are.
func (s *service) publish() {
	now := time.Now()
	state := s.state(now)
	w := &s.written
	if err := s.write(state); err != nil && w.failed != err.Error() {
		w.failed = err.Error()
		s.logf("%v", err)
	} else if err == nil {
		w.failed = ""
	}
	carrier, route := false, false
	var words []string
	for _, i := range state.Interfaces {
		carrier = carrier || i.Carrier
		route = route || i.Carrier && len(i.Gateways) > 0
		words = append(words, describe(i))
	}
	if !w.any || w.carrier != carrier {
		s.Supervisor.Condition("carrier", carrier)
	}
	if !w.any || w.route != route {
		s.Supervisor.Condition("route", route)
	}
	status := strings.Join(words, "; ")
	if status == "" {
		status = "no network interface"
	}
	if w.status != status {
		s.Supervisor.Status(status)
	}
	w.any, w.carrier, w.route, w.status = true, carrier, route, status
}

// write brings the files up to date. One that cannot be written holds none of
// the others up.
func (s *service) write(state netstate.State) error {
	b, err := json.MarshalIndent(state, "", " ")
	if err != nil {
		return fmt.Errorf("encode network state: %w", err)
	}
	var errs []error
	put := func(path string, text []byte) (done bool) {
		err := writeFile(filepath.Join(s.Root, path), text, 0o644)
		if err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", path, err))
		}
		return err == nil
	}
	if s.hostname != s.written.hostname && put(hostnamePath, []byte(s.hostname+"\n")) {
		s.written.hostname = s.hostname
	}
	if conf := resolvConf(state); conf != s.written.resolv && put(resolvPath, []byte(conf)) {
		s.written.resolv = conf
	}
	put(netstate.Path, append(b, '\n'))
	return errors.Join(errs...)
}

// describe is one interface in a few words, for svc status.
func describe(i netstate.Interface) string {
	words := []string{i.Name}
	for _, a := range i.Addresses {
		if a.Addr().Is4() {
			words = append(words, a.String())
		}
	}
	switch {
	case i.Lease != nil:
		words = append(words, "by DHCP from "+i.Lease.Server.String())
	case i.Method == methodStatic:
		words = append(words, "by hand")
	}
	if i.State != "bound" && i.State != methodStatic {
		words = append(words, i.State)
	}
	if i.Error != "" {
		words = append(words, "("+i.Error+")")
	}
	return strings.Join(words, " ")
}

func (s *service) state(now time.Time) netstate.State {
	st := netstate.State{Hostname: s.hostname, HostnameSource: s.hostnameSource, Interfaces: []netstate.Interface{}, DNS: []netip.Addr{}, Time: now.Round(0)}
	byMetric := s.ordered(func(a, b *nic) int { return cmp.Compare(a.metric, b.metric) })
	st.NTP = s.Params.NTP
	var ntp []string
	for _, n := range byMetric {
		for _, a := range n.dns(now) {
			if !slices.Contains(st.DNS, a) {
				st.DNS = append(st.DNS, a)
			}
		}
		if n.lease4 != nil {
			st.Search = netnames.AppendSearch(st.Search, n.lease4.Search...)
			ntp = appendNew(ntp, n.lease4.NTP)
		}
		if n.lease6 != nil {
			st.Search = netnames.AppendSearch(st.Search, n.lease6.Search...)
			ntp = appendNew(ntp, n.lease6.NTP)
		}
		st.Search = netnames.AppendSearch(st.Search, slices.Sorted(maps.Keys(n.search))...)
	}
	if len(st.NTP) == 0 {
		st.NTP = ntp
	}
	for _, n := range s.ordered(func(a, b *nic) int { return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name)) }) {
		st.Interfaces = append(st.Interfaces, n.state(now))
	}
	return st
}

// dns lists the interface's name servers: by hand, DHCP, DHCPv6, routers.
func (n *nic) dns(now time.Time) []netip.Addr {
	var list []netip.Addr
	for _, ip := range n.Static {
		list = append(list, ip.DNS...)
	}
	if n.lease4 != nil {
		list = append(list, n.lease4.DNS...)
	}
	if n.lease6 != nil {
		list = append(list, n.lease6.DNS...)
	}
	return append(list, slices.SortedFunc(maps.Keys(n.raDNS), netip.Addr.Compare)...)
}

func appendNew(list []string, addrs []netip.Addr) []string {
	for _, a := range addrs {
		if s := a.String(); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func (n *nic) state(now time.Time) netstate.Interface {
	i := netstate.Interface{
		Name: n.Name, MAC: n.mac(), Carrier: n.Carrier, Method: n.Method, State: n.stateWord(),
		Addresses: []netip.Prefix{}, Gateways: n.gateways, MTU: n.MTU, Metric: n.metric,
	}
	if n.err != nil {
		i.Error = n.err.Error()
	}
	i.Listening, i.Neighbours = n.listening, n.neighbourhood(now)
	for p, a := range n.addrs {
		if a.Usable {
			i.Addresses = append(i.Addresses, p)
		}
	}
	slices.SortFunc(i.Addresses, comparePrefix)
	if l := n.lease4; l != nil {
		i.Lease = &netstate.Lease{Server: l.Server, Acquired: wall(l.Acquired, now), Renew: wall(l.Renew(), now), Rebind: wall(l.Rebind(), now), Expire: wall(l.Expire(), now)}
	}
	if l := n.lease6; l != nil && len(l.Addresses) > 0 {
		i.DHCPv6 = &netstate.Lease6{Acquired: wall(l.Acquired, now), Expire: wall(l.Expire(), now)}
		for _, a := range l.Addresses {
			i.DHCPv6.Addresses = append(i.DHCPv6.Addresses, a.Addr)
		}
	}
	return i
}

// wall is t on the clock as it stands now: leases are timed by the clock that
// nobody sets.
func wall(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Round(0).Add(t.Sub(now)).Truncate(time.Second)
}

func (n *nic) stateWord() string {
	switch {
	case n.down:
		return "failed"
	case n.Method == methodOff:
		return "off"
	case !n.Carrier:
		return "no carrier"
	case n.Method == methodStatic:
		return methodStatic
	}
	switch n.state4 {
	case dhcp4.Bound:
		return "bound"
	case dhcp4.Renewing, dhcp4.Rebooting:
		return "renewing"
	case dhcp4.Rebinding:
		return "rebinding"
	}
	if n.lost4 {
		return "expired"
	}
	return "discovering"
}

// comparePrefix puts IPv4 first and link-local addresses last.
func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(
		cmp.Compare(number(a.Addr().Is6()), number(b.Addr().Is6())),
		cmp.Compare(number(a.Addr().IsLinkLocalUnicast()), number(b.Addr().IsLinkLocalUnicast())),
		a.Addr().Compare(b.Addr()),
		cmp.Compare(a.Bits(), b.Bits()))
}

func equalAddrs(a, b []netip.Addr) bool { return slices.Equal(a, b) }

// resolvConf renders resolv.conf(5). Names in it were checked when they came.
func resolvConf(st netstate.State) string {
	var b strings.Builder
	b.WriteString("# Written by netup; it is rewritten at every change of the network.\n")
	for _, a := range st.DNS {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	if len(st.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(st.Search, " "))
	}
	return b.String()
}
