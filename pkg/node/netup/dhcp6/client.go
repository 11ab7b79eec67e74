package dhcp6

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Conn is where a client sends and receives, as Socket does.
type Conn interface {
	// Send sends a message to all DHCPv6 servers and relays on the link.
	Send(payload []byte) error
	// Receive waits for the next message; after Close its error is
	// os.ErrClosed. The bytes are valid until the next call.
	Receive() ([]byte, error)
	Close() error
}

// Client drives a Machine.
type Client struct {
	Config Config
	Open   func() (Conn, error) // called again when the socket breaks
	Notify func(Event)          // called in order, from one goroutine
	Debug  func(error)          // what was dropped and why; may be nil
	link   chan link
}

type link struct {
	up   bool
	mode Mode
}

// reopenWait is how long a broken socket is left alone.
const reopenWait = time.Second

// NewClient makes a client; it does nothing before Run.
func NewClient(c Client) *Client {
	c.link = make(chan link)
	if c.Debug == nil {
		c.Debug = func(error) {}
	}
	return &c
}

// SetLink tells the client of its link and what the routers there ask for.
func (c *Client) SetLink(ctx context.Context, up bool, mode Mode) {
	select {
	case c.link <- link{up, mode}:
	case <-ctx.Done():
	}
}

// Run works until ctx ends. Addresses are then left as they are.
func (c *Client) Run(ctx context.Context) {
	r := &runner{Client: c, m: NewMachine(c.Config), packets: make(chan packet)}
	defer r.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := r.flush(ctx); err != nil {
			c.Debug(err)
		}
		var due <-chan time.Time
		if d := r.m.Deadline(); !d.IsZero() {
			timer.Reset(time.Until(d))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case l := <-c.link:
			if !l.up {
				r.close()
				r.opened = time.Time{}
			}
			r.m.SetLink(time.Now(), l.up, l.mode)
		case <-due:
			r.m.Tick(time.Now())
		case p := <-r.packets:
			r.handle(p)
		}
	}
}

type packet struct {
	conn    Conn
	payload []byte
	err     error
}

type runner struct {
	*Client
	m       *Machine
	conn    Conn
	opened  time.Time
	packets chan packet
	stop    context.CancelFunc
}

func (r *runner) open(ctx context.Context) error {
	r.opened = time.Now()
	conn, err := r.Open()
	if err != nil {
		return err
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.conn = conn
	go func() {
		for {
			b, err := conn.Receive()
			p := packet{conn: conn, payload: append([]byte(nil), b...), err: err}
			select {
			case r.packets <- p:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return nil
}

func (r *runner) close() {
	if r.conn == nil {
		return
	}
	r.stop()
	if err := r.conn.Close(); err != nil {
		r.Debug(fmt.Errorf("close DHCPv6 socket: %w", err))
	}
	r.conn = nil
}

func (r *runner) handle(p packet) {
	if p.conn != r.conn {
		return
	}
	if p.err != nil {
		if !errors.Is(p.err, os.ErrClosed) {
			r.Debug(p.err)
		}
		r.close()
		return
	}
	if err := r.m.Receive(time.Now(), p.payload); err != nil {
		r.Debug(err)
	}
}

// flush tells and sends what the machine has for the world. The socket is
// opened with the first message: a network without DHCPv6 costs none.
func (r *runner) flush(ctx context.Context) error {
	out, events := r.m.take()
	for _, e := range events {
		r.Notify(e)
	}
	var errs []error
	for _, b := range out {
		if r.conn == nil && time.Since(r.opened) >= reopenWait {
			if err := r.open(ctx); err != nil {
				errs = append(errs, err)
			}
		}
		if r.conn == nil {
			continue // lost like a frame on the wire; the machine repeats it
		}
		if err := r.conn.Send(b); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
