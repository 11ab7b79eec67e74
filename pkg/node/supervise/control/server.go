package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Bounds of the server.
const (
	maxClients     = 32
	requestTimeout = 10 * time.Second // to send a request
	writeTimeout   = 5 * time.Second  // to take one line of an answer
)

// Backend answers requests. Log and Events call emit for each line and, when
// the request says follow, go on until ctx ends.
type Backend interface {
	List(ctx context.Context) ([]Status, error)
	Status(ctx context.Context, service string) (Status, error)
	Why(ctx context.Context, service string) (Why, error)
	Start(ctx context.Context, service string) error
	Stop(ctx context.Context, service, why string) error
	Restart(ctx context.Context, service, why string) error
	Blame(ctx context.Context, service string) (Blame, error)
	Log(ctx context.Context, r Request, emit func(LogLine) error) error
	Events(ctx context.Context, r Request, emit func(Event) error) error
	Shutdown(ctx context.Context, a Action, reason string) error
	// TakeConsole hands over the console; lost is closed when it is taken by
	// another or released by force.
	TakeConsole() (lost <-chan struct{}, release func())
	ReleaseConsole()
}

// Server answers on a socket made by Listen.
type Server struct {
	Backend Backend
	Guard   func(func())    // wraps every goroutine; nil: called as it is
	Warn    func(err error) // told of connections that were refused
	UID     uint32          // besides root, who may speak; 0: root alone
}

// Serve answers until the listener is closed.
func (s *Server) Serve(ctx context.Context, l *os.File) error {
	guard := s.Guard
	if guard == nil {
		guard = func(f func()) { f() }
	}
	slots := make(chan struct{}, maxClients)
	for {
		conn, err := accept(l)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil { // no descriptors left, say: others may be given back
			s.warn(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		select {
		case slots <- struct{}{}:
			go guard(func() {
				defer func() { <-slots }()
				defer conn.Close()
				s.handle(ctx, conn)
			})
		default:
			s.warn(fmt.Errorf("refuse control connection: there are %d already", maxClients))
			conn.Close()
		}
	}
}

func (s *Server) warn(err error) {
	if s.Warn != nil {
		s.Warn(err)
	}
}

// handle answers one connection.
func (s *Server) handle(ctx context.Context, conn *os.File) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &replier{conn: conn}
	cred, err := peer(conn)
	if err == nil && cred.Uid != 0 && cred.Uid != s.UID {
		err = fmt.Errorf("only root may ask PID 1, not user %d", cred.Uid)
	}
	var req Request
	if err == nil {
		req, err = readRequest(conn)
	}
	if err == nil {
		// From here on the client says nothing more: an end of its stream means
		// that it went away.
		go func() {
			defer cancel()
			io.Copy(io.Discard, conn) // its result is the same: it is gone
		}()
		err = s.answer(ctx, req, out)
	}
	if err != nil {
		// A client that is gone or does not read gets no error either.
		out.send(Reply{Error: err.Error()})
		return
	}
	out.send(Reply{Done: true})
}

// readRequest reads one line, bounded in length and in time.
func readRequest(conn *os.File) (Request, error) {
	if err := conn.SetReadDeadline(time.Now().Add(requestTimeout)); err != nil {
		return Request{}, fmt.Errorf("read request: %w", err)
	}
	line, err := readLine(conn)
	if err != nil {
		return Request{}, err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return Request{}, fmt.Errorf("read request: %w", err)
	}
	return ParseRequest(line)
}

func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	buf := make([]byte, 1024)
	for len(line) <= MaxRequest {
		n, err := r.Read(buf)
		line = append(line, buf[:n]...)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			return line[:i], nil
		}
		if err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
	}
	return nil, fmt.Errorf("read request: longer than %d bytes", MaxRequest)
}

func (s *Server) answer(ctx context.Context, r Request, out *replier) error {
	b := s.Backend
	switch r.Verb {
	case VerbList:
		list, err := b.List(ctx)
		if err != nil {
			return err
		}
		return out.send(Reply{Services: list})
	case VerbStatus:
		st, err := b.Status(ctx, r.Service)
		if err != nil {
			return err
		}
		return out.send(Reply{Services: []Status{st}})
	case VerbWhy:
		why, err := b.Why(ctx, r.Service)
		if err != nil {
			return err
		}
		return out.send(Reply{Why: &why})
	case VerbBlame:
		blame, err := b.Blame(ctx, r.Service)
		if err != nil {
			return err
		}
		return out.send(Reply{Blame: &blame})
	case VerbStart:
		return b.Start(ctx, r.Service)
	case VerbStop:
		return b.Stop(ctx, r.Service, r.Reason)
	case VerbRestart:
		return b.Restart(ctx, r.Service, r.Reason)
	case VerbLog:
		return b.Log(ctx, r, func(l LogLine) error { return out.send(Reply{Log: &l}) })
	case VerbEvents:
		return b.Events(ctx, r, func(e Event) error { return out.send(Reply{Event: &e}) })
	case VerbShutdown:
		return b.Shutdown(ctx, r.Action, r.Reason)
	case VerbConsoleRelease:
		b.ReleaseConsole()
		return nil
	case VerbConsoleTake:
		lost, release := b.TakeConsole()
		defer release()
		if err := out.send(Reply{}); err != nil {
			return err
		}
		select {
		case <-lost:
			return errors.New("the console was taken by another")
		case <-ctx.Done(): // the owner went away
			return nil
		}
	}
	return fmt.Errorf("unknown verb %q", r.Verb)
}

// replier writes answers. A client that does not read is given up: whoever
// waits for it would hold a slot for ever.
type replier struct {
	conn *os.File
	mu   sync.Mutex
	dead bool
}

func (r *replier) send(reply Reply) error {
	line, err := json.Marshal(reply)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return os.ErrClosed
	}
	if err := r.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if _, err := r.conn.Write(append(line, '\n')); err != nil {
		r.dead = true
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
