package sshserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

const secret = "correct horse"

func withPassword(t *testing.T) func(*Server) {
	t.Helper()
	hash, err := ParsePasswordHash(HashPassword(secret))
	if err != nil {
		t.Fatal(err)
	}
	return func(s *Server) { s.Password = hash }
}

func TestAuthentication(t *testing.T) {
	stranger, _ := newSigner(t)
	shortRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("SKIPPED: this Go makes no 1024 bit keys: ", err)
	}
	short, err := gossh.NewSignerFromKey(shortRSA)
	if err != nil {
		t.Fatal(err)
	}
	keys := startServer(t, nil)
	both := startServer(t, withPassword(t))
	for _, tt := range []struct {
		name string
		ts   *testServer
		user string
		auth []gossh.AuthMethod
		ok   bool
	}{
		{"key bee", keys, "bee", []gossh.AuthMethod{gossh.PublicKeys(keys.key)}, true},
		{"key root", keys, "root", []gossh.AuthMethod{gossh.PublicKeys(keys.key)}, true},
		{"wrong keys first", keys, "bee", []gossh.AuthMethod{gossh.PublicKeys(stranger, short, keys.key)}, true},
		{"wrong key", keys, "bee", []gossh.AuthMethod{gossh.PublicKeys(stranger)}, false},
		{"no method", keys, "bee", nil, false},
		{"unknown user", keys, "admin", []gossh.AuthMethod{gossh.PublicKeys(keys.key)}, false},
		{"empty user", keys, "", []gossh.AuthMethod{gossh.PublicKeys(keys.key)}, false},
		{"password where there is none", keys, "bee", []gossh.AuthMethod{gossh.Password("")}, false},
		{"password bee", both, "bee", []gossh.AuthMethod{gossh.Password(secret)}, true},
		{"wrong password", both, "bee", []gossh.AuthMethod{gossh.Password(secret + "x")}, false},
		{"empty password", both, "bee", []gossh.AuthMethod{gossh.Password("")}, false},
		{"long password", both, "bee", []gossh.AuthMethod{gossh.Password(strings.Repeat("x", 100000))}, false},
		{"password root", both, "root", []gossh.AuthMethod{gossh.Password(secret)}, false},
		{"password unknown user", both, "admin", []gossh.AuthMethod{gossh.Password(secret)}, false},
		{"no method, password server", both, "bee", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.ts.dial(t, tt.user, tt.auth...)
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want success %v", err, tt.ok)
			}
		})
	}
	for _, ts := range []*testServer{keys, both} {
		if strings.Contains(ts.log.String(), secret) {
			t.Error("a password is in the log")
		}
	}
	if want := "accepted publickey for root from 127.0.0.1:"; !strings.Contains(keys.log.String(), want) || !strings.Contains(keys.log.String(), gossh.FingerprintSHA256(keys.key.PublicKey())) {
		t.Errorf("log lacks %q with the key", want)
	}
	if want := "failed password for \"root\" from 127.0.0.1:"; !strings.Contains(both.log.String(), want) {
		t.Errorf("log lacks %q", want)
	}
}

// attempt is the metadata of one authentication attempt.
type attempt struct {
	gossh.ConnMetadata
	user string
}

func (a attempt) User() string { return a.user }

// guardedContext is a connection's context with nothing but its guard.
type guardedContext struct {
	ssh.Context
	base  context.Context
	guard *guard
}

func (c guardedContext) Value(any) any         { return c.guard }
func (c guardedContext) Done() <-chan struct{} { return c.base.Done() }
func (c guardedContext) Err() error            { return c.base.Err() }

// TestUserSwitch: the right password of bee must not open root's door when a
// client changes the user name between two attempts of one connection.
func TestUserSwitch(t *testing.T) {
	s := &Server{Accounts: Accounts()}
	withPassword(t)(s)
	config := s.serverConfig(guardedContext{base: t.Context(), guard: &guard{}})
	for _, user := range []string{"bee", "root", "admin", "bee"} {
		_, err := config.PasswordCallback(attempt{user: user}, []byte(secret))
		if (err == nil) != (user == "bee") {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, err := config.NoClientAuthCallback(attempt{user: "bee"}); err == nil {
		t.Error("the method none was let in")
	}
}

func TestTooManyTries(t *testing.T) {
	ts := startServer(t, func(s *Server) { withPassword(t)(s); s.Limits.AuthTries = 3 })
	tries := 0
	_, err := ts.dial(t, "bee", gossh.RetryableAuthMethod(gossh.PasswordCallback(func() (string, error) {
		tries++
		return "guess", nil
	}), 100))
	if err == nil || tries != 3 {
		t.Errorf("%d tries, error %v; want 3 and an error", tries, err)
	}
}

// TestFailDelay: a wrong password, an unknown user and root are answered alike.
func TestFailDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Accounts: Accounts(), Limits: DefaultLimits()}
		withPassword(t)(s)
		for user, password := range map[string]string{"bee": "guess", "root": secret, "nobody": secret} {
			start := time.Now()
			if _, err := s.checkPassword(t.Context(), user, []byte(password)); err == nil {
				t.Errorf("%s was let in", user)
			}
			if d := time.Since(start); d != s.Limits.FailDelay {
				t.Errorf("%s: answered after %v, want %v", user, d, s.Limits.FailDelay)
			}
		}
		if _, err := s.checkPassword(t.Context(), "bee", []byte(secret)); err != nil {
			t.Error(err)
		}
	})
}

type fakeConn struct {
	answers chan struct{} // one value an answer
	closed  chan struct{}
	asked   atomic.Int32
}

func (c *fakeConn) SendRequest(string, bool, []byte) (bool, []byte, error) {
	c.asked.Add(1)
	select {
	case <-c.answers:
		return false, nil, nil
	case <-c.closed:
		return false, nil, io.EOF
	}
}

func (c *fakeConn) Close() error { close(c.closed); return nil }

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConn{answers: make(chan struct{}, 10), closed: make(chan struct{})}
		for range 5 {
			c.answers <- struct{}{}
		}
		start := time.Now()
		if !keepAlive(t.Context(), c, time.Second, 3) {
			t.Error("a silent client was not closed")
		}
		if d := time.Since(start); d != 8*time.Second || c.asked.Load() != 6 {
			t.Errorf("closed after %v and %d questions, want 8s (5 answered, 3 missed) and 6", d, c.asked.Load())
		}
	})
}
