package shell

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// signals are the traps of a shell and, in an interactive one, Ctrl-C.
type signals struct {
	ch chan os.Signal

	mu         sync.Mutex
	traps      map[syscall.Signal]string
	came       []syscall.Signal
	foreground int                // programs running there
	interrupt  context.CancelFunc // stops what the shell itself runs; nil: nothing
}

func newSignals() *signals {
	return &signals{traps: map[syscall.Signal]string{}}
}

// listen makes the shell survive sigs.
func (s *signals) listen(sigs ...os.Signal) {
	if s.ch == nil {
		s.ch = make(chan os.Signal, 16)
		go func() {
			for sig := range s.ch {
				s.receive(sig.(syscall.Signal)) // signal.Notify sends no others
			}
		}()
	}
	signal.Notify(s.ch, sigs...)
}

func (s *signals) receive(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.traps[sig]; ok {
		if !slices.Contains(s.came, sig) {
			s.came = append(s.came, sig)
		}
		return
	}
	// A program in the foreground got Ctrl-C itself and decides.
	if sig == syscall.SIGINT && s.foreground == 0 && s.interrupt != nil {
		s.interrupt()
	}
}

// set installs a trap: an action, "" to ignore, "-" to reset.
func (s *signals) set(sig syscall.Signal, action string, interactive bool) {
	s.mu.Lock()
	delete(s.traps, sig)
	if action != "-" && action != "" {
		s.traps[sig] = action
	}
	s.mu.Unlock()
	switch {
	case action == "":
		signal.Ignore(sig)
	case action == "-" && !(interactive && slices.Contains(interactiveSignals, os.Signal(sig))):
		signal.Reset(sig)
	default:
		s.listen(sig)
	}
}

// pending takes the actions of the signals that came.
func (s *signals) pending() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var actions []string
	for _, sig := range s.came {
		if action, ok := s.traps[sig]; ok {
			actions = append(actions, action)
		}
	}
	s.came = nil
	return actions
}

func (s *signals) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.traps) > 0
}

// list is what trap prints.
func (s *signals) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for sig, action := range s.traps {
		lines = append(lines, "trap -- "+quote(action)+" "+signalName(sig))
	}
	slices.Sort(lines)
	return lines
}

func (s *signals) enter() { s.count(1) }
func (s *signals) leave() { s.count(-1) }

func (s *signals) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreground += n
}

// onInterrupt says what Ctrl-C stops from now on.
func (s *signals) onInterrupt(f context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupt = f
}

// signalNamed reads 9, KILL or SIGKILL.
func signalNamed(name string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(name); err == nil {
		return syscall.Signal(n), n >= 0 && n <= 64
	}
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	sig := unix.SignalNum(name)
	return sig, sig != 0
}

func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(sig))
}
