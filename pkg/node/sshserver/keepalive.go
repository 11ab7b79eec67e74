package sshserver

import (
	"context"
	"net"
	"time"

	"github.com/gliderlabs/ssh"
)

// requester is the part of an SSH connection that keepAlive needs.
type requester interface {
	SendRequest(name string, wantReply bool, payload []byte) (bool, []byte, error)
	Close() error
}

// keepAlive asks the client now and then whether it is still there (as
// sshd_config(5) ClientAliveInterval) and closes the connection if not, so
// that sessions of a client that lost its network do not stay.
func (s *Server) keepAlive(ctx ssh.Context, g *guard) {
	// The connection stands in the context soon after authentication.
	timer := time.NewTimer(s.Limits.KeepAlive)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	conn := connOf(ctx)
	if conn == nil {
		s.Log.Printf("connection from %s closed: no session after authentication", g.RemoteAddr())
		g.Close()
		return
	}
	if keepAlive(ctx, conn, s.Limits.KeepAlive, s.Limits.KeepAliveMissed) {
		s.Log.Printf("connection from %s closed: no answer for %v", g.RemoteAddr(), s.Limits.KeepAlive*time.Duration(s.Limits.KeepAliveMissed))
	}
}

// keepAlive returns when ctx ends, or true when it closed conn because a
// question stayed unanswered for missed intervals. Any answer will do: a
// refusal says that the client lives.
func keepAlive(ctx context.Context, conn requester, interval time.Duration, missed int) (dead bool) {
	for {
		answer := make(chan error, 1)
		go func() {
			_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
			answer <- err
		}()
		wait := time.NewTimer(interval * time.Duration(missed))
		select {
		case err := <-answer:
			wait.Stop()
			if err != nil {
				return false // the connection is gone already
			}
		case <-wait.C:
			conn.Close()
			return true
		case <-ctx.Done():
			wait.Stop()
			return false
		}
		next := time.NewTimer(interval)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return false
		}
	}
}

// Listen opens the port for IPv4 and IPv6 at once, link-local addresses too,
// whether or not there is an interface yet: the socket is bound to no address.
// Go clears IPV6_V6ONLY on it and takes 0.0.0.0 where the kernel has no IPv6.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4,
	}}
	// Go's listeners take multipath TCP (RFC 8684) where the kernel has it. Nobody needs
	// it here, and whoever knocks before logging in has that much less to try.
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", address)
}
