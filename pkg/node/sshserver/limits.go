package sshserver

import (
	"sync"
	"time"
)

// Limits bound what strangers and operators may take.
type Limits struct {
	Pending          int           // connections before authentication, all sources
	PendingPerSource int           // of one source (IPv4 address, IPv6 /64, link-local address)
	Connections      int           // authenticated connections
	Sessions         int           // running sessions, all connections
	SessionsPerConn  int           // as sshd_config(5) MaxSessions
	Forwards         int           // forwarded streams, all connections
	ForwardsPerConn  int           // forwarded streams of one connection
	ListenersPerConn int           // remote forwardings of one connection
	PreAuthBytes     int           // what a stranger may send in all
	AuthTries        int           // as MaxAuthTries: every key offered counts, and an agent holds several
	Grace            time.Duration // from connect to authenticated
	FailDelay        time.Duration // before a wrong password is answered
	KeepAlive        time.Duration // between questions whether the client is still there
	KeepAliveMissed  int           // unanswered ones after which it is not
	HangupGrace      time.Duration // from SIGHUP to SIGKILL after a disconnect
	DrainIdle        time.Duration // how long output of stragglers is waited for after the command ended
}

// DefaultLimits are the node's.
func DefaultLimits() Limits {
	return Limits{
		Pending: 32, PendingPerSource: 8, Connections: 64,
		Sessions: 128, SessionsPerConn: 10,
		Forwards: 512, ForwardsPerConn: 128, ListenersPerConn: 16,
		PreAuthBytes: 1 << 20, AuthTries: 6,
		Grace: 30 * time.Second, FailDelay: 1500 * time.Millisecond,
		KeepAlive: 30 * time.Second, KeepAliveMissed: 3,
		HangupGrace: 5 * time.Second, DrainIdle: 500 * time.Millisecond,
	}
}

// A counter admits up to max holders at once.
type counter struct {
	max int

	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0; nil while nobody asked
}

func (c *counter) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n >= c.max {
		return false
	}
	c.n++
	return true
}

func (c *counter) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.n == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// drained is closed as soon as nobody holds the counter.
func (c *counter) drained() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	if c.n == 0 {
		close(c.idle)
		c.idle = nil
	}
	return idle
}
