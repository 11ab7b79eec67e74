package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Client speaks to PID 1. Each call is a connection of its own, so that a
// Client may be used by several goroutines and outlives a restart of the peer.
type Client struct{ path string }

// Dial checks that somebody listens at path (usually Path).
func Dial(path string) (*Client, error) {
	f, err := dial(path)
	if err != nil {
		return nil, err
	}
	f.Close()
	return &Client{path}, nil
}

// List returns every service and condition, in the order of the boot.
func (c *Client) List(ctx context.Context) ([]Status, error) {
	var out []Status
	err := c.do(ctx, Request{Verb: VerbList}, func(r Reply) error {
		out = append(out, r.Services...)
		return nil
	})
	return out, err
}

// Status returns one service.
func (c *Client) Status(ctx context.Context, service string) (Status, error) {
	var out Status
	err := c.do(ctx, Request{Verb: VerbStatus, Service: service}, func(r Reply) error {
		if len(r.Services) == 1 {
			out = r.Services[0]
		}
		return nil
	})
	return out, err
}

// Why explains the state of one service.
func (c *Client) Why(ctx context.Context, service string) (Why, error) {
	var out Why
	err := c.do(ctx, Request{Verb: VerbWhy, Service: service}, func(r Reply) error {
		if r.Why != nil {
			out = *r.Why
		}
		return nil
	})
	return out, err
}

// Start wants a service up, and whatever it needs. It returns when that is
// noted, not when the service is ready: ask Status.
func (c *Client) Start(ctx context.Context, service string) error {
	return c.do(ctx, Request{Verb: VerbStart, Service: service}, nil)
}

// Stop wants a service down and returns when nothing of it is left. Those that
// need it go first.
func (c *Client) Stop(ctx context.Context, service string) error {
	return c.do(ctx, Request{Verb: VerbStop, Service: service}, nil)
}

// Restart stops a service and starts it again, and with it those that need it.
func (c *Client) Restart(ctx context.Context, service string) error {
	return c.do(ctx, Request{Verb: VerbRestart, Service: service}, nil)
}

// Log calls line for the last so many lines of a service's log (0: all that is
// kept; no service: all services, by time), then, when follow is set, for each
// new one until ctx ends.
func (c *Client) Log(ctx context.Context, service string, lines int, follow bool, line func(LogLine) error) error {
	return c.do(ctx, Request{Verb: VerbLog, Service: service, Lines: lines, Follow: follow}, func(r Reply) error {
		if r.Log == nil {
			return nil
		}
		return line(*r.Log)
	})
}

// Events is Log for what happened.
func (c *Client) Events(ctx context.Context, service string, lines int, follow bool, event func(Event) error) error {
	return c.do(ctx, Request{Verb: VerbEvents, Service: service, Lines: lines, Follow: follow}, func(r Reply) error {
		if r.Event == nil {
			return nil
		}
		return event(*r.Event)
	})
}

// Blame tells where the time of the boot went; the chain is that of service
// (empty: sshd).
func (c *Client) Blame(ctx context.Context, service string) (Blame, error) {
	var out Blame
	err := c.do(ctx, Request{Verb: VerbBlame, Service: service}, func(r Reply) error {
		if r.Blame != nil {
			out = *r.Blame
		}
		return nil
	})
	return out, err
}

// Shutdown leaves the machine. It returns when PID 1 has begun.
func (c *Client) Shutdown(ctx context.Context, a Action, reason string) error {
	return c.do(ctx, Request{Verb: VerbShutdown, Action: a, Reason: reason}, nil)
}

// Console is the ownership of the machine's console.
type Console struct{ conn *os.File }

// TakeConsole asks PID 1 to write to the console no more. Ownership ends with
// Release, with the end of this process, or when another takes it. What is
// urgent arrives as Events with Urgent set.
func (c *Client) TakeConsole(ctx context.Context) (*Console, error) {
	f, err := c.send(ctx, Request{Verb: VerbConsoleTake})
	if err != nil {
		return nil, err
	}
	// One answer, then the connection stays open for as long as it is owned.
	// There is nothing after the first line that the reader could swallow.
	dec := newReplyReader(f)
	r, err := dec.next()
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("take console: %w", err)
	}
	if err := f.SetDeadline(time.Time{}); err != nil {
		f.Close()
		return nil, fmt.Errorf("take console: %w", err)
	}
	return &Console{f}, nil
}

// Release gives the console back to PID 1.
func (c *Console) Release() error { return c.conn.Close() }

// Lost blocks until the console is somebody else's, be it by Release.
func (c *Console) Lost() {
	_, err := c.conn.Read(make([]byte, 1))
	for err == nil {
		_, err = c.conn.Read(make([]byte, 1))
	}
}

// ReleaseConsole takes the console away from whoever owns it.
func (c *Client) ReleaseConsole(ctx context.Context) error {
	return c.do(ctx, Request{Verb: VerbConsoleRelease}, nil)
}

// Close ends the use of the client.
func (c *Client) Close() error { return nil }

// do sends one request and hands every reply to each until the stream ends.
func (c *Client) do(ctx context.Context, req Request, each func(Reply) error) error {
	f, err := c.send(ctx, req)
	if err != nil {
		return err
	}
	defer f.Close()
	// Closing is what wakes a blocked read when ctx ends.
	stop := context.AfterFunc(ctx, func() { f.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	replies := newReplyReader(f)
	for {
		r, err := replies.next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == io.EOF:
			return fmt.Errorf("ask PID 1 to %s: it hung up; a slow reader is dropped", req.Verb)
		case err != nil:
			return fmt.Errorf("ask PID 1 to %s: %w", req.Verb, err)
		case r.Error != "":
			return errors.New(r.Error)
		}
		if each != nil {
			if err := each(r); err != nil {
				return err
			}
		}
		if r.Done {
			return nil
		}
	}
}

func (c *Client) send(ctx context.Context, req Request) (*os.File, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	line, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := dial(c.path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		f.Close()
		return nil, fmt.Errorf("ask PID 1 to %s: %w", req.Verb, err)
	}
	return f, nil
}

// replyReader reads the answers of one connection. PID 1 is trusted with their
// length.
type replyReader struct{ r *bufio.Reader }

func newReplyReader(r io.Reader) *replyReader { return &replyReader{bufio.NewReader(r)} }

func (rr *replyReader) next() (Reply, error) {
	var r Reply
	line, err := rr.r.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("parse answer: %w", err)
	}
	return r, nil
}
