package paramblock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// sector is what every file system of a medium aligns a file to, bytes; chunk
// is how much is read at once, a multiple of it.
const (
	sector = 512
	chunk  = 4 << 20
)

// Find gives the places of all blocks in an image of size bytes, as bytes from
// its beginning. Whether a block is whole is for Parse to say.
func Find(r io.ReaderAt, size int64) ([]int64, error) {
	var found []int64
	buf := make([]byte, chunk)
	for at := int64(0); at+Size <= size; at += chunk {
		part := buf[:min(chunk, size-at)]
		if _, err := r.ReadAt(part, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("look for parameter blocks at byte %d: %w", at, err)
		}
		for i := 0; i+len(magic) <= len(part); i += sector {
			if part[i] == magic[0] && bytes.HasPrefix(part[i:], []byte(magic)) && at+int64(i)+Size <= size {
				found = append(found, at+int64(i))
			}
		}
	}
	return found, nil
}

// AsBuilt reads an image as the builder wrote it: every block that is whole is
// read as one without words. A medium that was patched and nothing else has so
// the digest that was published for it.
func AsBuilt(r io.ReaderAt, size int64) (io.Reader, error) {
	places, err := Find(r, size)
	if err != nil {
		return nil, err
	}
	empty, err := New(nil)
	if err != nil {
		return nil, err
	}
	var parts []io.Reader
	from := int64(0)
	for _, at := range places {
		if at < from { // inside another block, where it is no block
			continue
		}
		if _, err := readBlock(r, at); err != nil {
			continue // not whole: what lies there counts as it is
		}
		parts = append(parts, io.NewSectionReader(r, from, at-from), bytes.NewReader(empty[:]))
		from = at + Size
	}
	return io.MultiReader(append(parts, io.NewSectionReader(r, from, size-from))...), nil
}

// readBlock reads the words of the block at a place.
func readBlock(r io.ReaderAt, at int64) ([]string, error) {
	block := make([]byte, Size)
	if _, err := r.ReadAt(block, at); err != nil {
		return nil, fmt.Errorf("read the parameter block at byte %d: %w", at, err)
	}
	words, err := Parse(block)
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", at, err)
	}
	return words, nil
}
