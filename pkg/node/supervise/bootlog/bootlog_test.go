package bootlog

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
)

// screen is a console that hands over each line that it shows.
type screen chan string

func (s screen) Write(b []byte) (int, error) { s <- string(b); return len(b), nil }

func (s screen) want(t *testing.T, text string) {
	t.Helper()
	select {
	case got := <-s:
		if got != text+"\r\n" {
			t.Errorf("shown %q, want %q", got, text)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%q was never shown", text)
	}
}

func TestLateConsoleSeesTheBacklog(t *testing.T) {
	c := &Console{}
	c.Print("early")
	s := make(screen)
	c.Attach("tty1", s)
	c.Print("late")
	s.want(t, "early")
	s.want(t, "late")
}

func TestOwnerSilencesTheLog(t *testing.T) {
	c, s := &Console{}, make(screen)
	c.Attach("tty1", s)
	first, release := c.Take()
	second, _ := c.Take()
	<-first // lost to the second
	c.Print("unseen")
	c.Force("last words")
	s.want(t, "last words")
	release() // of one that is no longer the owner
	if !c.Owned() {
		t.Error("the first owner gave away what belongs to the second")
	}
	c.Release()
	<-second
	if c.Owned() {
		t.Error("still owned after Release")
	}
	c.Print("back")
	s.want(t, "back")
}

func TestBlockedConsoleHoldsNobodyUp(t *testing.T) {
	blocked := 0
	c := &Console{Blocked: func(string) { blocked++ }}
	r, w := io.Pipe() // nobody reads yet
	c.Attach("ttyS0", w)
	other := make(screen, 4*queueLen)
	c.Attach("tty1", other)
	for i := range 2 * queueLen {
		line := fmt.Sprint(i)
		c.Print(line)
		other.want(t, line)
		for i == 0 && len(c.devices[0].queue) > 0 {
			time.Sleep(time.Millisecond) // until its goroutine holds the first: taken later, it would make room once more
		}
	}
	if blocked != 1 {
		t.Errorf("told %d times, want once", blocked)
	}
	if _, err := io.ReadFull(r, make([]byte, len("0\r\n")*queueLen/4)); err != nil {
		t.Fatal(err)
	}
	r.Close()
}

func TestLine(t *testing.T) {
	for _, tt := range []struct {
		e     control.Event
		debug bool
		text  string // that it ends with
		show  bool
	}{
		{control.Event{Service: "sshd", State: control.Ready, Text: "port 22"}, false, " sshd (port 22)", true},
		{control.Event{Service: "sshd", State: control.Failed, Text: "port taken"}, false, " sshd: port taken", true},
		{control.Event{Service: "sshd", State: control.Starting}, false, " sshd", false},
		{control.Event{Service: "sshd", State: control.Starting}, true, " sshd", true},
		{control.Event{Service: "sshd", Text: "quiet"}, false, " sshd: quiet", false},
		{control.Event{Service: "sshd", Text: "loud", Urgent: true}, false, " sshd: loud", true},
		{control.Event{Service: journal.PID1, Text: "hello"}, false, " " + journal.PID1 + ": hello", true},
	} {
		line, show := Line(tt.e, tt.debug)
		if show != tt.show || !strings.HasSuffix(line, tt.text) {
			t.Errorf("%+v, debug %v: %q %v, want …%q %v", tt.e, tt.debug, line, show, tt.text, tt.show)
		}
	}
}
