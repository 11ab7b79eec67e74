// Package console is what a person in front of the machine sees: after the boot
// log, a screen with name, addresses, SSH fingerprint, services and the audit's
// verdict; Enter opens a shell. It also writes the message of the day. On a
// serial line the screen is a block of plain lines, so that a log of it can be
// read; it is drawn again when what it tells has changed.
//
// Whoever stands at the console has the machine: the shell is root's and asks
// for no password.
package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// Intervals.
const (
	tick    = 500 * time.Millisecond // between looks at the facts
	settle  = 4 * time.Second        // the boot log has the console no longer than this
	redraw  = 5 * time.Second        // between two drawings of the screen
	listing = 2 * time.Second        // one question to the supervisor
)

// Terminal is one console.
type Terminal interface {
	io.Writer
	Name() string
	// Enter waits until Enter is pressed.
	Enter() error
	// Shell runs a shell on the terminal to its end.
	Shell(ctx context.Context) error
}

// Config is what the service works with.
type Config struct {
	Root      fs.FS
	Terminals []Terminal
	Services  func(ctx context.Context) ([]control.Status, error)
	Take      func(ctx context.Context) error              // the console from PID 1
	Urgent    func(ctx context.Context, show func(string)) // events that a person should see, until ctx ends
	WriteMotd func(lines []string) error
	Out       io.Writer // the service's log
	Ready     func()
}

// Run works until ctx ends.
func Run(ctx context.Context, c Config) error {
	s := &screens{config: c}
	f := s.wait(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err := c.Take(ctx); err != nil {
		return fmt.Errorf("take the console: %w", err)
	}
	for _, t := range c.Terminals {
		s.all = append(s.all, &screen{Terminal: t})
	}
	s.update(f)
	for _, t := range s.all {
		go s.serve(ctx, t)
	}
	c.Ready()
	go c.Urgent(ctx, s.urgent)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tick):
			s.update(s.gather(ctx))
		}
	}
}

type screens struct {
	config Config
	all    []*screen
	motd   string
	failed string // the last failure to write it
}

// screen is a terminal and what it shows.
type screen struct {
	Terminal
	mu    sync.Mutex
	busy  bool // a shell has it
	shown []string
	at    time.Time
}

func (s *screens) gather(ctx context.Context) Facts {
	ctx, cancel := context.WithTimeout(ctx, listing)
	defer cancel()
	list, err := s.config.Services(ctx)
	return Gather(s.config.Root, list, err)
}

// wait leaves the console to the boot log until nothing is on its way any more,
// for a while at most.
func (s *screens) wait(ctx context.Context) Facts {
	end := time.After(settle)
	for {
		f := s.gather(ctx)
		if f.Report != nil && !slices.ContainsFunc(f.Services, func(v control.Status) bool {
			return v.Name != "console" && v.Kind != control.KindCondition && (v.State == control.Starting || v.State == control.Stopping)
		}) {
			return f
		}
		select {
		case <-ctx.Done():
			return f
		case <-end:
			return f
		case <-time.After(tick / 5):
		}
	}
}

// update draws what has changed and writes the message of the day.
func (s *screens) update(f Facts) {
	lines := Screen(f, true)
	for _, t := range s.all {
		t.draw(lines, false)
	}
	motd := Motd(f)
	if text := strings.Join(motd, "\n"); text != s.motd {
		err := s.config.WriteMotd(motd)
		if err == nil {
			s.motd = text
		} else if err.Error() != s.failed {
			s.failed = err.Error()
			fmt.Fprintf(s.config.Out, "write the message of the day: %v\n", err)
		}
	}
}

// draw draws the screen if it changed or must be.
func (t *screen) draw(lines []string, must bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy || !must && (slices.Equal(lines, t.shown) || time.Since(t.at) < redraw) {
		return
	}
	t.shown, t.at = lines, time.Now()
	text := "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n  Enter: a shell\r\n"
	io.WriteString(t, text) // a console that takes nothing has nobody to tell
}

// serve opens a shell whenever Enter is pressed.
func (s *screens) serve(ctx context.Context, t *screen) {
	for ctx.Err() == nil {
		if err := t.Enter(); err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Fprintf(s.config.Out, "%s: read: %v\n", t.Name(), err)
			}
			select { // a line that hung up may come back
			case <-ctx.Done():
			case <-time.After(redraw):
			}
			continue
		}
		t.mu.Lock()
		t.busy = true
		t.mu.Unlock()
		if err := t.Shell(ctx); err != nil {
			fmt.Fprintf(s.config.Out, "%s: shell: %v\n", t.Name(), err)
			fmt.Fprintf(t, "shell: %v\r\n", err)
		}
		t.mu.Lock()
		t.busy = false
		t.mu.Unlock()
		t.draw(Screen(s.gather(ctx), true), true)
	}
}

// urgent shows one line on every console, a shell or not.
func (s *screens) urgent(text string) {
	for _, t := range s.all {
		fmt.Fprintf(t, "\r\n*** %s\r\n", text)
	}
}

// enter reads to the end of a line.
func enter(r *bufio.Reader) error {
	_, err := r.ReadString('\n')
	return err
}

// writeMotd replaces the file name.
func writeMotd(name string, lines []string) error {
	if err := os.WriteFile(name+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
