package sshserver

import (
	"errors"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Penalties in the way of sshd_config(5) PerSourcePenalties: a source that
// fails collects time, and once that exceeds penaltyThreshold it is refused
// until it has run off. The cap is low, for the operator may share the address
// of the one who fails; a login clears it. Loopback is never refused.
const (
	penaltyThreshold = 15 * time.Second
	penaltyCap       = 2 * time.Minute
	penaltyNoAuth    = 500 * time.Millisecond // spoke and went: each exchange of keys costs time
	penaltyAuthFail  = 5 * time.Second
	penaltyGrace     = 10 * time.Second
	penaltyGarbage   = 2 * time.Second // does not speak SSH
	maxSources       = 4096
	logEvery         = 10 * time.Second // refusals, all sources together
)

// errNotSSH is the error of a connection that does not begin with "SSH-".
var errNotSSH = errors.New("not an SSH client")

// errTooMuch is the error of a stranger who sends without logging in.
var errTooMuch = errors.New("too many bytes before authentication")

// admission decides which connections are served. Before authentication each
// is a guard in pending.
type admission struct {
	limits Limits
	log    *log.Logger

	mu      sync.Mutex
	pending []*guard // oldest first
	active  int      // authenticated
	sources map[netip.Prefix]*source

	refused, left         int // since the last line about it
	toldRefused, toldLeft time.Time
}

// source is what is remembered about where connections come from.
type source struct {
	pending int
	until   time.Time // penalties end
}

func newAdmission(limits Limits, log *log.Logger) *admission {
	return &admission{limits: limits, log: log, sources: map[netip.Prefix]*source{}}
}

// admit wraps conn in a guard, or returns nil if it is to be closed. With all
// places taken the oldest stranger of the source that holds most of them must
// go: one who means to log in has done so long before.
func (a *admission) admit(conn net.Conn) *guard {
	from, exempt := sourceOf(conn.RemoteAddr())
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	src := a.sources[from]
	if src == nil {
		if len(a.sources) >= maxSources {
			a.forget(now)
		}
		src = &source{}
		a.sources[from] = src
	}
	if !exempt && src.until.Sub(now) > penaltyThreshold {
		a.refuse(now, conn, "too many failures from there")
		return nil
	}
	if src.pending >= a.limits.PendingPerSource {
		a.refuse(now, conn, "too many unauthenticated connections from there")
		return nil
	}
	if len(a.pending) >= a.limits.Pending {
		a.evict()
	}
	g := &guard{Conn: conn, admission: a, from: from, exempt: exempt}
	a.pending = append(a.pending, g)
	src.pending++
	g.grace = time.AfterFunc(a.limits.Grace, func() {
		g.setEnd("no login in time", penaltyGrace)
		conn.Close()
	})
	return g
}

// evict closes a pending connection; its guard leaves the list here so that
// the place is free at once.
func (a *admission) evict() {
	victim := slices.MaxFunc(a.pending, func(x, y *guard) int {
		return a.sources[x.from].pending - a.sources[y.from].pending // the first of equals: the oldest
	})
	a.drop(victim)
	victim.setEnd("its place was needed", penaltyNoAuth)
	victim.Conn.Close()
}

// drop takes g off the pending list.
func (a *admission) drop(g *guard) bool {
	i := slices.Index(a.pending, g)
	if i < 0 {
		return false
	}
	a.pending = slices.Delete(a.pending, i, i+1)
	a.sources[g.from].pending--
	return true
}

// refuse writes at most one line each logEvery: a flood must not push the rest
// out of the log.
func (a *admission) refuse(now time.Time, conn net.Conn, why string) {
	a.refused++
	if now.Sub(a.toldRefused) < logEvery {
		return
	}
	a.log.Printf("refused %s: %s (%d refused since the last such line)", conn.RemoteAddr(), why, a.refused)
	a.toldRefused, a.refused = now, 0
}

// penalise adds d to a source's account.
func (a *admission) penalise(from netip.Prefix, d time.Duration) {
	src := a.sources[from]
	if src == nil {
		return
	}
	now := time.Now()
	if src.until.Before(now) {
		src.until = now
	}
	src.until = src.until.Add(d)
	if limit := now.Add(penaltyCap); src.until.After(limit) {
		src.until = limit
	}
}

// forget makes room in sources: those that owe nothing, else whoever is free
// first.
func (a *admission) forget(now time.Time) {
	var first netip.Prefix
	var until time.Time
	for from, src := range a.sources {
		if src.pending > 0 {
			continue
		}
		if !src.until.After(now) {
			delete(a.sources, from)
		} else if until.IsZero() || src.until.Before(until) {
			first, until = from, src.until
		}
	}
	if len(a.sources) >= maxSources {
		delete(a.sources, first)
	}
}

// sourceOf is whom penalties and limits are counted for; exempt ones are
// limited but never penalised.
func sourceOf(addr net.Addr) (from netip.Prefix, exempt bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, true
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLinkLocalUnicast() && !ip.IsLoopback() {
		bits = 64 // one subscriber
	}
	from, err := ip.WithZone("").Prefix(bits)
	return from, err != nil || ip.IsLoopback()
}
