// Package dhcp4 is a DHCPv4 client (RFC 2131) for one interface: a state
// machine that knows neither clock nor socket, and a driver that gives it both.
//
// It never gives up: without a server it keeps asking, ever more seldom, and
// each return of the carrier makes it ask at once.
package dhcp4

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// State is a state of RFC 2131 figure 5.
type State int

// The states. INIT and REBOOTING's start are passed through at once.
const (
	NoCarrier  State = iota // the link is down
	Selecting               // DISCOVER sent
	Requesting              // an offer asked for
	Bound                   // nothing to do before T1
	Renewing                // T1 passed: asking the server that gave the lease
	Rebinding               // T2 passed: asking any server
	Rebooting               // the link came back: is the lease still good here?
)

var stateNames = [...]string{"no carrier", "discovering", "requesting", "bound", "renewing", "rebinding", "verifying"}

func (s State) String() string { return stateNames[s] }

// Config is who asks.
type Config struct {
	MAC      net.HardwareAddr
	Hostname string        // told to the server (option 12); may be empty
	MinLease time.Duration // a shorter lease is taken for this long, so that a broken server makes no flood; 0: 10 s
}

const (
	defaultMinLease = 10 * time.Second
	firstRetry      = 500 * time.Millisecond // a switch port that just came up may not forward yet
	maxRetry        = 64 * time.Second       // RFC 2131 section 4.1
	requestTries    = 4                      // then the offer is given up
	rebootTries     = 3                      // then discover beside the old lease
	minGap          = 100 * time.Millisecond // between DISCOVERs of a flapping link
	declineWait     = 10 * time.Second       // RFC 2131 section 3.1 (5)
)

// Kind says what an Event reports.
type Kind int

// The events.
const (
	Changed    Kind = iota // only the state
	Configured             // Lease is to be put on the interface; Old, if any and of another address, taken off
	Renewed                // Lease has the same address as before, other times and perhaps options
	Lost                   // Old is to be taken off
	Noted                  // something an operator wants to know, in Reason
)

// Event is what the machine tells the interface's owner.
type Event struct {
	Kind       Kind
	State      State
	Lease, Old *Lease
	Resumed    bool // Configured only: the lease comes from an earlier life and is being verified
	Reason     string
}

// datagram is one message to send; Src is 0.0.0.0 and Dst the limited broadcast
// address unless a lease is renewed.
type datagram struct {
	Payload  []byte
	Src, Dst netip.Addr
}

// Machine is the client's state. Time comes in with each call, in order; what
// is to be done comes out of take.
type Machine struct {
	cfg      Config
	state    State
	lease    *Lease // on the interface
	offer    *Lease // being asked for
	xid      dhcpv4.TransactionID
	attempts int       // of this state
	refused  int       // NAKs and declines in a row
	started  time.Time // of this exchange, for "secs"
	sent     time.Time // the last message
	asked    time.Time // the first REQUEST that an ACK may answer
	next     time.Time // when to act; zero: never
	silent   bool      // it was told that nobody answers

	jitter func() float64 // in [0, 1)
	newXID func() dhcpv4.TransactionID
	out    []datagram
	events []Event
}

// NewMachine makes a client whose link is down.
func NewMachine(cfg Config) *Machine {
	if cfg.MinLease == 0 {
		cfg.MinLease = defaultMinLease
	}
	return &Machine{cfg: cfg, jitter: rand.Float64, newXID: randomXID}
}

