package sandbox

import (
	"strings"
	"sync"
)

// tailSize is how much of a step's standard error an error message may hold.
const tailSize = 4096

// Tail is a writer that keeps the last 4 KiB written to it: the end of a step's
// standard error, for messages. The zero value is ready; it is safe for
// concurrent use.
type Tail struct {
	mu   sync.Mutex
	last []byte
}

// Write implements io.Writer; it never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailSize; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(p), nil
}

// String is what is kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

// indented is the text as it stands below an error's first line.
func (t *Tail) indented() string {
	text := strings.TrimSpace(t.String())
	if text == "" {
		return ""
	}
	return "\n\t" + strings.ReplaceAll(text, "\n", "\n\t")
}
