// Package netup is the network service: it brings up every physical NIC at
// once, keeps IPv4 addresses by DHCP or by hand, lets the kernel and DHCPv6
// configure IPv6, and tells the rest of the node what came of it. It never
// waits for a cable or a server and never gives up on either.
//
// Everything that is decided is decided in one goroutine, fed by a queue; what
// may block (the DHCP clients, drivers that come up slowly) has its own.
package netup

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
	"github.com/bee-os/bee/pkg/node/netup/dhcp6"
	"github.com/bee-os/bee/pkg/node/netup/rtnl"
)

// Kernel is what the service needs of the kernel; rtnl.Kernel has it.
type Kernel interface {
	Next() ([]rtnl.Event, error)
	Links() ([]rtnl.Link, error)
	Addrs() ([]rtnl.Addr, error)
	Routes() ([]rtnl.Route, error)
	SetUp(index int) error
	SetMTU(index, mtu int) error
	AddVLAN(parent int, name string, id int) error
	ReplaceAddr(rtnl.Addr) error
	DeleteAddr(rtnl.Addr) error
	ReplaceRoute(rtnl.Route) error
	DeleteRoute(rtnl.Route) error
}

// Supervisor is told what the service is up to.
type Supervisor interface {
	Ready()
	Status(text string)
	Condition(name string, up bool)
}

// Config is what the service works with.
type Config struct {
	Params      bootparam.Params
	Root        string // directory that holds run, etc, proc and sys: "/"
	Kernel      Kernel
	Supervisor  Supervisor
	Out         io.Writer // a line for each event
	OpenDHCP4   func(name string, index int) (dhcp4.Conn, error)
	OpenDHCP6   func(name string, index int) (dhcp6.Conn, error)
	Probe       func(ctx context.Context, index int, mac net.HardwareAddr, addr netip.Addr) (net.HardwareAddr, error) // nil: no conflict detection
	Solicit     func(index int) error                                                                                 // router advertisements now; nil: wait for them
	Neighbours  Listener                                                                                              // nil: nobody listens for the other ends of cables
	ListenAfter time.Duration                                                                                         // how long after a card came: they speak every half minute, and nobody waits for them
	SetHostname func(name string) error                                                                               // sethostname(2)
	WatchSeed   func(ctx context.Context, named func(name string)) error                                              // tells the host name of a NoCloud seed, whenever one comes; nil: none does
	Boottime    func() (time.Duration, error)                                                                         // CLOCK_BOOTTIME, clock_gettime(2)
	MinLease    time.Duration                                                                                         // see dhcp4.Config; 0: its default
}

// Events of the service's own, beside those of rtnl.
type (
	kernelError struct{ err error }
	dhcp4Event  struct {
		index int
		dhcp4.Event
	}
	dhcp6Event struct {
		index int
		dhcp6.Event
	}
	seedNamed struct {
		name string
		err  error // there is nobody who would tell
	}
	upFailed struct {
		index int
		err   error // nil: it is up now
	}
)

type service struct {
	Config
	ctx     context.Context
	root    fs.FS
	queue   *queue
	nics    map[int]*nic
	others  map[int]rtnl.Link // interfaces that are not ours
	statics []bootparam.IP    // by hand, for whichever interface has carrier first
	claimed int               // index of the interface that got them; 0: none yet
	duid    []byte

	addressed chan struct{} // closed when the first card has an address of DHCP's or by hand
	isThere   sync.Once     // closes it
	rising    bool          // loopback is about to be brought up

	hostname, hostnameSource string
	seedName                 string // what a NoCloud seed calls the machine; empty: nothing
	written                  published
	dirty                    bool // something that others see changed
	timer                    *time.Timer
}

// What changed is told when nothing more has happened for tellQuiet, and no later
// than after tellLatest: a cable or a lease is a dozen events, and who writes
// files between them answers the server late. The first time it is told after
// tellFirst: in a boot the cards appear within that, and an operator waits for
// their addresses and not for the files.
const (
	tellQuiet  = 50 * time.Millisecond
	tellLatest = 250 * time.Millisecond
	tellFirst  = 500 * time.Millisecond
)

// loopbackWait is how long loopback waits for the first address, see addLink.
const loopbackWait = 500 * time.Millisecond

// rewriteWait is the time until what could not be written is written again,
// should nothing change before.
const rewriteWait = 2 * time.Second

