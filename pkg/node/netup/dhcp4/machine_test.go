package dhcp4

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var testMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}

// world is a client, a clock and a server that can be switched off.
type world struct {
	t      *testing.T
	m      *Machine
	now    time.Time
	server func(*dhcpv4.DHCPv4) *dhcpv4.DHCPv4 // nil: nobody answers
	asked  []dhcpv4.MessageType
	to     []netip.Addr
	events []Event
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}
	w.m = NewMachine(Config{MAC: testMAC, Hostname: "bee-1"})
	w.m.jitter = func() float64 { return 0.5 }
	return w
}

// settle delivers what the machine sends until it is silent.
func (w *world) settle() {
	w.t.Helper()
	for range 100 {
		out, events := w.m.take()
		w.events = append(w.events, events...)
		if len(out) == 0 {
			return
		}
		for _, d := range out {
			msg, err := dhcpv4.FromBytes(d.Payload)
			if err != nil {
				w.t.Fatalf("the client sent nonsense: %v", err)
			}
			w.asked, w.to = append(w.asked, msg.MessageType()), append(w.to, d.Dst)
			if w.server == nil {
				continue
			}
			if answer := w.server(msg); answer != nil {
				if err := w.m.Receive(w.now, answer.ToBytes()); err != nil {
					w.t.Fatalf("the client refused an answer: %v", err)
				}
			}
		}
	}
	w.t.Fatal("the client never stops sending")
}

// run lets time pass, from deadline to deadline.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		next := w.m.Deadline()
		if next.IsZero() || next.After(end) {
			w.now = end
			return
		}
		if next.After(w.now) {
			w.now = next
		}
		w.m.Tick(w.now)
		w.settle()
	}
}

func (w *world) up() {
	w.t.Helper()
	w.m.LinkUp(w.now)
	w.settle()
}

// server answers with one address.
func server(addr string, lease time.Duration, more ...dhcpv4.Modifier) func(*dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	return func(req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		kind := dhcpv4.MessageTypeOffer
		if req.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		mods := append([]dhcpv4.Modifier{
			dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.ParseIP(addr)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
			dhcpv4.WithServerIP(net.IPv4(192, 0, 2, 1)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1))),
			dhcpv4.WithLeaseTime(uint32(lease.Seconds())), dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1)),
		}, more...)
		reply, err := dhcpv4.NewReplyFromRequest(req, mods...)
		if err != nil {
			panic(err)
		}
		return reply
	}
}

func nak(req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	if req.MessageType() != dhcpv4.MessageTypeRequest {
		return server("192.0.2.9", time.Hour)(req)
	}
	reply, err := dhcpv4.NewReplyFromRequest(req, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1))))
	if err != nil {
		panic(err)
	}
	return reply
}

func (w *world) want(s State, addr string) {
	w.t.Helper()
	got := ""
	if w.m.lease != nil {
		got = w.m.lease.Address.Addr().String()
	}
	if w.m.state != s || got != addr {
		w.t.Fatalf("state %v with address %q, want %v with %q", w.m.state, got, s, addr)
	}
}

func TestBoundAtOnce(t *testing.T) {
	w := newWorld(t)
	w.server = server("192.0.2.7", time.Hour)
	w.up()
	w.want(Bound, "192.0.2.7")
	if len(w.asked) != 2 || w.asked[0] != dhcpv4.MessageTypeDiscover || w.asked[1] != dhcpv4.MessageTypeRequest {
		t.Errorf("asked %v", w.asked)
	}
}

func TestRenewAtHalfTimeFromTheSameServer(t *testing.T) {
	w := newWorld(t)
	w.server = server("192.0.2.7", time.Hour)
	w.up()
	w.asked, w.to = nil, nil
	w.run(31 * time.Minute)
	w.want(Bound, "192.0.2.7")
	if len(w.asked) != 1 || w.to[0] != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("asked %v of %v", w.asked, w.to)
	}
	if !w.m.lease.Expire().After(w.now.Add(55 * time.Minute)) {
		t.Errorf("the lease ends at %v, now is %v", w.m.lease.Expire(), w.now)
	}
}

// TestServerGoesAway: renewing, rebinding, expired, and at last another server.
func TestServerGoesAway(t *testing.T) {
	w := newWorld(t)
	w.server = server("192.0.2.7", time.Hour)
	w.up()
	w.server = nil
	w.run(40 * time.Minute)
	w.want(Renewing, "192.0.2.7")
	w.run(15 * time.Minute)
	w.want(Rebinding, "192.0.2.7")
	w.run(10 * time.Minute)
	w.want(Selecting, "")
	lost := false
	for _, e := range w.events {
		lost = lost || e.Kind == Lost && e.Old != nil
	}
	if !lost {
		t.Error("nobody was told that the address is gone")
	}
	w.server = server("192.0.2.8", time.Hour)
	w.run(2 * time.Minute)
	w.want(Bound, "192.0.2.8")
}

