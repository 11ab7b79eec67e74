package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// bufferSize is how much is written at once, and gapFill up to where zeros are
// written for a gap rather than left out.
const (
	bufferSize = 1 << 20
	gapFill    = 64 << 10
)

// Sink writes pieces at rising places, in large blocks; what lies between them is
// left out, so that the target must read as zeros there.
type Sink struct {
	ctx context.Context
	w   io.WriterAt
	buf []byte // not written yet
	at  int64  // place of buf's first byte
}

// NewSink writes to w, from the place at on. Flush ends it.
func NewSink(ctx context.Context, w io.WriterAt, at int64) *Sink {
	return &Sink{ctx: ctx, w: w, at: at, buf: make([]byte, 0, bufferSize)}
}

// seek goes on to a place at or after the current one.
func (s *Sink) seek(off int64) error {
	gap := off - (s.at + int64(len(s.buf)))
	if gap < 0 {
		return fmt.Errorf("place %d is before %d: the layout is wrong", off, s.at+int64(len(s.buf)))
	}
	if gap <= gapFill && gap <= int64(cap(s.buf)-len(s.buf)) {
		n := len(s.buf)
		s.buf = s.buf[:n+int(gap)]
		clear(s.buf[n:])
		return nil
	}
	if err := s.Flush(); err != nil {
		return err
	}
	s.at = off
	return nil
}

// Put writes bytes at a place.
func (s *Sink) Put(off int64, p []byte) error {
	if err := s.seek(off); err != nil {
		return err
	}
	for len(p) > 0 {
		n := copy(s.buf[len(s.buf):cap(s.buf)], p)
		s.buf, p = s.buf[:len(s.buf)+n], p[n:]
		if len(s.buf) == cap(s.buf) {
			if err := s.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Copy writes a file's content at a place. A file that is shorter or longer than
// its Size is an error, after which what was written is of no use.
func (s *Sink) Copy(off int64, f File) (err error) {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("file %s: %w", f.Path, err)
	}
	defer func() {
		if err = errors.Join(err, r.Close()); err != nil {
			err = fmt.Errorf("file %s: %w", f.Path, err)
		}
	}()
	if err := s.seek(off); err != nil {
		return err
	}
	if err := s.copy(r, f.Size); err != nil {
		return err
	}
	// One byte more would be a file that changed since it was measured.
	var more [1]byte
	switch k, err := io.ReadFull(r, more[:]); {
	case k > 0:
		return fmt.Errorf("it is longer than the %d bytes that were said; did it change?", f.Size)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// copy reads n bytes straight into the buffer.
func (s *Sink) copy(r io.Reader, n int64) error {
	for left := n; left > 0; {
		have := len(s.buf)
		k, err := io.ReadFull(r, s.buf[have:min(int64(cap(s.buf)), int64(have)+left)])
		s.buf, left = s.buf[:have+k], left-int64(k)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("it ended after %d of the %d bytes that were said; did it change?", n-left, n)
		}
		if err != nil {
			return err
		}
		if len(s.buf) == cap(s.buf) {
			if err := s.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush writes what is still held back.
func (s *Sink) Flush() error {
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	n, err := s.w.WriteAt(s.buf, s.at)
	if err != nil {
		return err
	}
	s.at, s.buf = s.at+int64(n), s.buf[:0]
	return nil
}
