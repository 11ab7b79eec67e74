// Package journal keeps what services write and what happens to them: a ring
// in RAM a service, bounded in bytes, with a count of what fell out; a file a
// service, bounded too; the kernel's log, so that the last lines survive a
// crash in pstore; and those who follow.
//
// Everything here takes little time and never waits for a reader: who follows
// too slowly is cut off.
package journal

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// PID1 is the name under which PID 1 itself speaks.
const PID1 = "bee"

// Sizes.
const (
	RingBytes  = 64 << 10 // of a service's ring, bookkeeping included
	MaxLine    = 4 << 10  // bytes; a longer line is cut in several
	KeptEvents = 64       // of each service: a crash loop does not push out the others'
	queueLen   = 1024     // lines that a follower may be behind
	lineCost   = 48       // bytes that a line costs beside its text
)

// Config is what a Journal needs. Dir and Kernel may be left empty.
type Config struct {
	Clock  *Clock
	Dir    string            // where <service>.log goes; empty: no files
	Kernel func(line string) // writes one line to the kernel's log; must not block
}

// Journal is safe for use by several goroutines.
type Journal struct {
	cfg Config

	mu     sync.Mutex
	seq    uint64
	names  []string // in the order of their appearance
	logs   map[string]*Log
	events map[string][]event
	lines  map[*Follower[control.LogLine]]struct{}
	news   map[*Follower[control.Event]]struct{}
}

// event is an Event whose wall-clock time is not yet worked out.
type event struct{ control.Event }

type entry struct {
	seq    uint64
	uptime time.Duration
	text   string
}

// New makes an empty journal.
func New(cfg Config) *Journal {
	return &Journal{
		cfg:    cfg,
		logs:   map[string]*Log{},
		events: map[string][]event{},
		lines:  map[*Follower[control.LogLine]]struct{}{},
		news:   map[*Follower[control.Event]]struct{}{},
	}
}

// Clock returns the clock that the journal counts by.
func (j *Journal) Clock() *Clock { return j.cfg.Clock }

// Log returns the log of a service and makes it if need be.
func (j *Journal) Log(service string) *Log {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.logs[service]
	if l == nil {
		l = &Log{j: j, service: service}
		if j.cfg.Dir != "" {
			l.file = newFile(j.cfg.Dir, service)
		}
		if j.cfg.Kernel != nil {
			l.kernel = newLimiter(j.cfg.Kernel, service)
		}
		j.logs[service] = l
		j.names = append(j.names, service)
	}
	return l
}

// Event records what happened and returns it with number and times filled in.
// It also becomes a line in PID 1's own log.
func (j *Journal) Event(e control.Event) control.Event {
	e.Uptime = j.cfg.Clock.Uptime()
	j.mu.Lock()
	j.seq++
	e.Seq = j.seq
	ring := append(j.events[e.Service], event{e})
	if len(ring) > KeptEvents {
		ring = slices.Delete(ring, 0, len(ring)-KeptEvents)
	}
	j.events[e.Service] = ring
	e.Time = j.cfg.Clock.Wall(e.Uptime)
	for f := range j.news {
		if f.service == "" || f.service == e.Service {
			if !f.offer(e) {
				delete(j.news, f)
			}
		}
	}
	j.mu.Unlock()
	j.Log(PID1).line(eventText(e))
	return e
}

func eventText(e control.Event) string {
	var b strings.Builder
	if e.Service != PID1 {
		b.WriteString(e.Service)
		b.WriteString(": ")
	}
	if e.State != "" {
		b.WriteString(string(e.State))
		if e.Text != "" {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Text)
	return b.String()
}

// Events returns the last n events of a service (0: all that are kept; no
// service: of all), oldest first.
func (j *Journal) Events(service string, n int) []control.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.eventsLocked(service, n)
}

func (j *Journal) eventsLocked(service string, n int) []control.Event {
	var out []control.Event
	for name, ring := range j.events {
		if service == "" || service == name {
			for _, e := range ring {
				e.Time = j.cfg.Clock.Wall(e.Uptime)
				out = append(out, e.Event)
			}
		}
	}
	slices.SortFunc(out, func(a, b control.Event) int { return compare(a.Seq, b.Seq) })
	return last(out, n)
}

// Lines returns the last n lines of a service's log, as Events does.
func (j *Journal) Lines(service string, n int) []control.LogLine {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.linesLocked(service, n)
}

func (j *Journal) linesLocked(service string, n int) []control.LogLine {
	var out []control.LogLine
	for _, name := range j.names {
		if service == "" || service == name {
			for _, e := range j.logs[name].ring {
				out = append(out, j.logs[name].logLine(e))
			}
		}
	}
	if service == "" {
		slices.SortFunc(out, func(a, b control.LogLine) int { return compare(a.Seq, b.Seq) })
	}
	return last(out, n)
}

// Known reports whether a service has written anything.
func (j *Journal) Known(service string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.logs[service] != nil || len(j.events[service]) > 0
}

// FollowLines returns what Lines does and a Follower for what comes after.
func (j *Journal) FollowLines(service string, n int) ([]control.LogLine, *Follower[control.LogLine]) {
	f := newFollower[control.LogLine](service)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines[f] = struct{}{}
	f.leave = func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.lines, f)
	}
	return j.linesLocked(service, n), f
}

