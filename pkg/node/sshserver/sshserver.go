// Package sshserver lets operators in: it settles who may log in (Setup), greets
// strangers at once (Receive), makes the host key at first boot (Load), serves SSH
// (Server), and serves files (ServeSFTP).
// It is the sole importer of gliderlabs/ssh, x/crypto/ssh and pkg/sftp.
//
// gliderlabs/ssh carries the connections. Authentication goes straight to
// x/crypto/ssh, because gliderlabs remembers the first user name that a
// connection tries and a client may change it between attempts; sessions are
// ours too, for exit signals, terminal modes and half-closed streams.
//
// Files, below the root: etc/bee/authorized_keys (baked into the image),
// run/bee/ssh/{host_key,authorized_keys,authorized_keys.late,password.hash,
// console-password} (0600),
// run/bee/ssh-fingerprint (0644), run/bee/motd. Kernel parameters:
// bee.ssh_key, bee.password_hash.
//
// One process reads bytes from strangers as root: there is no privilege
// separation before authentication as OpenSSH has it. What stands in for it is
// a memory-safe parser, admission limits, and that nothing else lives there.
package sshserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// A Server lets accounts in by key or password and runs their sessions.
// Fill all fields before Serve; nil Password means no password logins.
type Server struct {
	HostKey  gossh.Signer
	Keys     KeySet
	Password *PasswordHash
	Reload   func() (Access, error) // asked at every attempt who may log in now; nil: Keys and Password for ever
	Accounts []Account
	Limits   Limits
	Starter  Starter
	SFTP     []string    // command of the sftp subsystem, run as the session's user
	Root     fs.FS       // for run/bee/motd
	Log      *log.Logger // authentications and refusals; never a secret

	admission *admission
	sessions  counter
	forwards  counter
}

// Serve accepts connections from l, which may be a Reception, until ctx ends, then
// closes l and every connection and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.HostKey == nil {
		l.Close()
		return errors.New("serve SSH: no host key")
	}
	r, received := l.(*Reception)
	if !received {
		r = Receive(l, s.Limits, s.Log)
	}
	s.admission = r.admission
	s.sessions.max = s.Limits.Sessions
	s.forwards.max = s.Limits.Forwards
	srv := &ssh.Server{
		Version:              softwareVersion,
		HostSigners:          []ssh.Signer{s.HostKey},
		ServerConfigCallback: s.serverConfig,
		ConnCallback: func(ctx ssh.Context, conn net.Conn) net.Conn {
			ctx.SetValue(guardKey{}, conn.(*guard)) // what a Reception accepts
			return conn
		},
		ConnectionFailedCallback: func(conn net.Conn, err error) {}, // the guard logs it
		ChannelHandlers: map[string]ssh.ChannelHandler{
			"session":      s.handleSession,
			"direct-tcpip": s.handleDirectTCPIP,
		},
		RequestHandlers: map[string]ssh.RequestHandler{
			"tcpip-forward":        s.handleForwardRequest,
			"cancel-tcpip-forward": s.handleForwardRequest,
		},
		SubsystemHandlers: map[string]ssh.SubsystemHandler{},
	}
	stop := context.AfterFunc(ctx, func() {
		if err := srv.Close(); err != nil {
			s.Log.Printf("close listener: %v", err)
		}
	})
	defer stop()
	err := srv.Serve(r)
	if ctx.Err() != nil {
		srv.Close() // a connection may have come in between
		select {
		case <-s.sessions.drained():
		case <-time.After(2 * s.Limits.HangupGrace): // they were killed after one
		}
		return nil
	}
	return fmt.Errorf("serve SSH on %s: %w", l.Addr(), err)
}

// guardKey finds a connection's guard in its context.
type guardKey struct{}

func guardOf(ctx ssh.Context) *guard {
	g, ok := ctx.Value(guardKey{}).(*guard)
	if !ok {
		panic("sshserver: connection without guard") // ConnCallback always sets it
	}
	return g
}

// connOf is the connection that ctx belongs to, nil before authentication.
func connOf(ctx ssh.Context) *gossh.ServerConn {
	conn, _ := ctx.Value(ssh.ContextKeyConn).(*gossh.ServerConn)
	return conn
}
