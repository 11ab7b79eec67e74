package sshserver

import (
	"fmt"
	"log"
	"net"
	"runtime"
	"sync"
)

// softwareVersion is what the server calls itself (RFC 4253, 4.2), and
// identification the line that it says before all else.
const (
	softwareVersion = "bee"
	identification  = "SSH-2.0-" + softwareVersion + "\r\n"
)

// A Reception takes connections in as soon as there is a listener: it admits them
// and sends the server's identification, which either side may at any time (RFC
// 4253, 4.2). The exchange of keys comes when somebody serves them. So a machine
// answers while its host key is still made, and whoever connects in that time
// waits for the rest and is not refused.
type Reception struct {
	net.Listener
	admission *admission
	in        chan arrival
	closed    chan struct{}
	close     sync.Once
}

// arrival is what Accept returns.
type arrival struct {
	g   *guard
	err error
}

// Receive begins to take in what comes to l. Its end is that of the listener it
// returns, which Server.Serve takes.
func Receive(l net.Listener, limits Limits, log *log.Logger) *Reception {
	r := &Reception{Listener: l, admission: newAdmission(limits, log), in: make(chan arrival), closed: make(chan struct{})}
	go r.receive()
	return r
}

func (r *Reception) receive() {
	for {
		conn, err := r.Listener.Accept()
		if err != nil {
			// Whoever serves decides whether this is the end, and how long to wait if not.
			if !r.pass(arrival{err: err}) {
				return
			}
			continue
		}
		if g := r.admission.admit(conn); g == nil {
			conn.Close()
		} else {
			go r.greet(g)
			runtime.Gosched() // on one processor it would wait until all that knock are let in
		}
	}
}

func (r *Reception) greet(g *guard) {
	if _, err := g.Conn.Write([]byte(identification)); err != nil {
		g.Close() // it left already, or was told to
		return
	}
	if !r.pass(arrival{g: g}) {
		g.Close()
	}
}

// pass waits for Accept. It reports false when the reception is closed.
func (r *Reception) pass(a arrival) bool {
	select {
	case r.in <- a:
		return true
	case <-r.closed:
		return false
	}
}

// Accept returns the next connection that was greeted. Its first write must be
// the identification and is not sent again.
func (r *Reception) Accept() (net.Conn, error) {
	select {
	case a := <-r.in:
		if a.err != nil {
			return nil, a.err
		}
		return a.g, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener. Connections that Accept has returned go on.
func (r *Reception) Close() error {
	err := r.Listener.Close()
	r.close.Do(func() { close(r.closed) })
	return err
}

// Write sends p. x/crypto/ssh begins with the identification, which the reception
// has sent.
func (g *guard) Write(p []byte) (int, error) {
	if g.identified { // set before any other goroutine writes
		return g.Conn.Write(p)
	}
	if string(p) != identification {
		return 0, fmt.Errorf("greet: identified as %q, and now as %q", identification, p)
	}
	g.identified = true
	return len(p), nil
}
