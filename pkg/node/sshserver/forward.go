package sshserver

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// dialTimeout bounds how long a forwarded connection may take to come up.
const dialTimeout = 15 * time.Second

// directTCPIP is RFC 4254, 7.2, in both directions.
type directTCPIP struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

// handleDirectTCPIP connects a client to somewhere from here (ssh -L, -D, -J).
func (s *Server) handleDirectTCPIP(_ *ssh.Server, _ *gossh.ServerConn, newChan gossh.NewChannel, ctx ssh.Context) {
	var to directTCPIP
	if err := gossh.Unmarshal(newChan.ExtraData(), &to); err != nil || to.Port == 0 || to.Port > 65535 {
		newChan.Reject(gossh.ConnectionFailed, "malformed request")
		return
	}
	own := s.countersOf(ctx)
	if !takeBoth(&own.forwards, &s.forwards) {
		newChan.Reject(gossh.ResourceShortage, "too many forwarded connections")
		return
	}
	defer s.forwards.release()
	defer own.forwards.release()
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		newChan.Reject(gossh.ConnectionFailed, shorten(err.Error(), 256))
		return
	}
	ch, requests, err := newChan.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go gossh.DiscardRequests(requests)
	splice(ctx, ch, conn.(*net.TCPConn))
}

// splice copies both ways, passes the end of one direction on while the other
// goes on, and closes both when both are over or ctx ends.
func splice(ctx context.Context, ch gossh.Channel, conn *net.TCPConn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var copying sync.WaitGroup
	copying.Go(func() {
		io.Copy(ch, conn)
		ch.CloseWrite()
	})
	copying.Go(func() {
		_, err := io.Copy(conn, ch)
		if err != nil {
			conn.Close()
		} else {
			conn.CloseWrite()
		}
	})
	copying.Wait()
	ch.Close()
	conn.Close()
}

// forwardRequest is RFC 4254, 7.1.
type forwardRequest struct {
	Host string
	Port uint32
}

// listeners are a connection's remote forwardings (ssh -R).
type listeners struct {
	max int

	mu   sync.Mutex
	open map[forwardRequest][]net.Listener
}

// handleForwardRequest opens and closes listeners. They take connections from
// this machine only, as with sshd_config(5) GatewayPorts no, and ports below
// 1024 only for root.
func (s *Server) handleForwardRequest(ctx ssh.Context, _ *ssh.Server, req *gossh.Request) (bool, []byte) {
	var r forwardRequest
	if err := gossh.Unmarshal(req.Payload, &r); err != nil || r.Port > 65535 {
		return false, nil
	}
	conn := connOf(ctx)
	if conn == nil {
		return false, nil
	}
	own := s.countersOf(ctx)
	if req.Type == "cancel-tcpip-forward" {
		return own.listeners.close(r), nil
	}
	account, ok := s.account(conn.User())
	if !ok || r.Port > 0 && r.Port < 1024 && account.UID != 0 {
		return false, nil
	}
	port, ls, err := own.listeners.listen(ctx, r)
	if err != nil {
		s.Log.Printf("remote forwarding for %s: %v", account.Name, err)
		return false, nil
	}
	for _, l := range ls {
		go s.acceptForwarded(ctx, conn, own, l, forwardRequest{r.Host, port})
	}
	if r.Port != 0 {
		return true, nil
	}
	return true, gossh.Marshal(struct{ Port uint32 }{port})
}

// listen opens the port on both loopback addresses, or on the one there is.
func (l *listeners) listen(ctx context.Context, r forwardRequest) (port uint32, ls []net.Listener, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.max {
		return 0, nil, errors.New("too many remote forwardings")
	}
	if _, ok := l.open[r]; ok {
		return 0, nil, errors.New("already forwarded")
	}
	port = r.Port
	for _, host := range []string{"127.0.0.1", "::1"} {
		var lc net.ListenConfig
		listener, lerr := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if lerr != nil {
			err = errors.Join(err, lerr)
			continue
		}
		ls = append(ls, listener)
		port = uint32(listener.Addr().(*net.TCPAddr).Port)
	}
	if len(ls) == 0 {
		return 0, nil, err
	}
	if l.open == nil {
		l.open = map[forwardRequest][]net.Listener{}
	}
	l.open[forwardRequest{r.Host, port}] = ls
	context.AfterFunc(ctx, func() { l.close(forwardRequest{r.Host, port}) })
	return port, ls, nil
}

func (l *listeners) close(r forwardRequest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	ls, ok := l.open[r]
	for _, listener := range ls {
		listener.Close()
	}
	delete(l.open, r)
	return ok
}

func (s *Server) acceptForwarded(ctx ssh.Context, conn *gossh.ServerConn, own *connCounters, l net.Listener, at forwardRequest) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			if c != nil {
				c.Close()
			}
			return
		}
		if err != nil { // such as no file descriptors left
			s.Log.Printf("remote forwarding: %v", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		if !takeBoth(&own.forwards, &s.forwards) {
			c.Close()
			continue
		}
		go func() {
			defer s.forwards.release()
			defer own.forwards.release()
			host, port := remote(c.RemoteAddr())
			n, _ := strconv.Atoi(port) // of a TCP address: always a number
			ch, requests, err := conn.OpenChannel("forwarded-tcpip", gossh.Marshal(directTCPIP{at.Host, at.Port, host, uint32(n)}))
			if err != nil {
				c.Close()
				return
			}
			go gossh.DiscardRequests(requests)
			splice(ctx, ch, c.(*net.TCPConn))
		}()
	}
}
