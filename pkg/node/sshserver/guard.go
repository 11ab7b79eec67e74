package sshserver

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A guard is a connection under admission's eye: until it is authenticated it
// may send SSH only, not too much, not too long.
type guard struct {
	net.Conn
	admission *admission
	from      netip.Prefix
	exempt    bool
	grace     *time.Timer

	read       atomic.Int64 // bytes before authentication
	identified bool         // x/crypto/ssh believes that it has sent the identification

	mu            sync.Mutex
	authenticated bool
	closed        bool
	failed        bool   // an authentication attempt did
	key           string // fingerprint of the key that got in
	end           string // why it ended
	penalty       time.Duration
}

// Read passes bytes on, at first as few as needed to see that this is SSH
// (RFC 4253, 4.2: a client sends its version and nothing before it).
func (g *guard) Read(p []byte) (int, error) {
	if g.isAuthenticated() {
		return g.Conn.Read(p)
	}
	n, err := g.Conn.Read(p)
	had := int(g.read.Load())
	for i := range n {
		if at := had + i; at < len("SSH-") && p[i] != "SSH-"[at] {
			g.setEnd(errNotSSH.Error(), penaltyGarbage)
			return 0, errNotSSH
		}
	}
	g.read.Add(int64(n))
	if had+n > g.admission.limits.PreAuthBytes {
		g.setEnd(errTooMuch.Error(), penaltyGarbage)
		return 0, errTooMuch
	}
	return n, err
}

// SetDeadline does nothing: gliderlabs resets deadlines with every read and
// write, and none of its is in use.
func (g *guard) SetDeadline(time.Time) error { return nil }

func (g *guard) isAuthenticated() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authenticated
}

// succeed ends the stranger's time. It reports false if there are too many
// connections already.
func (g *guard) succeed() bool {
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.drop(g) {
		return false // evicted meanwhile
	}
	g.grace.Stop()
	if a.active >= a.limits.Connections {
		g.setEnd("too many connections", 0)
		return false
	}
	a.active++
	a.sources[g.from].until = time.Time{}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.authenticated = true
	return true
}

// setEnd notes why the connection ends and what that costs; the first reason
// stays.
func (g *guard) setEnd(why string, penalty time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.end == "" {
		g.end, g.penalty = why, penalty
	}
}

// fail notes a refused authentication.
func (g *guard) fail() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = true
}

// Close gives the place back and settles the account, once.
func (g *guard) Close() error {
	err := g.Conn.Close()
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return err
	}
	g.closed = true
	authenticated, failed, end, penalty := g.authenticated, g.failed, g.end, g.penalty
	g.mu.Unlock()

	g.grace.Stop()
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(g)
	if authenticated {
		a.active--
		return err
	}
	switch {
	case failed:
		end, penalty = "authentication failed", max(penalty, penaltyAuthFail)
	case end == "" && g.read.Load() == 0:
		// A port probe, or many that were on their way before anybody listened:
		// it cost nothing, and somebody who waits for this machine sends them.
		end = "left without a word"
	case end == "":
		end, penalty = "left before authentication", penaltyNoAuth
	}
	if !g.exempt {
		a.penalise(g.from, penalty)
	}
	a.strangerLeft(g.RemoteAddr(), end)
	return err
}

// strangerLeft logs the end of an unauthenticated connection, as sparsely as
// refusals.
func (a *admission) strangerLeft(addr net.Addr, why string) {
	now := time.Now()
	a.left++
	if now.Sub(a.toldLeft) < logEvery/10 {
		return
	}
	more := ""
	if a.left > 1 {
		more = fmt.Sprintf(" (and %d others)", a.left-1)
	}
	a.log.Printf("connection from %s closed: %s%s", addr, why, more)
	a.toldLeft, a.left = now, 0
}
