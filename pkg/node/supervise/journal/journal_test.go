package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

func TestRingIsBoundedAndCounts(t *testing.T) {
	l := New(Config{Clock: NewClock(0)}).Log("a")
	const lines = 5000
	written := 0
	for i := range lines {
		text := fmt.Sprintf("line %04d %s", i, strings.Repeat("x", 50))
		written += len(text) + 1
		fmt.Fprintln(l, text)
	}
	kept := l.j.Lines("a", 0)
	size, bytes := 0, 0
	for _, k := range kept {
		size += len(k.Text) + lineCost
		bytes += len(k.Text) + 1
	}
	if size > RingBytes || size < RingBytes-200 {
		t.Errorf("%d bytes kept of %d", size, RingBytes)
	}
	if got := l.Dropped(); got != uint64(written-bytes) {
		t.Errorf("%d dropped, want %d", got, written-bytes)
	}
	if last := kept[len(kept)-1].Text; !strings.HasPrefix(last, "line 4999") {
		t.Errorf("last is %q", last)
	}
	if got := l.j.Lines("a", 3); len(got) != 3 {
		t.Errorf("%d lines of 3", len(got))
	}
}

func TestLines(t *testing.T) {
	j := New(Config{Clock: NewClock(0)})
	l := j.Log("a")
	fmt.Fprint(l, "half ")
	fmt.Fprint(l, "whole\r\n\x1b[31mred\x1b[0m \x07bell \xff\nlast")
	fmt.Fprint(l, strings.Repeat("y", 2*MaxLine))
	l.Flush()
	var got []string
	for _, e := range j.Lines("a", 0) {
		got = append(got, e.Text)
	}
	if len(got) != 5 || got[0] != "half whole" || got[1] != "red ?bell ?" || len(got[2]) != MaxLine || len(got[2])+len(got[3])+len(got[4]) != 4+2*MaxLine {
		t.Errorf("%.80q", got)
	}
}

func TestSlowFollowerIsCutOff(t *testing.T) {
	j := New(Config{Clock: NewClock(0)})
	_, f := j.FollowLines("", 0)
	defer f.Stop()
	for range queueLen + 10 {
		fmt.Fprintln(j.Log("a"), "x")
	}
	n := 0
	for range f.C() { // closed, or this does not end
		n++
	}
	if n != queueLen {
		t.Errorf("%d lines", n)
	}
}

func TestEventsOfOneDoNotPushOutAnothers(t *testing.T) {
	j := New(Config{Clock: NewClock(0)})
	j.Event(control.Event{Service: "quiet", State: control.Failed, Text: "once"})
	for range 10 * KeptEvents {
		j.Event(control.Event{Service: "loud", State: control.Backoff})
	}
	if n := len(j.Events("loud", 0)); n != KeptEvents {
		t.Errorf("%d kept", n)
	}
	if all := j.Events("", 0); len(all) != KeptEvents+1 || all[0].Service != "quiet" {
		t.Errorf("%d in all", len(all))
	}
}

func TestFileIsRotated(t *testing.T) {
	dir := t.TempDir()
	l := New(Config{Clock: NewClock(0), Dir: filepath.Join(dir, "log")}).Log("a")
	for range 3 * FileBytes / 1000 {
		fmt.Fprintln(l, strings.Repeat("z", 1000))
	}
	for _, name := range []string{"a.log", "a.log.1"} {
		st, err := os.Stat(filepath.Join(dir, "log", name))
		if err != nil || st.Size() > FileBytes {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
}

func TestUnwritableFileIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "log")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newFile(blocked, "a")
	at := func(d time.Duration) { w.write(control.LogLine{Uptime: d, Text: "text"}) }
	at(time.Second)
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	at(2 * time.Second) // too early
	at(7 * time.Second)
	b, err := os.ReadFile(filepath.Join(blocked, "a.log"))
	if err != nil || !strings.Contains(string(b), "2 lines could not be written") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestKernelLogIsRateLimited(t *testing.T) {
	var got []string
	l := newLimiter(func(s string) { got = append(got, s) }, "a")
	for range 3 * kernelBurst {
		l.write(time.Second, "x")
	}
	if n := len(got); n != kernelBurst {
		t.Errorf("%d lines at once", n)
	}
	l.write(2*time.Second, "y")
	if last := got[len(got)-1]; last != fmt.Sprintf("bee: a: y (%d lines before this one left out)", 2*kernelBurst) {
		t.Error(last)
	}
}
