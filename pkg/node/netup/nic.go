package netup

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
	"github.com/bee-os/bee/pkg/node/netup/dhcp6"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
	"github.com/bee-os/bee/pkg/node/netup/rtnl"
)

// nic is one interface that the service looks after.
type nic struct {
	rtnl.Link
	device
	plan
	vlan   string // its name at birth if it is a tagged interface
	speed  int    // Mbit/s; 0: unknown
	mtu    int    // bytes, before anybody told another
	metric int    // of its default route
	err    error  // the last thing that went wrong with it
	down   bool   // it cannot be brought up

	addrs    map[netip.Prefix]rtnl.Addr // as the kernel has them
	gateways []netip.Addr

	ctx    context.Context // ends with the interface
	cancel context.CancelFunc
	v4     *dhcp4.Client
	state4 dhcp4.State
	lease4 *dhcp4.Lease
	lost4  bool // the last lease ended and none came since
	v6     *dhcp6.Client
	mode6  dhcp6.Mode
	lease6 *dhcp6.Lease
	raDNS  map[netip.Addr]time.Time // until when
	search map[string]time.Time

	listening  time.Time // for neighbours, since
	neighbours []netstate.Neighbour

	setAddrs  []rtnl.Addr // by this service
	setRoutes []rtnl.Route
}

func (n *nic) mac() string { return n.MAC.String() }

// Metrics of default routes: a step an interface, below the 1024 that the
// kernel gives to routes of its own making.
const (
	firstMetric = 100
	metricStep  = 10
	lastMetric  = 1000
)

// addLink looks at an interface for the first time, or again after it changed.
func (s *service) addLink(l rtnl.Link, addrs []rtnl.Addr, routes []rtnl.Route) {
	if l.Loopback {
		// The kernel does one thing at a time to interfaces (RTNL), and who waits for the
		// machine's address waits for a card: that goes first, unless it takes too long.
		switch {
		case l.Up:
			s.rising = false
		case !s.rising:
			s.rising = true
			go func() {
				select {
				case <-s.addressed:
				case <-time.After(loopbackWait):
				case <-s.ctx.Done():
					return
				}
				s.bringUp(s.ctx, l.Index)
			}()
		}
		return
	}
	d := readDevice(s.root, l.Name)
	vlan := s.isVLAN(l)
	if !d.Physical && !vlan || l.Master != 0 {
		s.others[l.Index] = l
		return
	}
	delete(s.others, l.Index)
	n := &nic{Link: rtnl.Link{Index: l.Index}, device: d, mtu: l.MTU,
		addrs: make(map[netip.Prefix]rtnl.Addr), raDNS: make(map[netip.Addr]time.Time), search: make(map[string]time.Time)}
	n.Name, n.MAC = l.Name, l.MAC
	n.plan = choose(s.Params, l.Name, n.mac())
	if vlan {
		n.vlan = l.Name
	}
	if !l.Ethernet {
		n.plan = plan{Method: methodOff}
	}
	n.ctx, n.cancel = context.WithCancel(s.ctx)
	s.nics[l.Index] = n
	for _, a := range addrs {
		if a.Index == l.Index {
			n.addrs[a.Prefix] = a
		}
	}
	for _, r := range routes {
		if r.Index == l.Index && r.Destination.Addr().Is4() && !r.Static {
			n.setRoutes = append(n.setRoutes, r) // of an earlier life: what is not wanted again goes
		}
	}
	s.rank()
	s.dirty = true
	if !n.Use {
		return
	}
	if err := writeIPv6(s.Root, n.Name, n.metric); err != nil {
		s.fail(n, err)
	}
	if !l.Up {
		ctx, index := n.ctx, n.Index // they may change meanwhile
		go s.bringUp(ctx, index)
	} else if s.Solicit != nil {
		if err := s.Solicit(n.Index); err != nil {
			s.debug(n.Name)(err)
		}
	}
	s.listen(n)
	s.nameMachine()
	if n.Method == methodStatic {
		s.apply(n)
	}
	if n.Method == methodDHCP && !n.Candidate {
		s.startDHCP4(n)
	}
	for _, v := range s.Params.VLAN {
		if names(v.NIC, n.Name, n.mac()) {
			if err := s.Kernel.AddVLAN(n.Index, vlanName(n.Name, v.ID), v.ID); err != nil {
				s.fail(n, err)
			}
		}
	}
}