// Run works until ctx ends and then leaves every address as it is. Its error
// means that the kernel cannot be talked to.
func Run(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &service{
		Config: cfg, ctx: ctx, root: os.DirFS(cfg.Root), queue: newQueue(),
		nics: make(map[int]*nic), others: make(map[int]rtnl.Link), statics: unnamed(cfg.Params), addressed: make(chan struct{}),
		timer: time.NewTimer(time.Hour), dirty: true,
	}
	defer s.timer.Stop()
	if err := s.resync(); err != nil { // what changes meanwhile the kernel keeps for the reader
		return err
	}
	s.Supervisor.Ready()
	go s.queue.reader(ctx, s.Kernel)
	if s.WatchSeed != nil {
		go s.watchSeed()
	}
	var changed time.Time // since when something is to be told; zero: nothing is
	for {
		var tell, again <-chan time.Time
		switch {
		case s.dirty:
			if changed.IsZero() {
				changed = time.Now()
			}
			wait := time.Until(changed.Add(tellFirst))
			if s.written.any {
				wait = min(time.Until(changed.Add(tellLatest)), tellQuiet)
			}
			tell = time.After(wait)
		case s.written.failed != "":
			again = time.After(rewriteWait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tell:
			s.dirty, changed = false, time.Time{}
			s.publish()
		case <-again:
			s.dirty = true
		case <-s.timer.C:
			s.forgetRADNS(time.Now())
		case <-s.queue.wake:
			for _, e := range s.queue.take() {
				if err := s.handle(e); err != nil {
					return err
				}
			}
		}
	}
}

func (s *service) handle(e any) error {
	switch e := e.(type) {
	case rtnl.LinkChanged:
		s.linkChanged(e.Link)
	case rtnl.LinkGone:
		s.linkGone(e.Index)
	case rtnl.AddrChanged:
		s.addrChanged(e.Addr)
	case rtnl.AddrGone:
		s.addrGone(e.Addr)
	case rtnl.RoutesChanged:
		s.routesChanged()
	case rtnl.RAChanged:
		s.raChanged(e.Index, e.Flags)
	case rtnl.RADNS:
		s.raDNS(e, time.Now())
	case rtnl.Overrun:
		return s.resync()
	case dhcp4Event:
		s.dhcp4Changed(e)
	case dhcp6Event:
		s.dhcp6Changed(e)
	case lldpEvent:
		s.neighbourHeard(e)
	case lldpBegun:
		s.listenBegun(e)
	case lldpFailed:
		s.listenFailed(e)
	case upFailed:
		s.upFailed(e)
	case seedNamed:
		s.seedNamed(e)
	case kernelError:
		return fmt.Errorf("watch the network: %w", e.err)
	}
	return nil
}

// resync takes the whole state from the kernel: at the start, and when changes
// came faster than they could be read.
func (s *service) resync() error {
	links, err := s.Kernel.Links()
	if err != nil {
		return err
	}
	seen := make(map[int]bool)
	for _, l := range links {
		seen[l.Index] = true
	}
	for _, index := range slices.Sorted(maps.Keys(s.nics)) {
		if !seen[index] {
			s.linkGone(index)
		} else {
			clear(s.nics[index].addrs)
		}
	}
	maps.DeleteFunc(s.others, func(index int, _ rtnl.Link) bool { return !seen[index] })
	// A card that is down has no routes, and what addresses it has are seen to when it
	// is up. It comes up while the kernel is asked for the rest: in a boot an operator
	// waits for that.
	for _, l := range links {
		if s.nics[l.Index] == nil && !l.Up && l.Kind != "vlan" {
			s.addLink(l, nil, nil)
		}
	}
	runtime.Gosched() // on one processor they would wait for what follows
	routes, err := s.Kernel.Routes()
	if err != nil {
		return err
	}
	addrs, err := s.Kernel.Addrs()
	if err != nil {
		return err
	}
	for _, l := range links {
		if s.nics[l.Index] == nil {
			s.addLink(l, addrs, routes)
		}
	}
	for _, a := range addrs {
		s.addrChanged(a)
	}
	for _, l := range links {
		if s.nics[l.Index] != nil { // the others were looked at above
			s.linkChanged(l)
		}
	}
	s.setGateways(routes)
	s.dirty = true
	return nil
}

func (s *service) logf(format string, args ...any) {
	fmt.Fprintf(s.Out, format+"\n", args...)
}

// debug says what only who looks for a fault wants to read.
func (s *service) debug(name string) func(error) {
	if !s.Params.Debug {
		return func(error) {}
	}
	return func(err error) { s.logf("%s: %v", name, err) }
}
