package dhcp4

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Receive takes a message from the network. One that is broken, for somebody
// else or out of turn changes nothing; the error says why, for the debug log.
func (m *Machine) Receive(now time.Time, b []byte) error {
	r, err := parseReply(b, m.xid, m.cfg.MAC)
	if err != nil {
		return err
	}
	switch r.kind {
	case dhcpv4.MessageTypeOffer:
		m.offered(now, r)
	case dhcpv4.MessageTypeAck:
		m.acknowledged(now, r)
	case dhcpv4.MessageTypeNak:
		m.refusedBy(now, r)
	}
	return nil
}

// offered takes the first offer: waiting for better ones would make every boot
// slower for the sake of networks that have two servers and mean only one.
func (m *Machine) offered(now time.Time, r reply) {
	if m.state != Selecting || m.attempts == 0 {
		return
	}
	started := m.started
	m.enter(now, Requesting)
	m.offer, m.started = &r.lease, started // RFC 2131 section 4.4.1: the same xid and secs
	m.Tick(now)
}

func (m *Machine) acknowledged(now time.Time, r reply) {
	switch m.state {
	case Requesting:
		if r.server != m.offer.Server {
			return
		}
	case Renewing, Rebinding, Rebooting:
	default:
		return
	}
	lease, old := r.lease, m.lease
	lease.Acquired = m.asked
	if !lease.Infinite() && lease.Duration < m.cfg.MinLease {
		lease.Duration, lease.T1, lease.T2 = m.cfg.MinLease, m.cfg.MinLease/2, m.cfg.MinLease*7/8
	}
	// The server counts from when it answered, at the latest. Where that was
	// long after the first attempt, counting from there would end a short
	// lease before its time is half over.
	if age := now.Sub(lease.Acquired); !lease.Infinite() && age > lease.T1/2 {
		lease.Acquired = m.sent
	}
	m.lease, m.offer, m.refused, m.silent = &lease, nil, 0, false
	m.state, m.attempts = Bound, 0
	m.next = lease.Renew()
	e := Event{Kind: Configured, Old: old}
	if old != nil && old.Address == lease.Address {
		e.Kind = Renewed
	}
	m.note(e)
}

// refusedBy: the address is not for this network, or no longer ours.
func (m *Machine) refusedBy(now time.Time, r reply) {
	switch m.state {
	case Requesting:
		if r.server.IsValid() && r.server != m.offer.Server {
			return
		}
	case Renewing:
		if r.server.IsValid() && r.server != m.lease.Server {
			return
		}
	case Rebinding, Rebooting:
	default:
		return
	}
	reason := "refused by the server"
	if r.server.IsValid() {
		reason = "refused by " + r.server.String()
	}
	if r.message != "" {
		reason += ": " + r.message
	}
	if m.lease != nil {
		m.lose(reason)
	} else {
		m.note(Event{Kind: Noted, Reason: reason})
	}
	m.refused++
	m.enter(now, Selecting)
	m.next = now.Add(m.penalty())
	m.Tick(now)
}
