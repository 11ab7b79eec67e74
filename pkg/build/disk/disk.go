// Package disk holds what the writers of disk formats below it share.
package disk

import (
	"fmt"
	"hash"
	"io"
)

// Hasher writes to W and hashes at the same time, on two processors. It is for
// writers that go from the beginning to the end, as those of gpt and fat can:
// what they leave out is hashed as zeros.
type Hasher struct {
	W io.WriterAt
	H hash.Hash

	at int64 // bytes hashed
}

// WriteAt writes p. A place before the end of what was written is an error.
func (h *Hasher) WriteAt(p []byte, off int64) (int, error) {
	if off < h.at {
		return 0, fmt.Errorf("hash while writing: byte %d comes after byte %d", off, h.at)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.zeros(off)
		h.H.Write(p) // a hash.Hash has no error
		h.at += int64(len(p))
	}()
	n, err := h.W.WriteAt(p, off)
	<-done
	return n, err
}

// Sum is the digest of the whole image of size bytes.
func (h *Hasher) Sum(size int64) ([]byte, error) {
	if size < h.at {
		return nil, fmt.Errorf("hash while writing: %d bytes were written, and the image has %d", h.at, size)
	}
	h.zeros(size)
	return h.H.Sum(nil), nil
}

// zeros hashes zeros up to a place.
func (h *Hasher) zeros(to int64) {
	if to == h.at {
		return
	}
	block := make([]byte, min(1<<16, to-h.at))
	for h.at < to {
		n := min(int64(len(block)), to-h.at)
		h.H.Write(block[:n])
		h.at += n
	}
}