// FollowEvents returns what Events does and a Follower for what comes after.
func (j *Journal) FollowEvents(service string, n int) ([]control.Event, *Follower[control.Event]) {
	f := newFollower[control.Event](service)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.news[f] = struct{}{}
	f.leave = func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.news, f)
	}
	return j.eventsLocked(service, n), f
}

// Follower receives what is new.
type Follower[T any] struct {
	service string
	queue   chan T
	leave   func()
}

func newFollower[T any](service string) *Follower[T] {
	return &Follower[T]{service: service, queue: make(chan T, queueLen)}
}

// C delivers; it is closed when the follower was too slow.
func (f *Follower[T]) C() <-chan T { return f.queue }

// Stop ends the following.
func (f *Follower[T]) Stop() { f.leave() }

// offer hands over without waiting. The journal's lock is held.
func (f *Follower[T]) offer(v T) bool {
	select {
	case f.queue <- v:
		return true
	default:
		close(f.queue)
		return false
	}
}

// Log is the log of one service. It is an io.Writer that never fails: a log
// must not be a reason for its writer to stop.
type Log struct {
	j       *Journal
	service string
	file    *file    // nil: none
	kernel  *limiter // nil: none

	// under the journal's lock
	ring    []entry
	bytes   int
	dropped uint64

	part struct { // an unfinished line
		sync.Mutex
		b []byte
	}
}

// Write takes bytes as they come and cuts them into lines.
func (l *Log) Write(p []byte) (int, error) {
	n := len(p)
	l.part.Lock()
	defer l.part.Unlock()
	for len(p) > 0 {
		i := slices.Index(p, '\n')
		room := MaxLine - len(l.part.b)
		switch {
		case i < 0 && len(p) < room:
			l.part.b = append(l.part.b, p...)
			return n, nil
		case i < 0 || i > room:
			l.part.b = append(l.part.b, p[:room]...)
			p = p[room:]
		default:
			l.part.b = append(l.part.b, p[:i]...)
			p = p[i+1:]
		}
		l.flush()
	}
	return n, nil
}

// Flush makes a line of an unfinished one: its writer is gone.
func (l *Log) Flush() {
	l.part.Lock()
	defer l.part.Unlock()
	if len(l.part.b) > 0 {
		l.flush()
	}
}

func (l *Log) flush() {
	text := printable(strings.TrimRight(string(l.part.b), "\r"))
	l.part.b = l.part.b[:0]
	l.line(text)
}

// line adds one whole line.
func (l *Log) line(text string) {
	l.j.mu.Lock()
	l.j.seq++
	e := entry{l.j.seq, l.j.cfg.Clock.Uptime(), text}
	l.ring = append(l.ring, e)
	l.bytes += len(text) + lineCost
	drop := 0
	for l.bytes > RingBytes && drop < len(l.ring)-1 {
		l.bytes -= len(l.ring[drop].text) + lineCost
		l.dropped += uint64(len(l.ring[drop].text) + 1)
		l.ring[drop].text = ""
		drop++
	}
	l.ring = l.ring[drop:] // append moves it to a new array when this one is used up
	line := l.logLine(e)
	for f := range l.j.lines {
		if f.service == "" || f.service == l.service {
			if !f.offer(line) {
				delete(l.j.lines, f)
			}
		}
	}
	l.j.mu.Unlock()
	if l.file != nil {
		l.file.write(line)
	}
	if l.kernel != nil {
		l.kernel.write(e.uptime, text)
	}
}

func (l *Log) logLine(e entry) control.LogLine {
	return control.LogLine{Seq: e.seq, Time: l.j.cfg.Clock.Wall(e.uptime), Uptime: e.uptime, Service: l.service, Text: e.text}
}

// Dropped returns how many bytes have fallen out of the ring.
func (l *Log) Dropped() uint64 {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	return l.dropped
}

// Tail returns the last lines that were written since the uptime given, at
// most n lines and so many bytes.
func (l *Log) Tail(since time.Duration, n, bytes int) []string {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	var out []string
	for i := len(l.ring) - 1; i >= 0 && len(out) < n; i-- {
		if bytes -= len(l.ring[i].text); bytes < 0 || l.ring[i].uptime < since {
			break
		}
		out = append(out, l.ring[i].text)
	}
	slices.Reverse(out)
	return out
}

// printable makes text of foreign bytes: what is not UTF-8 and control
// characters, which could drive a terminal, become '?'. Escape sequences that
// only colour are common in logs and are taken out whole.
func printable(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if n := colour(s[i:]); n > 0 {
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size <= 1 || r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			r = '?'
		}
		b.WriteRune(r)
		i += max(size, 1)
	}
	return b.String()
}

// colour returns the length of an SGR sequence (ECMA-48, 8.3.117) at the
// beginning of s.
func colour(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// last returns the last n of s; all for 0.
func last[T any](s []T, n int) []T {
	if n > 0 && len(s) > n {
		return s[len(s)-n:]
	}
	return s
}
