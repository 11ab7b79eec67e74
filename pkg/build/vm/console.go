package vm

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"sync"
	"time"
)

// Console is a machine's serial console: everything it said, with the time at
// which the host saw it, and a way to type. Carriage returns and terminal
// escape sequences are left out of the text. It is safe for concurrent use.
type Console struct {
	start time.Time
	in    io.Writer

	mu      sync.Mutex
	text    []byte
	chunks  []chunk       // in the order of their offsets
	escape  escapeState   // of the filter, across chunks
	cursor  int           // where Expect goes on
	closed  error         // why nothing more will come; io.EOF when the machine ended
	changed chan struct{} // closed and replaced at every change
}

// chunk says when the text from an offset on was read.
type chunk struct {
	offset int
	at     time.Time
}

// Match is a place in the console's text.
type Match struct {
	Text   string        // what the expression matched
	Groups []string      // its groups
	Line   string        // the whole line as far as it had come
	At     time.Time     // when the host read the end of the match
	Since  time.Duration // from the start of the machine to At
}

func newConsole(start time.Time, in io.Writer) *Console {
	return &Console{start: start, in: in, changed: make(chan struct{})}
}

// read takes what the machine says until there is no more.
func (c *Console) read(r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		c.add(buf[:n], time.Now(), err)
		if err != nil {
			return
		}
	}
}

func (c *Console) add(p []byte, at time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.text)
	for _, b := range p {
		if c.escape.visible(b) {
			c.text = append(c.text, b)
		}
	}
	if len(c.text) > before {
		c.chunks = append(c.chunks, chunk{before, at})
	}
	c.closed = err
	close(c.changed)
	c.changed = make(chan struct{})
}

// Send types text.
func (c *Console) Send(text string) error {
	if _, err := io.WriteString(c.in, text); err != nil {
		return fmt.Errorf("type on the console: %w", err)
	}
	return nil
}

// Wait returns the first match in all that was said, and waits for it until ctx
// ends or the machine does; the error then holds the console's last lines.
func (c *Console) Wait(ctx context.Context, re *regexp.Regexp) (Match, error) {
	m, _, err := c.find(ctx, re, 0)
	return m, err
}

// Expect is Wait for what is said after the last match that Expect returned.
func (c *Console) Expect(ctx context.Context, re *regexp.Regexp) (Match, error) {
	c.mu.Lock()
	from := c.cursor
	c.mu.Unlock()
	m, end, err := c.find(ctx, re, from)
	if err == nil {
		c.mu.Lock()
		c.cursor = end
		c.mu.Unlock()
	}
	return m, err
}

func (c *Console) find(ctx context.Context, re *regexp.Regexp, from int) (Match, int, error) {
	for {
		c.mu.Lock()
		m, end, ok := c.match(re, from)
		closed, changed := c.closed, c.changed
		c.mu.Unlock()
		if ok {
			return m, end, nil
		}
		if closed != nil {
			return Match{}, 0, fmt.Errorf("wait for %q on the console: the machine ended (%w); it said last:\n%s", re, closed, c.Tail(25))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Match{}, 0, fmt.Errorf("wait for %q on the console: %w; it said last:\n%s", re, context.Cause(ctx), c.Tail(25))
		}
	}
}

func (c *Console) match(re *regexp.Regexp, from int) (Match, int, bool) {
	loc := re.FindSubmatchIndex(c.text[from:])
	if loc == nil {
		return Match{}, 0, false
	}
	start, end := from+loc[0], from+loc[1]
	m := Match{Text: string(c.text[start:end]), At: c.timeAt(end - 1)}
	for i := 2; i < len(loc); i += 2 {
		group := ""
		if loc[i] >= 0 {
			group = string(c.text[from+loc[i] : from+loc[i+1]])
		}
		m.Groups = append(m.Groups, group)
	}
	m.Since = m.At.Sub(c.start)
	line := string(c.text[start:])
	line, _, _ = strings.Cut(line, "\n")
	m.Line = string(c.text[strings.LastIndexByte(string(c.text[:start]), '\n')+1:start]) + line
	return m, end, true
}

// timeAt is when the byte at the offset was read.
func (c *Console) timeAt(offset int) time.Time {
	i := sort.Search(len(c.chunks), func(i int) bool { return c.chunks[i].offset > offset })
	if i == 0 {
		return c.start
	}
	return c.chunks[i-1].at
}

// Text is everything that was said so far.
func (c *Console) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

// Tail is the last n lines, indented.
func (c *Console) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(c.Text(), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "\t" + strings.Join(lines, "\n\t")
}
