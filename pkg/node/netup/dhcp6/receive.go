package dhcp6

import (
	"bytes"
	"errors"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Receive takes a message from the network. One that is broken, for somebody
// else or out of turn changes nothing; the error says why, for the debug log.
func (m *Machine) Receive(now time.Time, b []byte) error {
	r, err := parseReply(b, m.xid, m.cfg.DUID, m.cfg.IAID)
	if err != nil {
		return err
	}
	isReply := r.kind == dhcpv6.MessageTypeReply
	switch m.state {
	case Informing:
		if isReply {
			m.informed(now, r)
		}
	case Soliciting:
		switch {
		case r.status != nil:
			return r.status // another server, or the same one later, may do better
		case isReply && r.rapid:
			m.configure(now, r)
		case !isReply:
			m.enter(now, Requesting)
			m.offer = &r.lease
			m.Tick(now)
		}
	case Requesting:
		if isReply && bytes.Equal(r.lease.Server, m.offer.Server) {
			m.granted(now, r)
		}
	case Renewing, Rebinding:
		if isReply && (m.state == Rebinding || bytes.Equal(r.lease.Server, m.lease.Server)) {
			m.granted(now, r)
		}
	case Confirming:
		if !isReply {
			return nil
		}
		// A reply to CONFIRM carries a status and no addresses.
		if errors.Is(r.status, errNotOnLink) {
			m.lose(r.status.Error())
			m.begin(now)
			m.Tick(now)
			return nil
		}
		m.settle(now)
	}
	return nil
}

// granted takes the answer to REQUEST, RENEW or REBIND.
func (m *Machine) granted(now time.Time, r reply) {
	switch {
	case r.status == nil:
		m.configure(now, r)
	case errors.Is(r.status, errNoBinding) && m.bound() && m.state != Requesting:
		// Section 18.2.10.1: ask that server for the same addresses again.
		again := *m.lease
		again.Server = r.lease.Server
		m.enter(now, Requesting)
		m.offer = &again
		m.Tick(now)
	case errors.Is(r.status, errNotOnLink) || m.state == Requesting:
		reason := r.status.Error()
		if m.bound() {
			m.lose(reason)
		} else {
			m.note(Event{Kind: Noted, Reason: reason})
		}
		m.begin(now)
		// Not at once: a server that offers and then refuses would be asked
		// without end.
		m.next = now.Add(solicitTiming.initial)
	}
	// Else (no address in a RENEW's answer): the lease holds until it ends,
	// another server is asked from T2 on.
}

func (m *Machine) configure(now time.Time, r reply) {
	old, lease := m.lease, r.lease
	lease.Acquired = m.started
	if lease.T1 > 0 && now.Sub(m.started) > lease.T1/2 {
		lease.Acquired = now
	}
	m.lease, m.offer = &lease, nil
	m.state, m.attempts, m.next = Bound, 0, lease.after(lease.T1)
	m.note(Event{Kind: Configured, Old: old})
}

func (m *Machine) informed(now time.Time, r reply) {
	old, lease := m.lease, r.lease
	lease.Addresses, lease.T1, lease.T2, lease.Duration = nil, 0, 0, 0
	lease.Acquired = now
	m.lease = &lease
	m.state, m.attempts, m.next = Informed, 0, now.Add(lease.Refresh)
	m.note(Event{Kind: Configured, Old: old})
}
