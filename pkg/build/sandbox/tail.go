package sandbox

import (
	"strings"
	"sync"
)

// tailSize is how much of a step's standard error an error message may hold.
const tailSize = 4096

// tailWriter keeps the last bytes written to it.
type tailWriter struct {
	mu   sync.Mutex
	last []byte
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailSize; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(p), nil
}

func (t *tailWriter) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

// indented is the text as it stands below an error's first line.
func (t *tailWriter) indented() string {
	text := strings.TrimSpace(t.String())
	if text == "" {
		return ""
	}
	return "\n\t" + strings.ReplaceAll(text, "\n", "\n\t")
}