// randomXID needs no secrecy, only difference between machines.
func randomXID() (x dhcpv4.TransactionID) {
	v := rand.Uint32()
	return dhcpv4.TransactionID{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}

// take hands over what the calls before it produced.
func (m *Machine) take() ([]datagram, []Event) {
	out, events := m.out, m.events
	m.out, m.events = nil, nil
	return out, events
}

// Resume gives the machine a lease from an earlier life, before the first
// LinkUp. An ended one only says which address to ask for; it is not kept.
func (m *Machine) Resume(now time.Time, l Lease) {
	if e := l.Expire(); !e.IsZero() && !now.Before(e) {
		return
	}
	m.lease = &l
	m.events = append(m.events, Event{Kind: Configured, State: m.state, Lease: m.lease, Resumed: true})
}

// LinkUp says that the carrier is there: ask at once.
func (m *Machine) LinkUp(now time.Time) {
	if m.state != NoCarrier {
		return
	}
	m.refused, m.silent = 0, false
	switch {
	case m.lease != nil:
		m.enter(now, Rebooting)
	default:
		m.enter(now, Selecting)
	}
	if earliest := m.sent.Add(minGap); !m.sent.IsZero() && now.Before(earliest) {
		m.next = earliest
	}
	m.Tick(now)
}

// LinkDown says that the carrier went. A lease stays on the interface until it
// ends.
func (m *Machine) LinkDown() {
	if m.state == NoCarrier {
		return
	}
	m.state, m.offer, m.next = NoCarrier, nil, time.Time{}
	m.note(Event{Kind: Changed})
}

// Deadline is when Tick has something to do; zero: never.
func (m *Machine) Deadline() time.Time {
	next := m.next
	if m.lease != nil {
		if e := m.lease.Expire(); !e.IsZero() && (next.IsZero() || e.Before(next)) {
			next = e
		}
	}
	return next
}

// Tick does what is due.
func (m *Machine) Tick(now time.Time) {
	if m.lease != nil {
		if e := m.lease.Expire(); !e.IsZero() && !now.Before(e) {
			m.lose("lease expired")
			if m.state >= Bound {
				m.enter(now, Selecting)
			}
		}
	}
	if m.next.IsZero() || now.Before(m.next) {
		return
	}
	switch m.state {
	case Selecting:
		m.discover(now)
	case Requesting:
		if m.attempts >= requestTries {
			m.note(Event{Kind: Noted, Reason: "no answer to the request for " + m.offer.Address.Addr().String()})
			m.enter(now, Selecting)
			m.discover(now)
			return
		}
		m.request(now)
	case Bound:
		m.enter(now, Renewing)
		m.Tick(now)
	case Renewing:
		if !now.Before(m.lease.Rebind()) {
			m.note(Event{Kind: Noted, Reason: "no answer from " + m.lease.Server.String() + ", asking any server"})
			m.enter(now, Rebinding)
		}
		m.renew(now)
	case Rebinding:
		m.renew(now)
	case Rebooting:
		if m.attempts >= rebootTries {
			m.enter(now, Selecting) // the lease stays until it ends or another comes
			m.discover(now)
			return
		}
		m.reboot(now)
	}
}

// Conflict says that owner uses the address of the lease too.
func (m *Machine) Conflict(now time.Time, addr netip.Addr, owner net.HardwareAddr) {
	if m.lease == nil || m.lease.Address.Addr() != addr {
		return
	}
	m.send(message{kind: dhcpv4.MessageTypeDecline, xid: m.newXID(), requested: addr, server: m.lease.Server,
		comment: "in use by " + owner.String()}, netip.Addr{})
	m.lose("address is in use by " + owner.String())
	if m.state == NoCarrier {
		return
	}
	m.enter(now, Selecting)
	m.refused++
	m.next = now.Add(max(declineWait, m.penalty()))
}

// enter begins a state, due at once.
func (m *Machine) enter(now time.Time, s State) {
	if s == Selecting || s == Renewing || s == Rebooting {
		m.xid, m.started = m.newXID(), now
	}
	if s == Requesting || s > Bound {
		m.asked = now
	}
	if s != Requesting {
		m.offer = nil
	}
	m.state, m.attempts, m.next = s, 0, now
	m.note(Event{Kind: Changed})
}

func (m *Machine) note(e Event) {
	e.State = m.state
	if e.Lease == nil {
		e.Lease = m.lease
	}
	m.events = append(m.events, e)
}

func (m *Machine) lose(reason string) {
	old := m.lease
	m.lease = nil
	m.note(Event{Kind: Lost, Old: old, Reason: reason})
}

// retry is the wait after the attempts so far: 0.5, 1, 2 … 64 s, a tenth of it
// at random so that a hall of machines does not ask in step.
func (m *Machine) retry() time.Duration {
	d := min(firstRetry<<min(m.attempts, 10), maxRetry)
	return d + time.Duration((m.jitter()-0.5)*0.2*float64(d))
}

// penalty slows down an exchange that ends in refusals.
func (m *Machine) penalty() time.Duration {
	if m.refused <= 1 {
		return 0
	}
	return min(time.Second<<min(m.refused-2, 6), maxRetry)
}

// silentAfter attempts (15 s) the operator is told that nobody answers.
const silentAfter = 5

func (m *Machine) discover(now time.Time) {
	msg := message{kind: dhcpv4.MessageTypeDiscover, xid: m.xid, secs: now.Sub(m.started), broadcast: m.wantBroadcast()}
	if m.lease != nil {
		msg.requested = m.lease.Address.Addr()
	}
	m.send(msg, netip.Addr{})
	if m.attempts == silentAfter && !m.silent {
		m.silent = true
		m.note(Event{Kind: Noted, Reason: "no DHCP server answers, asking on"})
	}
	m.again(now, m.retry())
}

// wantBroadcast: replies come by unicast, which a packet socket reads before
// there is an address. Should a server or relay fail at that, every second
// attempt from the third on asks for a broadcast (RFC 2131 section 4.1).
func (m *Machine) wantBroadcast() bool { return m.attempts >= 2 && m.attempts%2 == 0 }

func (m *Machine) request(now time.Time) {
	m.send(message{kind: dhcpv4.MessageTypeRequest, xid: m.xid, secs: now.Sub(m.started), broadcast: m.wantBroadcast(),
		requested: m.offer.Address.Addr(), server: m.offer.Server}, netip.Addr{})
	m.again(now, m.retry())
}

func (m *Machine) reboot(now time.Time) {
	m.send(message{kind: dhcpv4.MessageTypeRequest, xid: m.xid, secs: now.Sub(m.started), broadcast: m.wantBroadcast(),
		requested: m.lease.Address.Addr()}, netip.Addr{})
	m.again(now, m.retry())
}

// renew asks for more time: the server alone, or by broadcast any server. The
// waits halve the time that remains (RFC 2131 section 4.4.5), not under a
// minute, or a twentieth of a lease that is short.
func (m *Machine) renew(now time.Time) {
	to, limit := m.lease.Server, m.lease.Rebind()
	if m.state == Rebinding {
		to, limit = netip.Addr{}, m.lease.Expire()
	}
	m.send(message{kind: dhcpv4.MessageTypeRequest, xid: m.xid, secs: now.Sub(m.started), ciaddr: m.lease.Address.Addr()}, to)
	least := min(time.Minute, max(time.Second, m.lease.Duration/20))
	m.again(now, min(max(limit.Sub(now)/2, least), limit.Sub(now)))
}

func (m *Machine) again(now time.Time, wait time.Duration) {
	m.attempts++
	m.sent = now
	m.next = now.Add(max(wait, time.Millisecond))
}

// send queues a message; without to it is broadcast. A message that carries
// the address in use has it as its source.
func (m *Machine) send(msg message, to netip.Addr) {
	d := datagram{Payload: m.cfg.encode(msg), Src: netip.IPv4Unspecified(), Dst: broadcast}
	if msg.ciaddr.IsValid() {
		d.Src = msg.ciaddr
	}
	if to.IsValid() {
		d.Dst = to
	}
	m.out = append(m.out, d)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
