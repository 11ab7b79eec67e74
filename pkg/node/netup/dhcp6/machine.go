// Package dhcp6 is a DHCPv6 client (RFC 8415) for one interface: a state
// machine that knows neither clock nor socket, and a driver that gives it both.
// Whether it asks for addresses, for other information or not at all is what
// the routers on the link advertise.
package dhcp6

import (
	"math/rand/v2"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Mode is what the router advertisements ask for (RFC 4861 section 4.2).
type Mode int

// The modes, each including those before it.
const (
	Off       Mode = iota
	Stateless      // O flag: DNS, time servers
	Stateful       // M flag: addresses too
)

// State is where the client stands.
type State int

// The states.
const (
	Idle       State = iota // no router asked for DHCPv6, or no carrier
	Informing               // INFORMATION-REQUEST sent
	Informed                // until the information is to be refreshed
	Soliciting              // SOLICIT sent
	Requesting              // REQUEST sent
	Bound                   // until T1
	Renewing                // RENEW sent
	Rebinding               // REBIND sent
	Confirming              // CONFIRM sent after the carrier came back
)

var stateNames = [...]string{"idle", "asking", "informed", "discovering", "requesting", "bound", "renewing", "rebinding", "verifying"}

func (s State) String() string { return stateNames[s] }

// Config is who asks.
type Config struct {
	DUID []byte  // of the machine (RFC 8415 section 11)
	IAID [4]byte // of the interface
}

// timing is a row of RFC 8415 section 7.6. Where the RFC lets a client fall
// silent for an hour, two minutes are the most here: a server that comes back
// must be found.
type timing struct{ initial, most time.Duration }

var (
	solicitTiming = timing{time.Second, 2 * time.Minute}
	requestTiming = timing{time.Second, 30 * time.Second}
	renewTiming   = timing{10 * time.Second, 10 * time.Minute}
	confirmTiming = timing{time.Second, 4 * time.Second}
	informTiming  = timing{time.Second, 2 * time.Minute}
)

const (
	requestTries = 10               // REQ_MAX_RC
	confirmFor   = 10 * time.Second // CNF_MAX_RD
)

// Kind says what an Event reports.
type Kind int

// The events.
const (
	Changed    Kind = iota // only the state
	Configured             // Lease holds; addresses of Old that it lacks go
	Lost                   // the addresses of Old go
	Noted                  // something an operator wants to know, in Reason
)

// Event is what the machine tells the interface's owner.
type Event struct {
	Kind       Kind
	State      State
	Lease, Old *Lease
	Reason     string
}

// Machine is the client's state. Time comes in with each call, in order; what
// is to be done comes out of take.
type Machine struct {
	cfg      Config
	mode     Mode
	up       bool
	state    State
	lease    *Lease // on the interface; Addresses empty: information only
	offer    *Lease
	xid      dhcpv6.TransactionID
	attempts int
	wait     time.Duration // RT of section 15
	started  time.Time     // of this exchange
	next     time.Time     // zero: never

	jitter func() float64 // in [0, 1)
	newXID func() dhcpv6.TransactionID
	out    [][]byte
	events []Event
}

// NewMachine makes a client that is off.
func NewMachine(cfg Config) *Machine {
	return &Machine{cfg: cfg, jitter: rand.Float64, newXID: randomXID}
}

// randomXID needs no secrecy, only difference between machines.
func randomXID() dhcpv6.TransactionID {
	v := rand.Uint32()
	return dhcpv6.TransactionID{byte(v >> 16), byte(v >> 8), byte(v)}
}

func (m *Machine) take() ([][]byte, []Event) {
	out, events := m.out, m.events
	m.out, m.events = nil, nil
	return out, events
}

// SetLink says whether the link has carrier and what its routers ask for. A
// mode once asked for stays: routers that disagree do not make addresses come
// and go.
func (m *Machine) SetLink(now time.Time, up bool, mode Mode) {
	mode = max(mode, m.mode)
	if up == m.up && mode == m.mode {
		return
	}
	wasUp, was := m.up, m.mode
	m.up, m.mode = up, mode
	switch {
	case !up:
		m.state, m.offer, m.next = Idle, nil, time.Time{}
		m.note(Event{Kind: Changed})
		return
	case mode == Off:
		return
	case !wasUp && m.bound():
		m.enter(now, Confirming)
	case !wasUp || mode != was:
		m.begin(now)
	}
	m.Tick(now)
}

func (m *Machine) bound() bool { return m.lease != nil && len(m.lease.Addresses) > 0 }

// begin starts over in the mode asked for.
func (m *Machine) begin(now time.Time) {
	if m.mode == Stateful {
		m.enter(now, Soliciting)
		return
	}
	m.enter(now, Informing)
}

// enter begins a state, due at once. SOL_MAX_DELAY and its kin, a random wait
// of up to a second before the first message, are left out: a hall of machines
// does not hear its routers in the same millisecond.
func (m *Machine) enter(now time.Time, s State) {
	m.state, m.attempts, m.wait, m.next = s, 0, 0, now
	m.xid, m.started = m.newXID(), now
	if s != Requesting {
		m.offer = nil
	}
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

// Deadline is when Tick has something to do; zero: never.
func (m *Machine) Deadline() time.Time {
	next := m.next
	if m.bound() {
		if e := m.lease.Expire(); !e.IsZero() && (next.IsZero() || e.Before(next)) {
			next = e
		}
	}
	return next
}

// Tick does what is due.
func (m *Machine) Tick(now time.Time) {
	if m.bound() {
		if e := m.lease.Expire(); !e.IsZero() && !now.Before(e) {
			m.lose("lease expired")
			if m.up {
				m.begin(now)
			}
		}
	}
	if m.next.IsZero() || now.Before(m.next) {
		return
	}
	switch m.state {
	case Informing:
		m.send(now, message{kind: dhcpv6.MessageTypeInformationRequest}, informTiming)
	case Informed:
		m.enter(now, Informing)
		m.Tick(now)
	case Soliciting:
		m.send(now, message{kind: dhcpv6.MessageTypeSolicit, ia: true, rapid: true}, solicitTiming)
	case Requesting:
		if m.attempts >= requestTries {
			m.begin(now)
			m.Tick(now)
			return
		}
		m.send(now, message{kind: dhcpv6.MessageTypeRequest, ia: true, server: m.offer.Server, hint: m.offer.Addresses}, requestTiming)
	case Bound:
		m.enter(now, Renewing)
		m.Tick(now)
	case Renewing:
		rebind := m.lease.after(m.lease.T2)
		if !now.Before(rebind) {
			m.note(Event{Kind: Noted, Reason: "no answer from the DHCPv6 server, asking any"})
			m.enter(now, Rebinding)
			m.Tick(now)
			return
		}
		m.send(now, message{kind: dhcpv6.MessageTypeRenew, ia: true, server: m.lease.Server, hint: m.lease.Addresses}, renewTiming)
		m.next = earlier(m.next, rebind)
	case Rebinding:
		m.send(now, message{kind: dhcpv6.MessageTypeRebind, ia: true, hint: m.lease.Addresses}, renewTiming)
		m.next = earlier(m.next, m.lease.Expire())
	case Confirming:
		if now.Sub(m.started) >= confirmFor { // nobody said no (section 18.2.3)
			m.settle(now)
			return
		}
		m.send(now, message{kind: dhcpv6.MessageTypeConfirm, ia: true, hint: m.lease.Addresses}, confirmTiming)
		m.next = earlier(m.next, m.started.Add(confirmFor))
	}
}

// settle waits for T1 of the lease that is held.
func (m *Machine) settle(now time.Time) {
	m.state, m.attempts, m.next = Bound, 0, m.lease.after(m.lease.T1)
	m.note(Event{Kind: Changed})
	m.Tick(now)
}

// send sends and sets the next time after section 15: RT doubles, a tenth at
// random, up to MRT; the first RT of a SOLICIT is longer, never shorter.
func (m *Machine) send(now time.Time, msg message, t timing) {
	msg.xid, msg.elapsed = m.xid, now.Sub(m.started)
	m.out = append(m.out, m.cfg.encode(msg))
	spread := 0.2 * (m.jitter() - 0.5)
	switch {
	case m.attempts == 0 && m.state == Soliciting:
		m.wait = t.initial + time.Duration(0.1*m.jitter()*float64(t.initial))
	case m.attempts == 0:
		m.wait = t.initial + time.Duration(spread*float64(t.initial))
	default:
		m.wait = 2*m.wait + time.Duration(spread*float64(m.wait))
	}
	if m.wait > t.most {
		m.wait = t.most + time.Duration(spread*float64(t.most))
	}
	m.attempts++
	m.next = now.Add(m.wait)
}

func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