// isVLAN says that l is a tagged interface that bee.vlan asks for.
func (s *service) isVLAN(l rtnl.Link) bool {
	parent := s.nics[l.Parent]
	if l.Kind != "vlan" || parent == nil {
		return false
	}
	for _, v := range s.Params.VLAN {
		if names(v.NIC, parent.Name, parent.mac()) && l.Name == vlanName(parent.Name, v.ID) {
			return true
		}
	}
	return false
}

// vlanName is PARENT.ID, the parent's name cut where the kernel's limit of 15
// bytes (IFNAMSIZ) demands it.
func vlanName(parent string, id int) string {
	suffix := "." + strconv.Itoa(id)
	return parent[:min(len(parent), 15-len(suffix))] + suffix
}

// bringUp brings an interface up, apart from the service's goroutine since a
// driver may load firmware on the way, and again as long as that fails.
func (s *service) bringUp(ctx context.Context, index int) {
	for wait := time.Second; ; wait = min(2*wait, 64*time.Second) {
		err := s.Kernel.SetUp(index)
		if ctx.Err() != nil {
			return
		}
		s.queue.post(upFailed{index, err})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (s *service) upFailed(e upFailed) {
	n := s.nics[e.index]
	if n == nil {
		return
	}
	n.down = e.err != nil
	if e.err != nil {
		s.fail(n, e.err)
	}
}

// fail notes what went wrong with an interface, and says it once.
func (s *service) fail(n *nic, err error) {
	if n.err == nil || n.err.Error() != err.Error() {
		s.logf("%s: %v", n.Name, err)
	}
	n.err = err
	s.dirty = true
}

func (s *service) linkChanged(l rtnl.Link) {
	n := s.nics[l.Index]
	if n != nil && l.Master != 0 {
		s.logf("%s: belongs to another interface now, left alone", l.Name)
		s.drop(n)
		n = nil
	}
	if n == nil {
		s.addLink(l, nil, nil)
		if n = s.nics[l.Index]; n == nil {
			return
		}
	}
	old := n.Link
	n.Link = l
	if !l.HasRA {
		n.RA = old.RA
	}
	if old.Name == l.Name && bytes.Equal(old.MAC, l.MAC) && old.MTU == l.MTU && old.Up == l.Up && old.Carrier == l.Carrier && old.RA == n.RA {
		return
	}
	s.dirty = true
	if old.Name != l.Name {
		s.logf("%s: renamed to %s", old.Name, l.Name)
	}
	if len(old.MAC) > 0 && !bytes.Equal(old.MAC, l.MAC) {
		s.logf("%s: hardware address is %s now", l.Name, n.mac())
		s.restartClients(n)
		old.Carrier = false
	}
	if !n.Use {
		return
	}
	if l.Up && !old.Up {
		n.setRoutes = nil // the kernel forgot them
		n.down = false
		s.apply(n)
	}
	if l.Carrier != old.Carrier {
		s.carrierChanged(n)
	}
	if n.RA != old.RA {
		s.linkDHCP6(n)
	}
}

func (s *service) carrierChanged(n *nic) {
	if n.Carrier {
		s.logf("%s: carrier", n.Name)
		n.speed = readSpeed(s.root, n.Name)
		if !n.listening.IsZero() {
			n.listening = time.Now().Round(0)
		}
		if n.Candidate && n.v4 == nil && n.Method != methodStatic {
			s.claim(n)
		}
	} else {
		s.logf("%s: no carrier", n.Name)
		n.unplugged()
	}
	if n.v4 != nil {
		n.v4.SetCarrier(n.ctx, n.Carrier)
	}
	s.rank()
	s.linkDHCP6(n)
}

// claim gives the addresses by hand that name no interface to the first one
// that has carrier. The others do what bee.ip says otherwise.
func (s *service) claim(n *nic) {
	if s.claimed == 0 {
		s.claimed = n.Index
		n.Method, n.Static = methodStatic, s.statics
		s.apply(n)
		return
	}
	if n.Method != methodOff {
		n.Method = methodDHCP
		s.startDHCP4(n)
	}
}

func (s *service) linkGone(index int) {
	delete(s.others, index)
	if n := s.nics[index]; n != nil {
		s.logf("%s: gone", n.Name)
		s.drop(n)
	}
}

// drop stops looking after an interface.
func (s *service) drop(n *nic) {
	n.cancel()
	delete(s.nics, n.Index)
	if s.claimed == n.Index {
		s.claimed = 0
	}
	s.rank()
	s.dirty = true
}

func (s *service) startDHCP4(n *nic) {
	now, key := time.Now(), leaseKey(n.mac(), n.vlan)
	boottime, err := s.Boottime()
	if err == nil {
		n.lease4, err = loadLease(s.Root, key, now, boottime)
	}
	if err != nil {
		s.fail(n, err)
	}
	resume := n.lease4
	n.lease4 = nil
	index, name, mac := n.Index, n.Name, slices.Clone(n.MAC) // for another goroutine
	client := dhcp4.Client{
		Config: dhcp4.Config{MAC: mac, Hostname: s.toldHostname(), MinLease: s.MinLease},
		Resume: resume,
		Open:   func() (dhcp4.Conn, error) { return s.OpenDHCP4(name, index) },
		Notify: func(e dhcp4.Event) { s.queue.post(dhcp4Event{index, e}) },
		Debug:  s.debug(name),
	}
	if s.Probe != nil {
		client.Probe = func(ctx context.Context, addr netip.Addr) (net.HardwareAddr, error) {
			return s.Probe(ctx, index, mac, addr)
		}
	}
	n.v4 = dhcp4.NewClient(client)
	go n.v4.Run(n.ctx)
}

// restartClients begins anew under another hardware address.
func (s *service) restartClients(n *nic) {
	n.cancel()
	n.ctx, n.cancel = context.WithCancel(s.ctx)
	had := n.v4 != nil
	s.listen(n) // the one before ended with the context
	n.v4, n.v6, n.lease4, n.lease6, n.mode6 = nil, nil, nil, nil, dhcp6.Off
	s.apply(n)
	if had {
		s.startDHCP4(n)
	}
}

// rank gives each interface its metric: wired before wireless, fast before
// slow, then by the place of the hardware.
func (s *service) rank() {
	order := s.ordered(func(a, b *nic) int { return cmp.Compare(b.speed, a.speed) })
	for i, n := range order {
		metric := min(firstMetric+i*metricStep, lastMetric)
		if n.metric == metric {
			continue
		}
		first := n.metric == 0
		n.metric = metric
		s.dirty = true
		if first || !n.Use {
			continue
		}
		if err := writeIPv6(s.Root, n.Name, metric); err != nil {
			s.fail(n, err)
		}
		s.apply(n)
	}
}

// ordered lists the interfaces: physical before tagged, wired before wireless,
// then by more, then by the place of the hardware, which is the same at every
// boot, then by name.
func (s *service) ordered(more func(a, b *nic) int) []*nic {
	list := slices.Collect(maps.Values(s.nics))
	slices.SortFunc(list, func(a, b *nic) int {
		return cmp.Or(
			cmp.Compare(number(a.vlan != ""), number(b.vlan != "")),
			cmp.Compare(number(a.Wireless), number(b.Wireless)),
			more(a, b),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(len(a.Name), len(b.Name)), // eth2 before eth10
			cmp.Compare(a.Name, b.Name))
	})
	return list
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
