package sshserver

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// serveRehearsed starts a server on a listener with a rehearsal.
func serveRehearsed(t *testing.T) (*testServer, <-chan error) {
	t.Helper()
	var greeted <-chan error
	ts := startServerOn(t, func(l net.Listener) net.Listener {
		l, greeted = Rehearse(l)
		return l
	}, nil)
	return ts, greeted
}

func TestRehearse(t *testing.T) {
	ts, greeted := serveRehearsed(t)
	select {
	case err := <-greeted:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the server did not greet itself")
	}
	// Strangers after it are served, and the rehearsal is no stranger who left.
	if _, err := ts.dial(t, "bee", gossh.PublicKeys(ts.key)); err != nil {
		t.Error(err)
	}
	eventually(t, "the rehearsal's place is not given back", func() bool {
		ts.admission.mu.Lock()
		defer ts.admission.mu.Unlock()
		return len(ts.admission.pending) == 0
	})
	if log := ts.log.String(); strings.Contains(log, "pipe") || strings.Contains(log, "left") {
		t.Errorf("the log speaks of the rehearsal:\n%s", log)
	}
}

func TestRehearsalTells(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		want  string
	}{
		{"silent", func(net.Conn) {}, "timeout"},
		{"closes", func(c net.Conn) { c.Close() }, "EOF"},
		{"other protocol", func(c net.Conn) { io.WriteString(c, "220 mail\r\n") }, `got "220 mail`},
		{"no end", func(c net.Conn) { io.WriteString(c, "SSH-2.0-"+strings.Repeat("x", 300)) }, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "localhost:0")
			if err != nil {
				t.Fatal(err)
			}
			defer inner.Close()
			l, greeted := rehearse(inner, 200*time.Millisecond)
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go c.serve(conn)
			if err := <-greeted; err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			// What comes next comes from the network.
			client, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			conn, err = l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		})
	}
}
