package netup

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/netup/dhcp6"
	"github.com/bee-os/bee/pkg/node/netup/rtnl"
)

func (s *service) addrChanged(a rtnl.Addr) {
	n := s.nics[a.Index]
	if n == nil {
		return
	}
	old, had := n.addrs[a.Prefix]
	n.addrs[a.Prefix] = a
	if had && old == a {
		return
	}
	s.dirty = true
	if a.Prefix.Addr().Is6() && a.Usable && !old.Usable {
		s.logf("%s: address %s", n.Name, a.Prefix)
	}
}

func (s *service) addrGone(a rtnl.Addr) {
	if n := s.nics[a.Index]; n != nil {
		delete(n.addrs, a.Prefix)
		s.dirty = true
	}
}

func (s *service) raChanged(index int, f rtnl.RAFlags) {
	if n := s.nics[index]; n != nil && n.RA != f {
		n.RA = f
		s.linkDHCP6(n)
	}
}

// linkDHCP6 tells the interface's DHCPv6 client what routers ask for, and
// starts one when they first do.
func (s *service) linkDHCP6(n *nic) {
	if n.Method == methodOff && !n.Candidate {
		return
	}
	switch {
	case n.RA.Managed:
		n.mode6 = dhcp6.Stateful
	case n.RA.Other:
		n.mode6 = max(n.mode6, dhcp6.Stateless)
	}
	if n.v6 == nil {
		if n.mode6 == dhcp6.Off || !n.Carrier {
			return
		}
		if err := s.startDHCP6(n); err != nil {
			s.fail(n, err)
			return
		}
	}
	n.v6.SetLink(n.ctx, n.Carrier, n.mode6)
}

func (s *service) startDHCP6(n *nic) error {
	if err := s.identify(); err != nil {
		return err
	}
	cfg := dhcp6.Config{DUID: s.duid}
	copy(cfg.IAID[:], n.MAC[max(0, len(n.MAC)-4):])
	index, name := n.Index, n.Name // for another goroutine
	n.v6 = dhcp6.NewClient(dhcp6.Client{
		Config: cfg,
		Open:   func() (dhcp6.Conn, error) { return s.OpenDHCP6(name, index) },
		Notify: func(e dhcp6.Event) { s.queue.post(dhcp6Event{index, e}) },
		Debug:  s.debug(name),
	})
	go n.v6.Run(n.ctx)
	return nil
}

// identify sets the machine's DUID: type 3, the hardware address of its first
// interface (RFC 8415 section 11.4). It is kept for the boot, so that an
// interface plugged in later does not make the machine another.
func (s *service) identify() error {
	if s.duid != nil {
		return nil
	}
	name := filepath.Join(s.Root, leaseDir, "duid")
	if b, err := os.ReadFile(name); err == nil {
		if duid, err := hex.DecodeString(strings.TrimSpace(string(b))); err == nil && len(duid) > 4 {
			s.duid = duid
			return nil
		}
	}
	s.duid = append([]byte{0, 3, 0, 1}, s.first().MAC...)
	if err := writeFile(name, []byte(hex.EncodeToString(s.duid)+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep DUID: %w", err)
	}
	return nil
}

func (s *service) dhcp6Changed(e dhcp6Event) {
	n := s.nics[e.index]
	if n == nil || n.v6 == nil {
		return
	}
	s.dirty = true
	switch e.Kind {
	case dhcp6.Configured:
		n.lease6 = e.Lease
		s.apply(n)
		for _, a := range e.Lease.Addresses {
			s.logf("%s: bound %s by DHCPv6 for %s", n.Name, a.Addr, valid6(a))
		}
	case dhcp6.Lost:
		n.lease6 = nil
		s.apply(n)
		s.logf("%s: lost the DHCPv6 addresses: %s", n.Name, e.Reason)
	case dhcp6.Noted:
		s.logf("%s: %s", n.Name, e.Reason)
	}
}

func valid6(a dhcp6.Address) string {
	if a.Valid == 0 {
		return "ever"
	}
	return a.Valid.String()
}

// maxRADNS bounds the servers, and the search domains, that routers of one link
// may name: any machine there may say that it is one.
const maxRADNS = 16

// raDNS takes what a router says about name service (RFC 8106).
func (s *service) raDNS(e rtnl.RADNS, now time.Time) {
	n := s.nics[e.Index]
	if n == nil || !n.Use {
		return
	}
	until := now.Add(e.Lifetime)
	for _, a := range e.Servers {
		if a.IsLinkLocalUnicast() {
			a = a.WithZone(n.Name)
		}
		if _, known := n.raDNS[a]; e.Lifetime == 0 {
			delete(n.raDNS, a)
		} else if known || len(n.raDNS) < maxRADNS {
			n.raDNS[a] = until
		}
	}
	for _, name := range e.Search {
		if _, known := n.search[name]; e.Lifetime == 0 {
			delete(n.search, name)
		} else if known || len(n.search) < maxRADNS {
			n.search[name] = until
		}
	}
	s.dirty = true
	s.forgetRADNS(now)
}

// forgetRADNS drops what is past its time, and sets the timer for the next.
func (s *service) forgetRADNS(now time.Time) {
	next := now.Add(time.Hour)
	for _, n := range s.nics {
		for a, until := range n.raDNS {
			if !now.Before(until) {
				delete(n.raDNS, a)
				s.dirty = true
			} else if until.Before(next) {
				next = until
			}
		}
		for name, until := range n.search {
			if !now.Before(until) {
				delete(n.search, name)
				s.dirty = true
			} else if until.Before(next) {
				next = until
			}
		}
	}
	s.timer.Reset(next.Sub(now))
}

// routesChanged asks the kernel for the gateways: routers come and go without
// a word to this service.
func (s *service) routesChanged() {
	routes, err := s.Kernel.Routes()
	if err != nil {
		s.logf("%v", err)
		return
	}
	s.setGateways(routes)
}

func (s *service) setGateways(routes []rtnl.Route) {
	for _, n := range s.nics {
		var list []netip.Addr
		for _, r := range routes {
			if r.Index == n.Index && r.Destination.Bits() == 0 && r.Gateway.IsValid() {
				list = append(list, r.Gateway)
			}
		}
		if !equalAddrs(n.gateways, list) {
			n.gateways = list
			s.dirty = true
		}
	}
}
