package dhcp4

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// Conn is where a client sends and receives, as rawip.Socket does.
type Conn interface {
	// Send sends a DHCP message from port 68 to port 67 of dst.
	Send(payload []byte, src, dst netip.Addr) error
	// Receive waits for the next message; after Close its error is
	// os.ErrClosed. The bytes are valid until the next call.
	Receive() ([]byte, error)
	Close() error
}

// Client drives a Machine.
type Client struct {
	Config  Config
	Resume  *Lease                                                      // from an earlier life, or nil
	Open    func() (Conn, error)                                        // called again when the socket breaks
	Probe   func(context.Context, netip.Addr) (net.HardwareAddr, error) // for other users of an address (RFC 5227); may be nil
	Notify  func(Event)                                                 // called in order, from one goroutine
	Debug   func(error)                                                 // what was dropped and why; may be nil
	carrier chan bool
}

// reopenWait is how long a broken socket is left alone.
const reopenWait = time.Second

// NewClient makes a client; it does nothing before Run.
func NewClient(c Client) *Client {
	c.carrier = make(chan bool)
	if c.Debug == nil {
		c.Debug = func(error) {}
	}
	return &c
}

// SetCarrier tells the client of a change of its link.
func (c *Client) SetCarrier(ctx context.Context, up bool) {
	select {
	case c.carrier <- up:
	case <-ctx.Done():
	}
}

type conflict struct {
	addr  netip.Addr
	owner net.HardwareAddr
}

// Run works until ctx ends. The lease is then left as it is, neither released
// nor taken off: who restarts the service over SSH keeps the connection.
func (c *Client) Run(ctx context.Context) {
	m := NewMachine(c.Config)
	if c.Resume != nil {
		m.Resume(time.Now(), *c.Resume)
	}
	r := &runner{Client: c, m: m, conflicts: make(chan conflict), packets: make(chan packet)}
	defer r.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	// The first socket opens while the link comes up.
	if err := r.open(ctx); err != nil {
		c.Debug(err) // carrier brings another try
	}
	for {
		if err := r.flush(ctx); err != nil {
			c.Debug(err)
		}
		var due <-chan time.Time
		if d := m.Deadline(); !d.IsZero() {
			timer.Reset(time.Until(d))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case up := <-c.carrier:
			if !up {
				m.LinkDown()
				r.close()
				continue
			}
			if r.conn == nil {
				if err := r.open(ctx); err != nil {
					c.Debug(err)
				}
			}
			m.LinkUp(time.Now())
		case <-due:
			m.Tick(time.Now())
		case p := <-r.packets:
			r.handle(ctx, p)
		case x := <-r.conflicts:
			m.Conflict(time.Now(), x.addr, x.owner)
		}
	}
}

// packet is one message, or the end of the socket it would have come from.
type packet struct {
	conn    Conn
	payload []byte
	err     error
}

type runner struct {
	*Client
	m         *Machine
	conn      Conn
	opened    time.Time
	packets   chan packet
	conflicts chan conflict
	stop      context.CancelFunc // of what belongs to the link being up
}

func (r *runner) open(ctx context.Context) error {
	r.close()
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
		r.Debug(fmt.Errorf("close DHCP socket: %w", err))
	}
	r.conn = nil
}

func (r *runner) handle(ctx context.Context, p packet) {
	if p.conn != r.conn {
		return // from before the link went down
	}
	if p.err != nil {
		if !errors.Is(p.err, os.ErrClosed) {
			r.Debug(p.err)
		}
		r.close() // the next message to send opens another
		return
	}
	if err := r.m.Receive(time.Now(), p.payload); err != nil {
		r.Debug(err)
	}
}

// flush sends and tells what the machine has for the world. Events go first:
// a lease must be on the interface before its address is used.
func (r *runner) flush(ctx context.Context) error {
	out, events := r.m.take()
	for _, e := range events {
		r.Notify(e)
		if e.Kind == Configured && !e.Resumed && r.Probe != nil && r.conn != nil {
			r.probe(ctx, e.Lease.Address.Addr())
		}
	}
	var errs []error
	for _, d := range out {
		if r.conn == nil && time.Since(r.opened) >= reopenWait {
			if err := r.open(ctx); err != nil {
				errs = append(errs, err)
			}
		}
		if r.conn == nil {
			continue // lost like a frame on the wire; the machine repeats it
		}
		if err := r.conn.Send(d.Payload, d.Src, d.Dst); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (r *runner) probe(ctx context.Context, addr netip.Addr) {
	go func() {
		owner, err := r.Probe(ctx, addr)
		if err != nil && ctx.Err() == nil {
			r.Debug(err)
		}
		if owner == nil {
			return
		}
		select {
		case r.conflicts <- conflict{addr, owner}:
		case <-ctx.Done():
		}
	}()
}
