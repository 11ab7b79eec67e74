package verify

import (
	"archive/tar"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"path"
)

// tarMagic stands in the first header of an archive, at tarMagicAt (POSIX.1-2001,
// pax, ustar Interchange Format).
const (
	tarMagic   = "ustar"
	tarMagicAt = 257
)

// begins says whether a text stands at an offset.
func begins(r io.ReaderAt, at int64, text string) bool {
	have := make([]byte, len(text))
	n, err := r.ReadAt(have, at)
	return n == len(text) && (err == nil || errors.Is(err, io.EOF)) && string(have) == text
}

// section is one of a PE image, without the zeros that fill it up to the
// alignment of the file. A name that stands twice is refused: what starts the
// image might take the other one.
func section(r io.ReaderAt, size int64, name string) (io.ReadCloser, error) {
	f, err := pe.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("read the program's sections: %w", err)
	}
	var found *pe.Section
	for _, s := range f.Sections {
		if s.Name != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("the program has two sections %s", name)
		}
		found = s
	}
	if found == nil {
		return nil, fmt.Errorf("the program has no section %s", name)
	}
	return io.NopCloser(io.NewSectionReader(r, int64(found.Offset), int64(min(found.Size, found.VirtualSize)))), nil
}

// entry is a file of a tar archive. A name that stands twice is refused: who
// unpacks the archive has the second one.
func entry(r io.ReaderAt, size int64, name string) (io.ReadCloser, error) {
	in := io.NewSectionReader(r, 0, size)
	var found *io.SectionReader
	for t := tar.NewReader(in); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		if path.Clean(h.Name) != name {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("the archive holds %s twice", name)
		}
		at, err := in.Seek(0, io.SeekCurrent) // the reader of archives keeps nothing back
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || at+h.Size > size {
			return nil, fmt.Errorf("%s is no file in the archive", name)
		}
		found = io.NewSectionReader(r, at, h.Size)
	}
	if found == nil {
		return nil, fmt.Errorf("the archive does not hold %s", name)
	}
	return io.NopCloser(found), nil
}
