package sshserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// verifications bounds how many passwords are checked at once: each may cost
// what the operator's hash costs, and strangers choose how many there are.
var verifications = make(chan struct{}, 2)

// extFingerprint names the key in a connection's Permissions.
const extFingerprint = "fingerprint@bee"

// serverConfig sets up one connection. All decisions are made on the user name
// that x/crypto hands to the callback: it belongs to that very attempt.
func (s *Server) serverConfig(ctx ssh.Context) *gossh.ServerConfig {
	g := guardOf(ctx)
	config := &gossh.ServerConfig{
		Config:                  algorithms(),
		PublicKeyAuthAlgorithms: publicKeyAlgorithms(),
		MaxAuthTries:            s.Limits.AuthTries,
		PublicKeyCallback: func(conn gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
			return s.checkKey(conn.User(), key)
		},
		VerifiedPublicKeyCallback: func(_ gossh.ConnMetadata, _ gossh.PublicKey, perms *gossh.Permissions, _ string) (*gossh.Permissions, error) {
			g.key = perms.Extensions[extFingerprint]
			return perms, nil
		},
		AuthLogCallback: func(conn gossh.ConnMetadata, method string, err error) {
			s.authenticated(ctx, g, conn, method, err)
		},
		// gliderlabs, seeing none of its own handlers, allows the method
		// "none"; this forbids it again.
		NoClientAuthCallback: func(gossh.ConnMetadata) (*gossh.Permissions, error) {
			return nil, gossh.ErrNoAuth
		},
	}
	if s.access().Password != nil {
		config.PasswordCallback = func(conn gossh.ConnMetadata, password []byte) (*gossh.Permissions, error) {
			return s.checkPassword(ctx, conn.User(), password)
		}
	}
	return config
}

func (s *Server) checkKey(user string, key gossh.PublicKey) (*gossh.Permissions, error) {
	_, known := s.account(user)
	k, found := s.access().Keys.Find(key)
	if !known || !found {
		return nil, fmt.Errorf("key %s %s is not authorised", key.Type(), gossh.FingerprintSHA256(key))
	}
	return &gossh.Permissions{Extensions: map[string]string{extFingerprint: k.Type + " " + k.Fingerprint}}, nil
}

// checkPassword takes the same time for a wrong password, an unknown user and
// root, for whom no password is right, and for one that is off since this
// connection began.
func (s *Server) checkPassword(ctx context.Context, user string, password []byte) (*gossh.Permissions, error) {
	start := time.Now()
	select {
	case verifications <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	hash := s.access().Password
	right := hash != nil && hash.Verify(password)
	<-verifications
	account, known := s.account(user)
	if right && known && account.Password {
		return &gossh.Permissions{}, nil
	}
	select {
	case <-time.After(time.Until(start.Add(s.Limits.FailDelay))):
	case <-ctx.Done():
	}
	return nil, errors.New("permission denied")
}

// authenticated is told of every attempt.
func (s *Server) authenticated(ctx ssh.Context, g *guard, conn gossh.ConnMetadata, method string, err error) {
	user, from := shorten(conn.User(), 32), conn.RemoteAddr()
	switch {
	case errors.Is(err, gossh.ErrNoAuth):
		return // the client asks which methods there are
	case err != nil:
		g.fail()
		s.Log.Printf("failed %s for %q from %s: %v", shorten(method, 32), user, from, err)
		return
	case !g.succeed():
		s.Log.Printf("closed connection of %s from %s: too many connections", user, from)
		g.Close()
		return
	}
	key := ""
	if method == "publickey" {
		key = ": " + g.key
	}
	s.Log.Printf("accepted %s for %s from %s%s", method, user, from, key)
	go s.keepAlive(ctx, g)
}

// remote splits an address for SSH_CONNECTION and SSH_CLIENT.
func remote(addr net.Addr) (host, port string) {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "UNKNOWN", "0"
	}
	return host, port
}
