// Package repro compares two artifact folders that should be the same bytes and
// says in words where they first differ: which file, at which byte, and what
// lies there: the member of an initrd and its field, the file inside an ISO, the
// section of a program, the key of a JSON document.
package repro

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Difference is the first one in a file, or a file that only one side has.
type Difference struct {
	File   string   // relative, with slashes
	Offset int64    // bytes from its beginning; -1: the file is not on both sides
	Where  []string // from the outside to the inside; never empty
}

// String is the difference in one line.
func (d Difference) String() string {
	if d.Offset < 0 {
		return d.File + ": " + strings.Join(d.Where, ": ")
	}
	return fmt.Sprintf("%s: byte %d (%#x): %s", d.File, d.Offset, d.Offset, strings.Join(d.Where, ": "))
}

// Compare compares the files below two folders byte by byte. Each file that
// differs gives one Difference, in the order of names; none means that the
// folders are the same. Names and bytes count, modes and times do not: they are
// the copier's.
func Compare(a, b string) ([]Difference, error) {
	left, err := list(a)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	right, err := list(b)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	both := maps.Clone(left)
	maps.Copy(both, right)
	var found []Difference
	for _, name := range slices.Sorted(maps.Keys(both)) {
		switch {
		case left[name] == "":
			found = append(found, Difference{name, -1, []string{"only the second build made it"}})
		case right[name] == "":
			found = append(found, Difference{name, -1, []string{"only the first build made it"}})
		default:
			d, err := compareFiles(left[name], right[name])
			if err != nil {
				return nil, fmt.Errorf("compare %s: %w", name, err)
			}
			if d != nil {
				d.File = name
				found = append(found, *d)
			}
		}
	}
	return found, nil
}

// list is every file below a folder, by its relative name.
func list(dir string) (map[string]string, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", name)
		}
		rel, err := filepath.Rel(dir, name)
		files[filepath.ToSlash(rel)] = name
		return err
	})
	return files, err
}

// compareFiles gives nil where there is no difference.
func compareFiles(a, b string) (*Difference, error) {
	left, err := open(a)
	if err != nil {
		return nil, err
	}
	defer left.close()
	right, err := open(b)
	if err != nil {
		return nil, err
	}
	defer right.close()
	at, same, err := firstDifference(left, right)
	if err != nil || same {
		return nil, err
	}
	x := &explaining{}
	defer x.clean()
	return &Difference{Offset: at, Where: x.explain(left, right, at)}, nil
}

// view is a piece of a file, or something unpacked from one.
type view struct {
	io.ReaderAt
	size int64
	file *os.File // to close; nil for a part
}

func open(name string) (view, error) {
	f, err := os.Open(name)
	if err != nil {
		return view{}, err
	}
	fi, err := f.Stat()
	if err != nil {
		return view{}, errors.Join(err, f.Close())
	}
	return view{f, fi.Size(), f}, nil
}

func (v view) close() {
	if v.file != nil {
		v.file.Close() // it was only read
	}
}

// part is a piece of it, cut to what is there.
func (v view) part(at, size int64) view {
	at = min(max(at, 0), v.size)
	size = min(max(size, 0), v.size-at)
	return view{ReaderAt: io.NewSectionReader(v.ReaderAt, at, size), size: size}
}

// bytes reads a piece whole; nil where it is not there whole.
func (v view) bytes(at, size int64) []byte {
	if at < 0 || size < 0 || at > v.size-size {
		return nil
	}
	text := make([]byte, size)
	if n, _ := v.ReadAt(text, at); int64(n) != size {
		return nil
	}
	return text
}

func (v view) reader() io.Reader { return io.NewSectionReader(v.ReaderAt, 0, v.size) }

// chunk is how much is compared at a time, bytes.
const chunk = 1 << 20

// firstDifference is the first byte in which two views differ, which is the
// length of the shorter one where it is the other's beginning.
func firstDifference(a, b view) (at int64, same bool, err error) {
	left, right := make([]byte, chunk), make([]byte, chunk)
	for at < min(a.size, b.size) {
		n := int(min(chunk, a.size-at, b.size-at))
		if err := readFull(a, left[:n], at); err != nil {
			return 0, false, err
		}
		if err := readFull(b, right[:n], at); err != nil {
			return 0, false, err
		}
		if !bytes.Equal(left[:n], right[:n]) {
			i := 0
			for left[i] == right[i] {
				i++
			}
			return at + int64(i), false, nil
		}
		at += int64(n)
	}
	return at, a.size == b.size, nil
}

func readFull(v view, p []byte, at int64) error {
	if n, err := v.ReadAt(p, at); n < len(p) {
		return fmt.Errorf("read %d bytes at %d: %w", len(p), at, err)
	}
	return nil
}
