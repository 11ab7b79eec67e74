// Package tree is where collectors look: the files of this machine, each read
// with its own deadline; a recorder that keeps what was read; and the archive
// that plays it back, questions to devices included (package device).
package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/node/audit/device"
)

// entry is what is known of one name.
type entry struct {
	mode   fs.FileMode // type bits alone
	data   []byte
	target string          // of a link
	list   []string        // of a folder that was listed
	listed bool            // it was listed, be it empty
	err    *device.Failure // what reading it gave instead
}

// Tree is a machine that was captured. It implements the interfaces of io/fs
// and device.Asker. A name that is in a folder's list and was not read then is
// unknown now, never empty.
type Tree struct {
	Meta    Meta
	plain   bool // a machine's files and nothing else: what is not there was not there
	entries map[string]*entry
	asked   map[string]reply

	once  sync.Once
	below map[string][]string // of a plain tree
}

type reply struct {
	b   []byte
	err *device.Failure
}

// Meta is what an archive tells beside files and answers.
type Meta struct {
	Format   int                  `json:"format"`
	Started  time.Time            `json:"started"` // by the clock of the machine
	Duration time.Duration        `json:"duration_ns"`
	Ended    map[string]Collector `json:"collectors"`
	Redacted bool                 `json:"redacted"`
	// Lists are the folders whose whole list is known.
	Lists map[string][]string `json:"lists"`
	// Failures are the errors that paths and questions (device.Question.File)
	// gave.
	Failures map[string]*device.Failure `json:"failures"`
	Unasked  map[string]*device.Failure `json:"unanswered"`
}

// Collector is how one ended.
type Collector struct {
	Duration time.Duration `json:"duration_ns"`
	TimedOut bool          `json:"timed_out,omitempty"`
}

// maxLinks bounds the links on one path, as the kernel does (path_resolution(7)).
const maxLinks = 40

var errLoop = errors.New("too many levels of symbolic links")

// resolve follows the links on a path but, where last is false, for its last
// part. link tells a link's target.
func resolve(name string, last bool, link func(string) (string, bool)) (string, error) {
	rest := strings.Split(name, "/")
	done := ""
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = parent(done)
			continue
		}
		at := path.Join(done, part)
		if len(rest) == 0 && !last {
			return at, nil
		}
		to, ok := link(at)
		if !ok {
			done = at
			continue
		}
		if links++; links > maxLinks {
			return "", errLoop
		}
		if strings.HasPrefix(to, "/") {
			done = ""
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	if done == "" {
		done = "."
	}
	return done, nil
}

func parent(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return ""
}

func (t *Tree) link(name string) (string, bool) {
	e := t.entries[name]
	if e == nil || e.mode != fs.ModeSymlink {
		return "", false
	}
	return e.target, true
}

