package journal

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Rates of lines that one service may put into the kernel's log: it is small,
// shared, and the first place to look after a crash.
const (
	kernelBurst = 100
	kernelRate  = 20  // lines a second
	kernelMax   = 900 // bytes of a line: LOG_LINE_MAX of kernel/printk/printk.c is 1024 with its prefix
)

// limiter passes a service's lines on to the kernel's log, not too many.
type limiter struct {
	write1  func(string)
	service string

	mu     sync.Mutex
	tokens float64
	last   time.Duration // uptime
	left   int           // lines left out since the last one that passed
}

func newLimiter(write func(string), service string) *limiter {
	return &limiter{write1: write, service: service, tokens: kernelBurst}
}

func (l *limiter) write(uptime time.Duration, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = min(kernelBurst, l.tokens+(uptime-l.last).Seconds()*kernelRate)
	l.last = uptime
	if l.tokens < 1 {
		l.left++
		return
	}
	l.tokens--
	if l.left > 0 {
		text = fmt.Sprintf("%s (%d lines before this one left out)", text, l.left)
		l.left = 0
	}
	if len(text) > kernelMax {
		text = text[:kernelMax]
	}
	prefix := KernelTag + l.service + ": "
	if l.service == PID1 {
		prefix = KernelTag
	}
	l.write1(prefix + text)
}

// KernelTag begins every line that comes from here in the kernel's log, so
// that who reads both does not take it twice.
const KernelTag = "bee: "

// KernelWriter writes to /dev/kmsg from a goroutine of its own: a write there
// may have to wait for a serial line. What does not fit into its queue is
// counted and left out.
type KernelWriter struct {
	queue   chan string
	dropped atomic.Uint64
}

// NewKernelWriter takes over f, which is /dev/kmsg. guard wraps the goroutine
// (PID 1 must survive a panic in it).
func NewKernelWriter(f *os.File, guard func(func())) *KernelWriter {
	w := &KernelWriter{queue: make(chan string, 256)}
	go guard(func() {
		for line := range w.queue {
			// facility user, severity info: Documentation/ABI/testing/dev-kmsg.
			// A line that the kernel refuses is still in the ring and the file.
			if _, err := f.WriteString("<14>" + line + "\n"); err != nil {
				w.dropped.Add(1)
			}
		}
	})
	return w
}

// Write queues one line and never waits.
func (w *KernelWriter) Write(line string) {
	select {
	case w.queue <- line:
	default:
		w.dropped.Add(1)
	}
}

// Dropped returns how many lines did not get there.
func (w *KernelWriter) Dropped() uint64 { return w.dropped.Load() }
