package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Paths watches for paths by inotify(7). It implements supervise.Paths.
type Paths struct {
	f  *os.File
	fd int

	mu      sync.Mutex
	watched []*watchedPath
}

type watchedPath struct {
	path    string
	exists  bool
	changed func(bool)
}

// NewPaths makes a watcher; Run does its work.
func NewPaths() (*Paths, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make inotify instance: %w", err)
	}
	return &Paths{f: os.NewFile(uintptr(fd), "inotify"), fd: fd}, nil
}

// Watch implements supervise.Paths.
func (p *Paths) Watch(path string, changed func(bool)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &watchedPath{path: filepath.Clean(path), changed: changed}
	if err := p.look(w, true); err != nil {
		return err
	}
	p.watched = append(p.watched, w)
	return nil
}

// look puts a watch on the nearest directory that exists, then looks whether
// the path does: in this order nothing is missed between the two.
func (p *Paths) look(w *watchedPath, first bool) error {
	const mask = syscall.IN_CREATE | syscall.IN_DELETE | syscall.IN_MOVED_TO | syscall.IN_MOVED_FROM |
		syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF | syscall.IN_ONLYDIR
	for dir := filepath.Dir(w.path); ; dir = filepath.Dir(dir) {
		// The same directory again is the same watch.
		_, err := syscall.InotifyAddWatch(p.fd, dir, mask)
		if err == nil {
			// A directory below may have appeared before the watch did.
			if next := below(dir, w.path); next != w.path {
				if st, err := os.Stat(next); err == nil && st.IsDir() {
					dir = next + "/x" // its Dir is next: one level down again
					continue
				}
			}
			break
		}
		if dir == "/" {
			return fmt.Errorf("watch %s: %w", dir, err)
		}
	}
	_, err := os.Lstat(w.path)
	if exists := err == nil; exists != w.exists || first {
		w.exists = exists
		w.changed(exists)
	}
	return nil
}

// below returns the path one level below dir on the way to path.
func below(dir, path string) string {
	for {
		up := filepath.Dir(path)
		if up == dir || up == path {
			return path
		}
		path = up
	}
}

// Run looks again whenever a watched directory changes; it ends with Close.
func (p *Paths) Run() {
	buf := make([]byte, 4096)
	for {
		// What changed does not matter: a look at each path costs little and
		// cannot be out of step.
		if _, err := p.f.Read(buf); err != nil {
			return
		}
		p.mu.Lock()
		for _, w := range p.watched {
			// An error here is one of /, which was watched before.
			p.look(w, false)
		}
		p.mu.Unlock()
	}
}

// Close ends Run.
func (p *Paths) Close() error { return p.f.Close() }
