package tree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/node/audit/device"
)

// Format is the version of the archive.
const Format = 1

// Names inside an archive that are no file of the machine.
const (
	own      = ".bee"
	metaFile = own + "/capture.json"
	askedDir = own + "/asked"
)

// Bounds of an archive that is read.
const (
	maxEntries = 1 << 20
	maxTotal   = 512 << 20 // bytes
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

// Write writes the tree as a gzipped tar (POSIX.1-2017 pax): the files where
// they were, answers and errors below .bee. What it holds decides every byte.
func (t *Tree) Write(w io.Writer) error {
	zip := gzip.NewWriter(w)
	out := tar.NewWriter(zip)
	meta := t.Meta
	meta.Format = Format
	meta.Lists, meta.Failures, meta.Unasked = map[string][]string{}, map[string]*device.Failure{}, map[string]*device.Failure{}
	add := func(h tar.Header, b []byte) error {
		h.Format, h.Size = tar.FormatPAX, int64(len(b))
		if err := out.WriteHeader(&h); err != nil {
			return fmt.Errorf("write %s into the archive: %w", h.Name, err)
		}
		_, err := out.Write(b)
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		e := t.entries[name]
		if e.err != nil {
			meta.Failures[name] = e.err
		}
		if e.listed {
			meta.Lists[name] = e.list
		}
		var err error
		switch {
		case name == ".":
		case e.mode == fs.ModeSymlink:
			err = add(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: e.target, Mode: 0o777}, nil)
		case e.mode.IsDir():
			err = add(tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}, nil)
		case e.err == nil && e.data != nil:
			err = add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, e.data)
		case e.err == nil: // seen, never read
			meta.Failures[name] = &device.Failure{Class: "not-captured", Text: "read " + name + ": " + device.ErrNotCaptured.Error()}
		}
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.asked)) {
		r := t.asked[name]
		if r.err != nil {
			meta.Unasked[name] = r.err
			continue
		}
		if err := add(tar.Header{Typeflag: tar.TypeReg, Name: askedDir + "/" + name, Mode: 0o644}, r.b); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(meta, "", " ")
	if err != nil {
		return fmt.Errorf("write the archive's description: %w", err)
	}
	return errors.Join(add(tar.Header{Typeflag: tar.TypeReg, Name: metaFile, Mode: 0o644}, append(b, '\n')), out.Close(), zip.Close())
}

// ErrNoArchive says that a folder or file is no capture.
var ErrNoArchive = errors.New("holds no " + metaFile + ": it is no capture of audit")

// Read reads an archive, or any gzipped tar of a machine's files: Captured tells
// which. Sizes and names are bounded; nothing is written.
func Read(r io.Reader) (*Tree, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	b := builder{files: map[string][]byte{}, tree: &Tree{entries: map[string]*entry{}, asked: map[string]reply{}}}
	in := tar.NewReader(zip)
	for n := 0; ; n++ {
		h, err := in.Next()
		if err == io.EOF {
			return b.finish()
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		if n == maxEntries {
			return nil, fmt.Errorf("read the archive: it has more than %d entries", maxEntries)
		}
		if err := b.add(h, in); err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
	}
}

// ReadDir reads an archive that was unpacked into a folder. The error is
// ErrNoArchive where the folder is some other tree.
func ReadDir(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if _, err := root.Lstat(metaFile); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoArchive)
	}
	b := builder{files: map[string][]byte{}, tree: &Tree{entries: map[string]*entry{}, asked: map[string]reply{}}}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		h := &tar.Header{Name: name}
		switch d.Type() {
		case fs.ModeDir:
			h.Typeflag = tar.TypeDir
			return b.add(h, nil)
		case fs.ModeSymlink:
			h.Typeflag = tar.TypeSymlink
			if h.Linkname, err = root.Readlink(name); err != nil {
				return err
			}
			return b.add(h, nil)
		case 0:
			h.Typeflag = tar.TypeReg
			f, err := root.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return b.add(h, f)
		}
		return fmt.Errorf("%s is neither file, folder nor link", name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the capture: %w", err)
	}
	return b.finish()
}

type builder struct {
	tree  *Tree
	files map[string][]byte // of bee's own
	total int64
}

func (b *builder) add(h *tar.Header, r io.Reader) error {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" || name == "." {
		return nil
	}
	if !fs.ValidPath(name) {
		return fmt.Errorf("%q is no name below the root", h.Name)
	}
	e := new(entry)
	switch h.Typeflag {
	case tar.TypeDir:
		e.mode = fs.ModeDir
	case tar.TypeSymlink:
		e.mode, e.target = fs.ModeSymlink, h.Linkname
	case tar.TypeLink: // to a file that came before
		to := b.tree.entries[strings.TrimPrefix(h.Linkname, "./")]
		if to == nil {
			return fmt.Errorf("%s is a link to %s, which did not come before it", name, h.Linkname)
		}
		*e = *to
	case tar.TypeReg:
		data, err := io.ReadAll(io.LimitReader(r, maxTotal-b.total+1))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if b.total += int64(len(data)); b.total > maxTotal {
			return fmt.Errorf("it holds more than %d MiB", maxTotal>>20)
		}
		e.data = data
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("%s is neither file, folder nor link", name)
	}
	if name == own || strings.HasPrefix(name, own+"/") {
		if e.mode == 0 {
			b.files[name] = e.data
		}
		return nil
	}
	b.tree.entries[name] = e
	return nil
}

func (b *builder) finish() (*Tree, error) {
	text, ok := b.files[metaFile]
	t := b.tree
	if !ok {
		t.plain = true
		b.folders()
		return t, nil
	}
	if err := json.Unmarshal(text, &t.Meta); err != nil {
		return nil, fmt.Errorf("read the archive's description: %w", err)
	}
	if t.Meta.Format != Format {
		return nil, fmt.Errorf("read the archive: it has format %d, this program reads %d", t.Meta.Format, Format)
	}
	for name, f := range t.Meta.Failures {
		if f == nil {
			continue
		}
		if e := t.entries[name]; e != nil {
			e.err = f
		} else {
			t.entries[name] = &entry{err: f}
		}
	}
	for name, list := range t.Meta.Lists {
		e := t.entries[name]
		if e == nil {
			e = new(entry)
			t.entries[name] = e
		}
		e.mode, e.listed, e.list = fs.ModeDir, true, list
	}
	for name, data := range b.files {
		if q, ok := strings.CutPrefix(name, askedDir+"/"); ok {
			t.asked[q] = reply{b: data}
		}
	}
	for q, f := range t.Meta.Unasked {
		if f != nil {
			t.asked[q] = reply{err: f}
		}
	}
	b.folders()
	return t, nil
}

// folders adds those on the way that have no entry of their own.
func (b *builder) folders() {
	t := b.tree
	if t.entries["."] == nil {
		t.entries["."] = &entry{mode: fs.ModeDir}
	}
	for name := range maps.Clone(t.entries) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if t.entries[dir] == nil {
				t.entries[dir] = &entry{mode: fs.ModeDir}
			}
		}
	}
}
