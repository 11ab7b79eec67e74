package sshserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// greeted connects and reads the server's identification.
func greeted(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	line := make([]byte, len(identification))
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != identification {
		t.Fatalf("greeted with %q, %v", line, err)
	}
	conn.SetReadDeadline(time.Time{})
	return conn
}

// TestGreetedBeforeServed: who connects before there is a host key is greeted, and
// logs in on that connection once there is one.
func TestGreetedBeforeServed(t *testing.T) {
	var early net.Conn
	ts := startServerOn(t, func(s *Server, l net.Listener) net.Listener {
		r := Receive(l, s.Limits, s.Log)
		early = greeted(t, l.Addr().String())
		return r
	}, nil)
	// The client reads an identification of its own.
	again := rereader{early, io.MultiReader(strings.NewReader(identification), early)}
	conn, chans, reqs, err := gossh.NewClientConn(again, ts.addr, &gossh.ClientConfig{
		User: "bee", Auth: []gossh.AuthMethod{gossh.PublicKeys(ts.key)}, HostKeyCallback: gossh.FixedHostKey(ts.HostKey.PublicKey()),
	})
	if err != nil {
		t.Fatalf("log in over the early connection: %v", err)
	}
	client := gossh.NewClient(conn, chans, reqs)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := session.Output("echo served"); err != nil || string(out) != "served\n" {
		t.Errorf("run a command: %q, %v", out, err)
	}
	if _, err := ts.dial(t, "bee", gossh.PublicKeys(ts.key)); err != nil {
		t.Errorf("a connection that comes later: %v", err)
	}
}

// rereader is a connection whose next bytes come from r.
type rereader struct {
	net.Conn
	r io.Reader
}

func (r rereader) Read(p []byte) (int, error) { return r.r.Read(p) }

// TestReceptionLimits: strangers are counted while nobody serves them.
func TestReceptionLimits(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits()
	limits.Grace = 300 * time.Millisecond
	r := Receive(l, limits, quiet())
	defer r.Close()
	start := time.Now()
	var last net.Conn
	for range limits.PendingPerSource {
		last = greeted(t, l.Addr().String())
	}
	refused, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	if b, err := io.ReadAll(refused); len(b) > 0 || time.Since(start) < limits.Grace && err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("one more than may wait got %q, %v", b, err)
	}
	if b, err := io.ReadAll(last); err != nil || len(b) > 0 || time.Since(start) < limits.Grace {
		t.Errorf("closed after %v: %q, %v", time.Since(start), b, err)
	}
}

// TestReceptionEnds: closing it ends what waits on either side.
func TestReceptionEnds(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	r := Receive(l, DefaultLimits(), quiet())
	conn := greeted(t, l.Addr().String())
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		// One may still find the connection that waits.
		if _, err := r.Accept(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after the end: %v", err)
		}
	}
	if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Error("a connection that nobody will serve is left open")
	}
}

// failing is a listener whose first Accepts fail.
type failing struct {
	net.Listener
	errs chan error
}

func (f failing) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	default:
		return f.Listener.Accept()
	}
}

type tooMany struct{ error }

func (tooMany) Timeout() bool   { return false }
func (tooMany) Temporary() bool { return true }

// TestReceptionPassesErrors: what the listener says reaches the server, which goes
// on after what is temporary.
func TestReceptionPassesErrors(t *testing.T) {
	errs := make(chan error, 2)
	errs <- tooMany{errors.New("too many open files")}
	errs <- tooMany{errors.New("too many open files")}
	ts := startServerOn(t, func(_ *Server, l net.Listener) net.Listener { return failing{l, errs} }, nil)
	if _, err := ts.dial(t, "bee", gossh.PublicKeys(ts.key)); err != nil {
		t.Error(err)
	}
	if len(errs) > 0 {
		t.Error("the errors were not asked for")
	}
}

// TestIdentifiedOnce: a library that says something else than what was sent is an
// error, and not a corrupt stream.
func TestIdentifiedOnce(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	g := newAdmission(DefaultLimits(), quiet()).admit(server)
	defer g.Close()
	if _, err := g.Write([]byte("SSH-2.0-")); err == nil || !strings.Contains(err.Error(), "identified as") {
		t.Errorf("a part of it: %v", err)
	}
	if n, err := g.Write([]byte(identification)); n != len(identification) || err != nil {
		t.Errorf("the identification: %d, %v", n, err)
	}
	go g.Write([]byte("next"))
	b := make([]byte, 4)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "next" {
		t.Errorf("after it came %q, %v", b, err)
	}
}

// TestHostKey: made once a boot, for root's eyes alone; a spoilt one is named.
func TestHostKey(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, _, err := Load(root); err == nil || !strings.Contains(err.Error(), HostKeyPath) {
		t.Errorf("without sshsetup: %v", err)
	}
	if err := root.MkdirAll(Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first, made, err := Load(root)
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	second, made, err := Load(root)
	if err != nil || made || !bytes.Equal(first.HostKey.PublicKey().Marshal(), second.HostKey.PublicKey().Marshal()) {
		t.Errorf("the second time: made %v, %v", made, err)
	}
	if st, err := root.Stat(HostKeyPath); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode of the key: %v, %v", st, err)
	}
	if b, err := root.ReadFile(FingerprintPath); err != nil || string(b) != gossh.FingerprintSHA256(first.HostKey.PublicKey())+"\n" {
		t.Errorf("fingerprint: %q, %v", b, err)
	}
	if err := root.WriteFile(HostKeyPath, []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(root); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("a spoilt key: %v", err)
	}
}
