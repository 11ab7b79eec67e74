package flash

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// chunk is how much is written at once, bytes: more than any medium erases at
// once, and a multiple of every sector's size.
const chunk = 4 << 20

// target is the open device.
type target interface {
	io.ReaderAt
	io.WriterAt
	settle() error // writes all to the medium and forgets what was cached of it
}

// errNotBootable is added to whatever ends the writing early.
var errNotBootable = errors.New("the medium is not bootable now: its first sectors are empty; flash it again")

// write writes the plan and returns the digest of each chunk. The first chunk,
// without which nothing starts, is written empty and comes last: a medium that
// was cut off does not start half.
func write(ctx context.Context, p plan, sum [32]byte, t target, meter *meter) ([][32]byte, error) {
	own := sha256.New() // of the image as it was read for writing
	var sums [][32]byte
	buf := make([]byte, chunk)
	begin := make([]byte, chunk)
	meter.start("write", p.total())
	for _, r := range p.ranges() {
		for at := r.from; at < r.to; at += chunk {
			if err := context.Cause(ctx); err != nil {
				return nil, stopped("write", meter, err)
			}
			part := buf[:min(chunk, r.to-at)]
			if at == 0 {
				part = begin[:len(part)]
			}
			if err := p.fill(part, at, own); err != nil {
				return nil, stopped("read the image", meter, err)
			}
			sums = append(sums, sha256.Sum256(part))
			if at == 0 {
				begin, part = part, make([]byte, len(part))
			}
			if _, err := t.WriteAt(part, at); err != nil {
				return nil, stopped("write", meter, explain(err))
			}
			meter.add(int64(len(part)))
		}
	}
	if sumOf(own) != sum {
		return nil, fmt.Errorf("read the image: it was changed while it was written; %w", errNotBootable)
	}
	if err := t.settle(); err != nil {
		return nil, stopped("write", meter, explain(err))
	}
	if _, err := t.WriteAt(begin, 0); err != nil {
		return nil, stopped("write the first sectors", meter, explain(err))
	}
	if err := t.settle(); err != nil {
		return nil, stopped("write the first sectors", meter, explain(err))
	}
	meter.done()
	return sums, nil
}

// verify reads everything back and compares.
func verify(ctx context.Context, p plan, sums [][32]byte, t target, meter *meter) error {
	buf := make([]byte, chunk)
	meter.start("read back", p.total())
	for _, r := range p.ranges() {
		for at := r.from; at < r.to; at += chunk {
			if err := context.Cause(ctx); err != nil {
				return fmt.Errorf("read back: stopped after %s of %s: %w; all is written, and nobody knows whether the medium holds it", bytesOf(meter.at), bytesOf(meter.size), err)
			}
			part := buf[:min(chunk, r.to-at)]
			if _, err := t.ReadAt(part, at); err != nil {
				return fmt.Errorf("read back at byte %d: %w; do not trust this medium", at, err)
			}
			if sha256.Sum256(part) != sums[0] {
				return fmt.Errorf("read back: the medium holds something else than was written, between bytes %d and %d (SHA-256 differs); it is broken, or smaller than it says: do not trust it", at, at+int64(len(part)))
			}
			sums = sums[1:]
			meter.add(int64(len(part)))
		}
	}
	meter.done()
	return nil
}

// total is how many bytes are written.
func (p plan) total() int64 {
	var n int64
	for _, r := range p.ranges() {
		n += r.to - r.from
	}
	return n
}

// stopped says how far the writing came.
func stopped(what string, m *meter, err error) error {
	return fmt.Errorf("%s: stopped after %s of %s: %w; %w", what, bytesOf(m.at), bytesOf(m.size), err, errNotBootable)
}

// explain adds what an error of the machine means here.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w (the medium is broken, or was pulled out)", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, io.ErrShortWrite):
		return fmt.Errorf("%w (the medium ends here, before the size that it says it has)", err)
	}
	return err
}