func (t *Tree) find(op, name string, last bool) (string, *entry, error) {
	if !fs.ValidPath(name) {
		return "", nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at, err := resolve(name, last, t.link)
	if err != nil {
		return "", nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	e := t.entries[at]
	switch {
	case e == nil:
		return at, nil, &fs.PathError{Op: op, Path: name, Err: t.missing(at)}
	case e.err != nil && e.err.Class == "not-exist":
		return at, nil, e.err
	}
	return at, e, nil
}

// missing says why nothing is known of a name: a folder that was listed
// without it proves that it was not there; else nobody looked.
func (t *Tree) missing(at string) error {
	if t.plain {
		return fs.ErrNotExist
	}
	for at != "" {
		dir := parent(at)
		if e := t.entries[cmp.Or(dir, ".")]; e != nil && e.listed && !slices.Contains(e.list, path.Base(at)) {
			return fs.ErrNotExist
		} else if e != nil && e.err != nil && e.err.Class == "not-exist" {
			return fs.ErrNotExist
		}
		at = dir
	}
	return device.ErrNotCaptured
}

// Ask implements device.Asker.
func (t *Tree) Ask(_ context.Context, q device.Question) ([]byte, error) {
	r, ok := t.asked[q.File()]
	switch {
	case !ok:
		return nil, fmt.Errorf("ask %s (%s): %w", q.Device, q.Kind, device.ErrNotCaptured)
	case r.err != nil:
		return nil, r.err
	}
	return slices.Clone(r.b), nil
}

// ReadFile implements fs.ReadFileFS.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	_, e, err := t.find("open", name, true)
	switch {
	case err != nil:
		return nil, err
	case e.err != nil:
		return nil, e.err
	case e.mode.IsDir():
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	return slices.Clone(e.data), nil
}

// ReadDir implements fs.ReadDirFS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	at, e, err := t.find("open", name, true)
	switch {
	case err != nil:
		return nil, err
	case e.err != nil:
		return nil, e.err
	case !e.mode.IsDir():
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	below := e.list
	switch {
	case t.plain:
		below = t.children(at)
	case !e.listed:
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: device.ErrNotCaptured}
	}
	var list []fs.DirEntry
	for _, n := range below {
		list = append(list, fs.FileInfoToDirEntry(info{n, t.modeOf(path.Join(at, n))}))
	}
	return list, nil
}

// children lists a folder of a plain tree.
func (t *Tree) children(at string) []string {
	t.once.Do(func() {
		t.below = map[string][]string{}
		for _, name := range slices.Sorted(maps.Keys(t.entries)) {
			if name != "." {
				t.below[path.Dir(name)] = append(t.below[path.Dir(name)], path.Base(name))
			}
		}
	})
	return t.below[at]
}

// Captured says whether the tree is an archive of audit: it tells when and how
// long the collectors looked, and what they did not look at.
func (t *Tree) Captured() bool { return !t.plain }

func (t *Tree) modeOf(name string) fs.FileMode {
	if e := t.entries[name]; e != nil {
		return e.mode
	}
	return 0
}

// ReadLink implements fs.ReadLinkFS.
func (t *Tree) ReadLink(name string) (string, error) {
	_, e, err := t.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if e.mode != fs.ModeSymlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return e.target, nil
}

// Lstat implements fs.ReadLinkFS.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) {
	_, e, err := t.find("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), e.mode}, nil
}

// Stat implements fs.StatFS.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	_, e, err := t.find("stat", name, true)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), e.mode}, nil
}

// Open implements fs.FS.
func (t *Tree) Open(name string) (fs.File, error) {
	at, e, err := t.find("open", name, true)
	switch {
	case err != nil:
		return nil, err
	case e.err != nil:
		return nil, e.err
	}
	f := &file{info: info{path.Base(at), e.mode}, Reader: strings.NewReader(string(e.data))}
	if e.mode.IsDir() {
		if f.list, err = t.ReadDir(name); err != nil {
			return nil, err
		}
	}
	return f, nil
}

type file struct {
	info
	io.Reader
	list []fs.DirEntry
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

// ReadDir implements fs.ReadDirFile.
func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(f.list)
	} else if len(f.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.list))
	out := f.list[:n]
	f.list = f.list[n:]
	return out, nil
}

// info is what an archive knows of a file's status.
type info struct {
	name string
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return 0 }
func (i info) Mode() fs.FileMode  { return i.mode | 0o444 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// Rewrite replaces the bytes of every file and of every answer; a question is
// named as device.Question.File does.
func (t *Tree) Rewrite(file, answer func(name string, b []byte) []byte) {
	for name, e := range t.entries {
		if e.data != nil {
			e.data = file(name, e.data)
		}
		e.target = string(file(name, []byte(e.target)))
	}
	for name, r := range t.asked {
		if r.b != nil {
			t.asked[name] = reply{b: answer(name, r.b)}
		}
	}
}

// Each shows every file and every answer.
func (t *Tree) Each(see func(name string, b []byte)) {
	for name, e := range t.entries {
		see(name, e.data)
	}
	for name, r := range t.asked {
		see(name, r.b)
	}
}
