package logship

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestRender(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 0, 0, 5000, time.UTC)
	for want, m := range map[string]Message{
		"<30>1 2026-11-21T03:00:00.000005Z bee-1 sshd - - - hello world": {at, facilityDaemon, severityInfo, "sshd", "hello world"},
		"<4>1 - bee-1 kernel - - - a b c":                                {time.Time{}, facilityKernel, 4, "kernel", "a\nb\x00c"},
		"<30>1 - bee-1 - - - - ":                                         {time.Time{}, facilityDaemon, severityInfo, " \n", ""},
	} {
		if got := string(m.Render("bee-1")); got != want {
			t.Errorf("Render = %q, want %q", got, want)
		}
	}
	if n := len(Message{Text: strings.Repeat("ä", maxMessage)}.Render("h")); n > maxMessage {
		t.Errorf("%d bytes", n)
	}
}

func TestTarget(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "udp 192.0.2.1:514", "tcp://log:6514": "tcp log:6514", "tcp://log": "tcp log:601",
		"[2001:db8::1]:5140": "udp [2001:db8::1]:5140", "[2001:db8::1]": "udp [2001:db8::1]:514", "udp://x": "udp x:514",
	} {
		network, addr, err := Target(in)
		if got := network + " " + addr; got != want || err != nil {
			t.Errorf("Target(%q) = %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "tcp://", "http://x/", ":514"} {
		if _, _, err := Target(bad); err == nil {
			t.Errorf("Target(%q) took it", bad)
		}
	}
}

func TestQueueTellsWhatItLost(t *testing.T) {
	q := newQueue()
	for i := range 6 {
		q.put(Message{Program: fmt.Sprint(i), Text: strings.Repeat("x", maxQueue/4)})
	}
	m, err := q.next(context.Background())
	if err != nil || !strings.HasPrefix(m.Text, "2 messages were lost") {
		t.Fatalf("%.40q, %v", m.Text, err)
	}
	q.done(m)
	if m, _ := q.next(context.Background()); m.Program != "2" {
		t.Errorf("then %q", m.Program)
	}
}

// TestOrderOverReconnect has a server that goes away once: nothing that was
// queued is lost but what was under way, and the order stays.
func TestOrderOverReconnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	q := newQueue()
	q.put(Message{Program: "a", Text: "one"})
	go send(ctx, q, sender{network: "tcp", addr: l.Addr().String(), out: io.Discard, host: func() string { return "h" }, ready: func() {}, degraded: func(string) {}})
	read := func(want string) net.Conn {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		n, err := r.ReadString(' ')
		if err != nil {
			t.Fatal(err)
		}
		var size int
		fmt.Sscan(n, &size)
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil || !strings.HasSuffix(string(b), want) {
			t.Fatalf("%q, %v, want …%s", b, err, want)
		}
		return c
	}
	read("one").Close()
	l2 := make(chan struct{})
	go func() { // until the sender sees that the connection is gone
		for i := 0; ctx.Err() == nil; i++ {
			q.put(Message{Program: "a", Text: "more"})
			select {
			case <-l2:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	read("more").Close()
	close(l2)
}

func FuzzRender(f *testing.F) {
	f.Add("host", "prog", "text")
	f.Fuzz(func(t *testing.T, host, program, text string) {
		b := Message{Program: program, Text: text}.Render(host)
		if len(b) > maxMessage || strings.ContainsAny(string(b), "\n\r\x00") {
			t.Fatalf("%q", b)
		}
	})
}
