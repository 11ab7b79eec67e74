package tree

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/bee-os/bee/pkg/node/audit/device"
)

// Root is what a recorder can look through.
type Root interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.ReadLinkFS
	fs.StatFS
}

// Recorder passes reads and questions on and keeps what came back.
type Recorder struct {
	root Root
	ask  device.Asker
	mu   sync.Mutex
	tree *Tree
}

// NewRecorder records what is read from root and asked of ask.
func NewRecorder(root Root, ask device.Asker) *Recorder {
	return &Recorder{root: root, ask: ask, tree: &Tree{entries: map[string]*entry{}, asked: map[string]reply{}}}
}

// Tree is what was recorded until now.
func (r *Recorder) Tree() *Tree {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tree
}

// at finds where a name leads, and keeps the links on the way.
func (r *Recorder) at(name string, last bool) (string, error) {
	return resolve(name, last, func(at string) (string, bool) {
		if e, ok := r.known(at); ok {
			return e.target, e.mode == fs.ModeSymlink
		}
		to, err := r.root.ReadLink(at)
		if err != nil {
			return "", false
		}
		r.keep(at, func(e *entry) { e.mode, e.target = fs.ModeSymlink, to })
		return to, true
	})
}

// known is what is kept of a name until now: a copy, since others add to it.
func (r *Recorder) known(at string) (entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tree.entries[at]
	if e == nil {
		return entry{}, false
	}
	return *e, true
}

func (r *Recorder) keep(at string, change func(*entry)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tree.entries[at]
	if e == nil {
		e = new(entry)
		r.tree.entries[at] = e
	}
	change(e)
}

// ReadFile implements fs.ReadFileFS. The first reading of a file is the one
// that is kept, and the one that everybody gets: a counter that went on between
// two readings would else make a report that cannot be repeated.
func (r *Recorder) ReadFile(name string) ([]byte, error) {
	at, err := r.at(name, true)
	if err != nil {
		return r.root.ReadFile(name)
	}
	if e, ok := r.known(at); ok && (e.data != nil || e.err != nil) {
		if e.err != nil {
			return nil, e.err
		}
		return slices.Clone(e.data), nil
	}
	b, err := r.root.ReadFile(name)
	r.keep(at, func(e *entry) {
		switch {
		case e.data != nil || e.err != nil: // somebody was faster
		case err != nil:
			e.err = device.NewFailure(err)
		default:
			e.data = append([]byte{}, b...)
		}
		b, err = slices.Clone(e.data), nil
		if e.err != nil {
			b, err = nil, e.err
		}
	})
	return b, err
}

// ReadDir implements fs.ReadDirFS.
func (r *Recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	at, err := r.at(name, true)
	list, readErr := r.root.ReadDir(name)
	if err != nil {
		return list, readErr
	}
	r.keep(at, func(e *entry) {
		if readErr != nil {
			e.err = device.NewFailure(readErr)
			return
		}
		e.mode, e.listed, e.list = fs.ModeDir, true, nil
		for _, d := range list {
			e.list = append(e.list, d.Name())
		}
	})
	return list, readErr
}

// ReadLink implements fs.ReadLinkFS.
func (r *Recorder) ReadLink(name string) (string, error) {
	at, err := r.at(name, false)
	to, readErr := r.root.ReadLink(name)
	if err == nil {
		r.keep(at, func(e *entry) {
			if readErr != nil {
				e.failed(readErr)
			} else {
				e.mode, e.target = fs.ModeSymlink, to
			}
		})
	}
	return to, readErr
}

// failed keeps an error, unless there is something better.
func (e *entry) failed(err error) {
	if e.data == nil && !e.listed && e.target == "" && e.mode == 0 {
		e.err = device.NewFailure(err)
	}
}

// Lstat implements fs.ReadLinkFS.
func (r *Recorder) Lstat(name string) (fs.FileInfo, error) {
	at, err := r.at(name, false)
	fi, statErr := r.root.Lstat(name)
	if err == nil {
		r.seen(at, fi, statErr)
	}
	return fi, statErr
}

// Stat implements fs.StatFS.
func (r *Recorder) Stat(name string) (fs.FileInfo, error) {
	at, err := r.at(name, true)
	fi, statErr := r.root.Stat(name)
	if err == nil {
		r.seen(at, fi, statErr)
	}
	return fi, statErr
}

func (r *Recorder) seen(at string, fi fs.FileInfo, err error) {
	if err == nil && fi.Mode().Type() == fs.ModeSymlink {
		if to, err := r.root.ReadLink(at); err == nil {
			r.keep(at, func(e *entry) { e.mode, e.target = fs.ModeSymlink, to })
		}
		return
	}
	r.keep(at, func(e *entry) {
		if err != nil {
			e.failed(err)
		} else if e.mode == 0 {
			e.mode = fi.Mode().Type()
		}
	})
}

// Open implements fs.FS, through ReadFile and ReadDir, so that it is recorded.
func (r *Recorder) Open(name string) (fs.File, error) {
	fi, err := r.Stat(name)
	if err != nil {
		return nil, err
	}
	f := &file{info: info{path.Base(name), fi.Mode().Type()}}
	if fi.IsDir() {
		f.list, err = r.ReadDir(name)
	} else {
		var b []byte
		b, err = r.ReadFile(name)
		f.Reader = newReader(b)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Ask implements device.Asker.
func (r *Recorder) Ask(ctx context.Context, q device.Question) ([]byte, error) {
	name := q.File()
	r.mu.Lock()
	before, ok := r.tree.asked[name]
	r.mu.Unlock()
	if ok {
		if before.err != nil {
			return nil, before.err
		}
		return slices.Clone(before.b), nil
	}
	b, err := r.ask.Ask(ctx, q)
	kept := reply{b: slices.Clone(b)}
	if err != nil {
		kept = reply{err: device.NewFailure(err)}
	}
	r.mu.Lock()
	r.tree.asked[name] = kept
	r.mu.Unlock()
	return b, err
}
