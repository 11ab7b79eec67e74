package sshserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// rehearsalLimit bounds how long the server may take to greet itself.
const rehearsalLimit = 5 * time.Second

// Rehearse returns l with one connection of the server's own in it, in memory,
// before those of the network, and tells what it got: nil once the server has
// greeted it (RFC 4253, 4.2), else why not. A server that listens may still have
// nothing to say; one that has greeted does its work, network or not, and what
// that takes is in the processor's caches when the first stranger comes.
func Rehearse(l net.Listener) (net.Listener, <-chan error) { return rehearse(l, rehearsalLimit) }

func rehearse(l net.Listener, limit time.Duration) (net.Listener, <-chan error) {
	here, there := net.Pipe()
	first := make(chan net.Conn, 1)
	first <- ownConn{there}
	greeted := make(chan error, 1)
	here.SetReadDeadline(time.Now().Add(limit)) // fails on a closed pipe alone
	go func() {
		defer here.Close()
		greeted <- readGreeting(here)
	}()
	return &rehearsal{l, first}, greeted
}

func readGreeting(conn net.Conn) error {
	line, err := bufio.NewReader(io.LimitReader(conn, 255)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("wait for our own greeting: %w", err)
	}
	if !strings.HasPrefix(line, "SSH-2.0-") {
		return fmt.Errorf("wait for our own greeting: got %q", line)
	}
	return nil
}

// ownConn is the server's end of the connection that it made to itself.
type ownConn struct{ net.Conn }

// rehearsal is a listener that hands out first before what comes from the network.
type rehearsal struct {
	net.Listener
	first chan net.Conn
}

func (r *rehearsal) Accept() (net.Conn, error) {
	select {
	case c := <-r.first:
		return c, nil
	default:
		return r.Listener.Accept()
	}
}
