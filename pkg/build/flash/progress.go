package flash

import (
	"fmt"
	"io"
	"time"
)

// meter shows how far something is, twice a second, on one line.
type meter struct {
	out  io.Writer
	now  func() time.Time
	what string
	at   int64 // bytes done
	size int64 // bytes

	began, shown time.Time
}

func (m *meter) start(what string, size int64) {
	m.what, m.size, m.at = what, size, 0
	m.began = m.now()
	m.shown = m.began
}

func (m *meter) add(n int64) {
	m.at += n
	if now := m.now(); now.Sub(m.shown) >= 500*time.Millisecond {
		m.shown = now
		fmt.Fprintf(m.out, "\r%s", m.line(now))
	}
}

func (m *meter) done() { fmt.Fprintf(m.out, "\r%s\n", m.line(m.now())) }

// line is wide enough to cover the one before.
func (m *meter) line(now time.Time) string {
	spent := now.Sub(m.began).Seconds()
	s := fmt.Sprintf("%s: %d of %d MB", m.what, m.at/1e6, m.size/1e6)
	if m.size > 0 {
		s += fmt.Sprintf(", %d %%", m.at*100/m.size)
	}
	if spent > 0 && m.at > 0 {
		rate := float64(m.at) / spent
		s += fmt.Sprintf(", %.1f MB/s", rate/1e6)
		if left := m.size - m.at; left > 0 {
			s += fmt.Sprintf(", %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
		}
	}
	return fmt.Sprintf("%-72s", s)
}
