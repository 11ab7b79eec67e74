package sshserver

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// addrConn is a connection from a made-up address.
type addrConn struct {
	net.Conn
	from net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.from }

// arrive is a connection from addr to a, and its client's end.
func arrive(t *testing.T, a *admission, addr string) (*guard, net.Conn) {
	t.Helper()
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server, client := net.Pipe()
	return a.admit(addrConn{server, tcp}), client
}

func isClosed(conn net.Conn) bool {
	conn.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func TestAdmissionPerSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		limits.PendingPerSource = 2
		a := newAdmission(limits, quiet())
		for _, addr := range []string{"192.0.2.1:1", "192.0.2.1:2", "[2001:db8::1]:1", "[2001:db8::2]:1", "[fe80::1%1]:1", "[fe80::2%1]:1", "[fe80::1%1]:2"} {
			if g, _ := arrive(t, a, addr); g == nil {
				t.Errorf("%s was refused", addr)
			}
		}
		for _, addr := range []string{"192.0.2.1:3", "[::ffff:192.0.2.1]:4", "[2001:db8::ffff:3]:1", "[fe80::1%1]:3"} {
			if g, _ := arrive(t, a, addr); g != nil {
				t.Errorf("%s was let in", addr)
			}
		}
		time.Sleep(limits.Grace + time.Second)
		synctest.Wait()
	})
}

func TestAdmissionEvicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		limits.Pending = 3
		a := newAdmission(limits, quiet())
		_, one := arrive(t, a, "192.0.2.1:1")
		_, two := arrive(t, a, "192.0.2.2:1")
		_, three := arrive(t, a, "192.0.2.2:2")
		if g, _ := arrive(t, a, "192.0.2.3:1"); g == nil {
			t.Fatal("no place was made")
		}
		if isClosed(one) || !isClosed(two) || isClosed(three) {
			t.Error("not the oldest of the source with most connections had to go")
		}
		time.Sleep(limits.Grace + time.Second)
	})
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		a := newAdmission(limits, quiet())
		g, client := arrive(t, a, "192.0.2.1:1")
		in, inClient := arrive(t, a, "192.0.2.2:1")
		time.Sleep(limits.Grace - time.Second)
		if !in.succeed() {
			t.Fatal("not let in")
		}
		if isClosed(client) {
			t.Fatal("closed too early")
		}
		time.Sleep(2 * time.Second)
		if !isClosed(client) || isClosed(inClient) {
			t.Error("grace: the stranger must go, the operator stay")
		}
		g.Close()
		in.Close()
		if len(a.pending) != 0 || a.active != 0 {
			t.Errorf("%d pending and %d active are left", len(a.pending), a.active)
		}
	})
}

func TestPenalties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out testLog
		a := newAdmission(DefaultLimits(), log.New(&out, "", 0))
		fail := func(addr string) bool {
			g, _ := arrive(t, a, addr)
			if g == nil {
				return false
			}
			g.fail()
			g.Close()
			return true
		}
		failures := 0
		for fail("192.0.2.1:1") {
			failures++
			if failures > 100 {
				t.Fatal("never refused")
			}
		}
		if want := int(penaltyThreshold/penaltyAuthFail) + 1; failures != want {
			t.Errorf("refused after %d failures, want %d", failures, want)
		}
		for range 1000 {
			if fail("192.0.2.1:2") {
				t.Fatal("let in again at once")
			}
		}
		if n := strings.Count(out.String(), "\n"); n > 10 {
			t.Errorf("%d log lines about one flood", n)
		}
		if !fail("192.0.2.9:1") {
			t.Error("someone else pays")
		}
		time.Sleep(penaltyThreshold)
		if !fail("192.0.2.1:3") {
			t.Error("refused for ever")
		}
		// A login clears the account.
		time.Sleep(penaltyCap)
		fail("192.0.2.1:4")
		g, _ := arrive(t, a, "192.0.2.1:5")
		if !g.succeed() {
			t.Fatal("not let in")
		}
		g.Close()
		if left := time.Until(a.sources[g.from].until); left > 0 {
			t.Errorf("%v are left after a login", left)
		}
		for range 100 {
			if !fail("127.0.0.1:1") {
				t.Fatal("loopback is refused")
			}
		}
	})
}

// Whoever waits for the machine to come up probes its port, and a hundred
// probes may arrive at once when it does: none of them costs the login that
// follows. Those who speak and leave do pay.
func TestProbesCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(DefaultLimits(), quiet())
		for range 500 {
			g, client := arrive(t, a, "192.0.2.1:1")
			if g == nil {
				t.Fatal("a probe is refused")
			}
			client.Close()
			g.Close()
		}
		refused := false
		for range 100 {
			g, client := arrive(t, a, "192.0.2.1:1")
			if refused = g == nil; refused {
				break
			}
			go func() {
				_, err := client.Write([]byte("SSH-2.0-x\r\n"))
				if err != nil {
					t.Error(err)
				}
			}()
			if _, err := g.Read(make([]byte, 64)); err != nil {
				t.Fatal(err)
			}
			g.Close()
		}
		if !refused {
			t.Error("who speaks and leaves is never refused")
		}
	})
}

func TestSourcesAreBounded(t *testing.T) {
	a := newAdmission(DefaultLimits(), quiet())
	for i := range 3 * maxSources {
		tcp := &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 1}
		server, client := net.Pipe()
		client.Close()
		if g := a.admit(addrConn{server, tcp}); g != nil {
			g.Close()
		}
	}
	if len(a.sources) > maxSources {
		t.Errorf("%d sources are remembered, want at most %d", len(a.sources), maxSources)
	}
}

// TestGarbage: bytes that are not SSH cost a read, however many there are.
func TestGarbage(t *testing.T) {
	ts := startServer(t, nil)
	for name, begin := range map[string]string{
		"from the first byte":  strings.Repeat("\x00garbage\n", 1000),
		"lines":                strings.Repeat("GET / HTTP/1.1\r\n", 1000),
		"after the version":    "SSH-2.0-x\r\n" + strings.Repeat("\xff", 10000),
		"endless version line": "SSH-" + strings.Repeat("x", 10000),
		"zero packets":         "SSH-2.0-x\r\n" + strings.Repeat("\x00", 10000),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", ts.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			sent := 0
			chunk := []byte(begin)
			for sent < 64<<20 {
				n, err := conn.Write(chunk)
				sent += n
				if err != nil {
					break
				}
			}
			if sent >= 64<<20 {
				t.Error("64 MiB of garbage were taken")
			}
		})
	}
	ts.login(t) // and it still serves
}

func TestListenDualStack(t *testing.T) {
	l, err := Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.1"}
	if b, err := os.ReadFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6"); err == nil && b[0] == '0' {
		hosts = append(hosts, "::1")
	}
	for _, host := range hosts {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Error(err)
			continue
		}
		conn.Close()
	}
}
