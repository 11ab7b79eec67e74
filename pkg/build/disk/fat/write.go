package fat

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

// Write writes the volume to the beginning of w, in rising order and each byte
// at most once. What is free is left out: w must read as zeros where nothing
// was written, as a fresh file does that was truncated to its size, and
// io.NewOffsetWriter puts the volume into a partition. Nothing is written where
// the files do not fit. A file that is shorter or longer than its Size is an
// error, after which what was written is of no use.
func (v Volume) Write(ctx context.Context, w io.WriterAt) (Layout, error) {
	p, err := v.plan()
	if err != nil {
		return Layout{}, err
	}
	s := &sink{ctx: ctx, w: w, buf: make([]byte, 0, bufferSize)}
	if err := p.write(s); err != nil {
		return Layout{}, fmt.Errorf("write FAT volume: %w", err)
	}
	return p.layout(), nil
}

func (p *plan) write(s *sink) error {
	table := p.table()
	first := p.g.reserved * sectorSize
	second := first + p.g.fat*sectorSize
	for _, part := range []struct {
		at   int64
		data []byte
	}{{0, p.reservedArea()}, {first, table}, {second, table}} {
		if err := s.put(part.at, part.data); err != nil {
			return err
		}
	}
	for n := range p.root.folders() {
		at := second + p.g.fat*sectorSize // FAT16's root
		if n.count > 0 {
			at = p.g.offset(n.first)
		}
		if err := s.put(at, p.folder(n)); err != nil {
			return err
		}
	}
	for n := range p.root.files() {
		if n.count == 0 {
			continue
		}
		if err := p.copyFile(s, n); err != nil {
			return fmt.Errorf("file %s: %w", n.file.Path, err)
		}
	}
	return s.flush()
}

// copyFile writes one file's content to its place.
func (p *plan) copyFile(s *sink, n *node) (err error) {
	r, err := n.file.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := s.seek(p.g.offset(n.first)); err != nil {
		return err
	}
	if err := s.copy(r, n.file.Size); err != nil {
		return err
	}
	// One byte more would be a file that changed since it was measured.
	var more [1]byte
	switch k, err := io.ReadFull(r, more[:]); {
	case k > 0:
		return fmt.Errorf("it is longer than the %d bytes that were said; did it change?", n.file.Size)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// sink writes pieces at rising places in large blocks.
type sink struct {
	ctx context.Context
	w   io.WriterAt
	buf []byte // not written yet
	at  int64  // place of buf's first byte
}

// seek goes on to a place at or after the current one.
func (s *sink) seek(off int64) error {
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
	if err := s.flush(); err != nil {
		return err
	}
	s.at = off
	return nil
}

// put writes bytes at a place.
func (s *sink) put(off int64, p []byte) error {
	if err := s.seek(off); err != nil {
		return err
	}
	for len(p) > 0 {
		n := copy(s.buf[len(s.buf):cap(s.buf)], p)
		s.buf, p = s.buf[:len(s.buf)+n], p[n:]
		if len(s.buf) == cap(s.buf) {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// copy reads n bytes straight into the buffer.
func (s *sink) copy(r io.Reader, n int64) error {
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
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sink) flush() error {
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