func TestLateServerIsFoundWithinAMinute(t *testing.T) {
	w := newWorld(t)
	w.up()
	w.run(24 * time.Hour)
	w.want(Selecting, "")
	if n := len(w.asked); n > 24*3600/30 {
		t.Errorf("asked %d times in a day", n)
	}
	w.server = server("192.0.2.7", time.Hour)
	w.run(75 * time.Second)
	w.want(Bound, "192.0.2.7")
}

func TestNAKAtReturnOfTheCable(t *testing.T) {
	w := newWorld(t)
	w.server = server("192.0.2.7", time.Hour)
	w.up()
	w.m.LinkDown()
	w.run(time.Minute)
	w.want(NoCarrier, "192.0.2.7") // it is kept until it ends
	refused := false
	w.server = func(req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if !refused && req.MessageType() == dhcpv4.MessageTypeRequest {
			refused = true
			return nak(req)
		}
		return server("192.0.2.8", time.Hour)(req)
	}
	w.up()
	w.run(time.Minute)
	w.want(Bound, "192.0.2.8")
}

func TestServerThatAlwaysRefusesIsNotFlooded(t *testing.T) {
	w := newWorld(t)
	w.server = nak
	w.up()
	w.run(time.Hour)
	if n := len(w.asked); n > 2*3600/5 {
		t.Errorf("%d messages in an hour", n)
	}
}

func TestShortLeaseMakesNoFlood(t *testing.T) {
	w := newWorld(t)
	w.server = server("192.0.2.7", time.Second)
	w.up()
	w.run(time.Minute)
	w.want(Bound, "192.0.2.7")
	if n := len(w.asked); n > 20 {
		t.Errorf("%d messages in a minute", n)
	}
}

func TestStrangersChangeNothing(t *testing.T) {
	w := newWorld(t)
	w.m.LinkUp(w.now)
	out, _ := w.m.take()
	msg, err := dhcpv4.FromBytes(out[0].Payload)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*dhcpv4.DHCPv4){
		"another exchange": func(d *dhcpv4.DHCPv4) { d.TransactionID[0]++ },
		"another machine":  func(d *dhcpv4.DHCPv4) { d.ClientHWAddr = net.HardwareAddr{2, 9, 9, 9, 9, 9} },
		"a request":        func(d *dhcpv4.DHCPv4) { d.OpCode = dhcpv4.OpcodeBootRequest },
		"loopback":         func(d *dhcpv4.DHCPv4) { d.YourIPAddr = net.IPv4(127, 0, 0, 1) },
		"multicast":        func(d *dhcpv4.DHCPv4) { d.YourIPAddr = net.IPv4(224, 0, 0, 1) },
		"nothing":          func(d *dhcpv4.DHCPv4) { d.YourIPAddr = net.IPv4zero },
	} {
		answer := server("192.0.2.7", time.Hour)(msg)
		change(answer)
		if err := w.m.Receive(w.now, answer.ToBytes()); err == nil && w.m.state != Selecting {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestOptions(t *testing.T) {
	w := newWorld(t)
	w.server = server("192.0.2.7", time.Hour,
		dhcpv4.WithDNS(net.IPv4(192, 0, 2, 53)), dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{0x05, 0x78}),
		dhcpv4.WithOption(dhcpv4.OptHostName("rack7.example.org")), dhcpv4.WithOption(dhcpv4.OptNTPServers(net.IPv4(192, 0, 2, 123))),
		dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(
			&dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4(198, 51, 100, 0), Mask: net.CIDRMask(24, 32)}, Router: net.IPv4(192, 0, 2, 9)},
			&dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, Router: net.IPv4(192, 0, 2, 1)})))
	w.up()
	l := w.m.lease
	if l == nil || l.MTU != 1400 || len(l.DNS) != 1 || len(l.NTP) != 1 || l.Hostname != "rack7" || l.Address.Bits() != 24 {
		t.Fatalf("%+v", l)
	}
	var routes []string
	for _, r := range l.Routes {
		routes = append(routes, r.Destination.String()+" "+r.Gateway.String())
	}
	if got := strings.Join(routes, ", "); got != "198.51.100.0/24 192.0.2.9, 0.0.0.0/0 192.0.2.1" {
		t.Errorf("routes: %s", got)
	}
}

func FuzzReceive(f *testing.F) {
	req, err := dhcpv4.NewDiscovery(testMAC)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(server("192.0.2.7", time.Hour)(req).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewMachine(Config{MAC: testMAC})
		m.newXID = func() dhcpv4.TransactionID { return req.TransactionID }
		now := time.Unix(1e9, 0)
		m.LinkUp(now)
		if m.Receive(now, b) == nil {
			m.Tick(now.Add(time.Hour))
		}
	})
}
