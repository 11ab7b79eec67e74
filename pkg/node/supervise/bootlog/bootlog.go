// Package bootlog is PID 1's hand on the machine's consoles: a log of the boot
// that a person can read, written to each console by a goroutine of its own,
// until somebody else (the status screen, a shell) takes them over.
//
// A serial line may stop for ever, by flow control or a dead adapter. Nothing
// here waits for it: what does not fit into a console's queue is counted and
// left out.
package bootlog

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
)

// queueLen is how many lines a console may be behind.
const queueLen = 256

// Console is all consoles of the machine together. Its methods never block.
type Console struct {
	// Guard wraps every goroutine; nil: called as it is.
	Guard func(func())
	// Blocked is called, once each time, when a console takes nothing more.
	Blocked func(name string)
	Debug   bool // show every step

	mu      sync.Mutex
	devices []*device
	backlog []string      // from before the first device
	lost    chan struct{} // of the owner; nil: PID 1 owns it
}

// Attach adds a console and shows it what was written so far.
func (c *Console) Attach(name string, w io.Writer) {
	guard := c.Guard
	if guard == nil {
		guard = func(f func()) { f() }
	}
	d := &device{name: name, w: w, queue: make(chan string, queueLen)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.devices = append(c.devices, d)
	for _, line := range c.backlog {
		c.offer(d, line)
	}
	go guard(d.run)
}

// Print writes one line unless somebody else owns the console.
func (c *Console) Print(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return
	}
	c.print(line)
}

// Force writes one line whoever owns the console: the last words of PID 1.
func (c *Console) Force(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.print(line)
}

func (c *Console) print(line string) {
	if len(c.backlog) < queueLen {
		c.backlog = append(c.backlog, line)
	}
	for _, d := range c.devices {
		c.offer(d, line)
	}
}

// offer queues a line for a console; c.mu is held.
func (c *Console) offer(d *device, line string) {
	if d.dropped > 0 {
		select {
		case d.queue <- fmt.Sprintf("(%d lines left out: this console was blocked)", d.dropped):
			d.dropped = 0
		default:
		}
	}
	select {
	case d.queue <- line:
	default:
		d.dropped++
		if d.dropped == 1 && c.Blocked != nil {
			c.Blocked(d.name)
		}
	}
}

// Take implements supervise.Arbiter: PID 1 falls silent.
func (c *Console) Take() (<-chan struct{}, func()) {
	lost := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		close(c.lost)
	}
	c.lost = lost
	return lost, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lost == lost {
			c.lost = nil
		}
	}
}

// Release implements supervise.Arbiter: PID 1 speaks again.
func (c *Console) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		close(c.lost)
		c.lost = nil
	}
}

// Owned reports whether somebody else owns the console.
func (c *Console) Owned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost != nil
}

// Event shows an event if it is one that a person wants to see.
func (c *Console) Event(e control.Event) {
	if line, show := Line(e, c.Debug); show {
		c.Print(line)
	}
}

// Line is an event as the boot log shows it. show is false for the steps that
// are of interest only to who looks for a fault.
func Line(e control.Event, debug bool) (line string, show bool) {
	b := journal.AppendUptime(nil, e.Uptime)
	switch e.State {
	case control.Starting, control.Stopping, control.Disabled:
		show = debug
	case "":
		show = debug || e.Urgent || e.Service == journal.PID1
	default:
		show = true
	}
	word, who, text := string(e.State), e.Service, e.Text
	if word == "" {
		word = "-"
	}
	b = fmt.Appendf(b, " %-8s %s", word, who)
	switch e.State {
	case control.Ready, control.Done:
		if text != "" {
			b = fmt.Appendf(b, " (%s)", text)
		}
	default:
		if text != "" {
			b = fmt.Appendf(b, ": %s", text)
		}
	}
	return strings.TrimRight(string(b), " "), show
}

// device is one console.
type device struct {
	name    string
	w       io.Writer
	queue   chan string
	dropped int // under Console.mu
}

func (d *device) run() {
	for line := range d.queue {
		// A console that is gone (EIO after a hang-up) has nobody to tell.
		io.WriteString(d.w, line+"\r\n")
	}
}
