package fetch

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// meter shows how a set of downloads goes: one line that is rewritten on a
// terminal, plain lines now and then elsewhere. Nothing is shown for blobs that
// are in the cache already. A nil writer makes it silent.
type meter struct {
	out   io.Writer
	width int // of the terminal, in columns; 0: not a terminal
	every time.Duration

	mu      sync.Mutex
	began   time.Time
	ended   chan struct{} // closed by stop; nil before the first begin
	gone    chan struct{} // closed when the painting goroutine is
	tasks   []*task       // running
	files   int           // done
	bytes   int64         // downloaded, running ones too
	total   int64         // of all begun
	begun   int
	painted bool // the cursor's line holds a bar
}

// task is one blob's share of a meter.
type task struct {
	m    *meter
	b    Blob
	have int64
}

func newMeter(out io.Writer) *meter {
	m := &meter{out: out, every: 2 * time.Second}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		m.width, m.every = 80, 100*time.Millisecond
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			m.width = w
		}
	}
	return m
}

// begin announces a download.
func (m *meter) begin(b Blob) *task {
	t := &task{m: m, b: b}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks = append(m.tasks, t)
	m.total += b.Size
	m.begun++
	if m.ended == nil && m.out != nil {
		m.began = time.Now()
		m.ended, m.gone = make(chan struct{}), make(chan struct{})
		go m.run()
	}
	return t
}

func (m *meter) run() {
	defer close(m.gone)
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for {
		select {
		case <-m.ended:
			return
		case <-tick.C:
			m.mu.Lock()
			m.paint()
			m.mu.Unlock()
		}
	}
}

// stop ends the display with a line that sums up.
func (m *meter) stop() {
	if m.ended == nil {
		return
	}
	close(m.ended)
	<-m.gone
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	took := time.Since(m.began)
	fmt.Fprintf(m.out, "fetch: %d of %d files, %s in %.1f s, %s\n", m.files, m.begun, bytesText(m.bytes), took.Seconds(), rateText(m.bytes, took))
}

// say prints a line of its own.
func (m *meter) say(format string, args ...any) {
	if m.out == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	fmt.Fprintf(m.out, "fetch: "+format+"\n", args...)
}

func (m *meter) clear() {
	if m.painted {
		fmt.Fprint(m.out, "\r\x1b[K")
		m.painted = false
	}
}

// paint shows the state; m.mu is held.
func (m *meter) paint() {
	if len(m.tasks) == 0 {
		return
	}
	var have int64
	for _, t := range m.tasks {
		have += t.have
	}
	line := fmt.Sprintf("fetch: %d/%d  %s  %s", m.files, m.begun, bytesText(m.bytes), rateText(m.bytes, time.Since(m.began)))
	// The largest is what one waits for.
	big := slices.MaxFunc(m.tasks, func(a, b *task) int { return int(min(max(a.b.Size-b.b.Size, -1), 1)) })
	line += fmt.Sprintf("  %s %d%%", big.b.Name, 100*big.have/max(big.b.Size, 1))
	if m.width == 0 {
		fmt.Fprintln(m.out, line)
		return
	}
	bar := m.bar(20)
	line = line[:len("fetch: ")] + bar + " " + line[len("fetch: "):]
	if len(line) > m.width-1 {
		line = line[:m.width-1]
	}
	fmt.Fprint(m.out, "\r"+line+"\x1b[K")
	m.painted = true
}

// bar draws the share of the known bytes that is there.
func (m *meter) bar(width int) string {
	full := int(int64(width) * m.bytes / max(m.total, 1))
	full = min(max(full, 0), width)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

func (t *task) say(format string, args ...any) { t.m.say(format, args...) }

// set tells how many bytes of the blob are there now.
func (t *task) set(have int64) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.bytes += have - t.have
	t.have = have
}

// done counts the file.
func (t *task) done(source) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.files++
}

// end takes the task off the display.
func (t *task) end() {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.m.tasks = slices.DeleteFunc(t.m.tasks, func(o *task) bool { return o == t })
}

func bytesText(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

func rateText(n int64, took time.Duration) string {
	return fmt.Sprintf("%.1f MB/s", float64(n)/1e6/max(took.Seconds(), 0.001))
}
