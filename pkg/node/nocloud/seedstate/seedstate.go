// Package seedstate is what became of a NoCloud seed, as the service nocloud
// leaves it for the rest of the node: netup takes the host name from it.
package seedstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
)

// Path is the file, below the root.
const Path = "run/bee/nocloud.json"

// State is what was taken from a seed.
type State struct {
	Device      string   `json:"device"` // vdb, sr0, sdc1
	Type        string   `json:"type"`   // file system: vfat or iso9660
	InstanceID  string   `json:"instance_id,omitempty"`
	Hostname    string   `json:"hostname,omitempty"` // empty: the seed names none
	Keys        []string `json:"keys"`               // fingerprints of those that may log in
	NotHonoured []string `json:"not_honoured"`       // settings that bee does not know, without their values
	Problems    []string `json:"problems"`
}

// Read reads the state below root. Its error is fs.ErrNotExist as long as no
// seed was taken.
func Read(root fs.FS) (State, error) {
	text, err := fs.ReadFile(root, Path)
	if err != nil {
		return State{}, fmt.Errorf("read state of the seed: %w", err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("%s: %w", Path, err)
	}
	if s.Hostname != "" {
		if err := bootparam.CheckHostname(s.Hostname); err != nil {
			return State{}, fmt.Errorf("%s: host name: %w", Path, err)
		}
	}
	return s, nil
}

// Write replaces the state below root as a whole.
func (s State) Write(root string) error {
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("write state of the seed: %w", err)
	}
	name := filepath.Join(root, Path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write state of the seed: %w", err)
	}
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o644); err != nil {
		return errors.Join(fmt.Errorf("write state of the seed: %w", err), os.Remove(name+".new"))
	}
	if err := os.Rename(name+".new", name); err != nil {
		return errors.Join(fmt.Errorf("write state of the seed: %w", err), os.Remove(name+".new"))
	}
	return nil
}

// WatchHostname calls named with the host name of the seed, now if there is one
// and whenever a state is written, until ctx ends.
func WatchHostname(ctx context.Context, named func(string)) error {
	return watchHostname(ctx, "/", named)
}

func watchHostname(ctx context.Context, root string, named func(string)) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("make inotify instance: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	dir := filepath.Join(root, filepath.Dir(Path))
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	buf := make([]byte, 4096)
	last := ""
	for {
		// Which file of the folder it was does not matter: a look costs little.
		s, err := Read(os.DirFS(root))
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case s.Hostname != last:
			last = s.Hostname
			named(last)
		}
		if _, err := f.Read(buf); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch %s: %w", dir, err)
		}
	}
}
