package qcow2

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Image is an image that was opened: an io.ReaderAt of the raw one. It is safe
// for concurrent use where its reader is.
type Image struct {
	r io.ReaderAt
	h header
}

// Open reads an image's header. Images with a backing file, encryption or
// features beyond version 3 are refused.
func Open(r io.ReaderAt) (*Image, error) {
	b := make([]byte, headerSize)
	if err := readFull(r, b, 0); err != nil {
		return nil, fmt.Errorf("open qcow2 image: %w", err)
	}
	h, err := decodeHeader(b)
	if err != nil {
		return nil, fmt.Errorf("open qcow2 image: %w", err)
	}
	return &Image{r, h}, nil
}

// Size is the raw image's size in bytes.
func (i *Image) Size() int64 { return int64(i.h.size) }

// ReadAt reads from the raw image.
func (i *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read qcow2 image: negative offset")
	}
	if off >= i.Size() {
		return 0, io.EOF
	}
	var end error
	if left := i.Size() - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	size := int64(1) << i.h.bits
	done := 0
	for done < len(p) {
		in := (off + int64(done)) % size
		n := int(min(int64(len(p)-done), size-in))
		if err := i.cluster(p[done:done+n], (off+int64(done))/size, in); err != nil {
			return done, fmt.Errorf("read qcow2 image at %d: %w", off+int64(done), err)
		}
		done += n
	}
	return done, end
}

// cluster reads a part of one cluster of the raw image.
func (i *Image) cluster(p []byte, cluster, in int64) error {
	entry, err := i.entry(cluster)
	switch {
	case err != nil:
		return err
	case entry&flagCompressed != 0:
		return i.inflate(p, entry, in)
	case entry&flagZero != 0 || entry&offsetMask == 0:
		clear(p)
		return nil
	}
	return readFull(i.r, p, int64(entry&offsetMask)+in)
}

// entry looks a cluster up in the tables.
func (i *Image) entry(cluster int64) (uint64, error) {
	perTable := int64(1) << (i.h.bits - 3)
	first, err := i.word(int64(i.h.table) + cluster/perTable*8)
	if err != nil || first&offsetMask == 0 {
		return 0, err
	}
	return i.word(int64(first&offsetMask) + cluster%perTable*8)
}

func (i *Image) word(off int64) (uint64, error) {
	var b [8]byte
	if off < 0 {
		return 0, errors.New("a table lies nowhere")
	}
	err := readFull(i.r, b[:], off)
	return binary.BigEndian.Uint64(b[:]), err
}

// inflate reads a part of a compressed cluster.
func (i *Image) inflate(p []byte, entry uint64, in int64) error {
	shift := 62 - (i.h.bits - 8)
	off := int64(entry & (1<<shift - 1))
	sectors := int64(entry&(flagCompressed-1)>>shift) + 1
	// The sectors end with those of the next one, or behind the image's end.
	b := make([]byte, sectors*sectorSize-off%sectorSize)
	n, err := i.r.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r := flate.NewReader(bytes.NewReader(b[:n]))
	if _, err := io.CopyN(io.Discard, r, in); err != nil {
		return fmt.Errorf("inflate: %w", err)
	}
	if _, err := io.ReadFull(r, p); err != nil {
		return fmt.Errorf("inflate: %w", err)
	}
	return nil
}
