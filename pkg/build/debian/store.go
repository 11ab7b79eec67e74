package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
)

// Getter brings a verified package file: *fetch.Fetcher.
type Getter interface {
	Get(ctx context.Context, e lock.Entry) (path string, err error)
	GetAll(ctx context.Context, entries []lock.Entry) (map[string]string, error)
}

// Store keeps unpacked packages, each in a folder named by the package's
// SHA-256. The trees are shared between builds: nobody may write into them.
type Store struct {
	Dir   string // <cache>/trees
	Fetch Getter
}

// NewStore returns the store in f's cache.
func NewStore(f *fetch.Fetcher) *Store {
	return &Store{Dir: filepath.Join(f.Cache, "trees"), Fetch: f}
}

// Tree returns the folder that holds the entry's files, fetched and unpacked
// where that has not been done yet.
func (s *Store) Tree(ctx context.Context, e lock.Entry) (string, error) {
	dirs, err := s.Trees(ctx, []lock.Entry{e})
	if err != nil {
		return "", err
	}
	return dirs[0], nil
}

// Trees is Tree for many: what is missing is fetched in one go. The result is
// in the order of the entries.
func (s *Store) Trees(ctx context.Context, entries []lock.Entry) ([]string, error) {
	dirs := make([]string, len(entries))
	var missing []lock.Entry
	for i, e := range entries {
		dirs[i] = filepath.Join(s.Dir, e.SHA256)
		if _, err := os.Stat(dirs[i]); err != nil {
			missing = append(missing, e)
		}
	}
	if len(missing) == 0 {
		return dirs, nil
	}
	debs, err := s.Fetch.GetAll(ctx, missing)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, s.storeError("make tree folder", err)
	}
	for _, e := range missing {
		if err := s.unpack(ctx, e, debs[e.SHA256]); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// unpack makes one tree under a name of its own and renames it when it is whole.
func (s *Store) unpack(ctx context.Context, e lock.Entry, deb string) error {
	tmp, err := os.MkdirTemp(s.Dir, ".unpack-")
	if err != nil {
		return s.storeError("unpack "+e.String(), err)
	}
	defer os.RemoveAll(tmp)
	in, err := os.Open(deb)
	if err != nil {
		return s.storeError("unpack "+e.String(), err)
	}
	defer in.Close()
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return s.storeError("unpack "+e.String(), err)
	}
	defer root.Close()
	control, err := Unpack(ctx, in, root)
	if err != nil {
		return s.storeError("unpack "+e.String(), err)
	}
	if control.Get("Package") != e.Name || control.Get("Version") != e.Version {
		return fmt.Errorf("unpack %s: the package calls itself %s %s; correct its entry in %s", e, control.Get("Package"), control.Get("Version"), lock.Name)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return s.storeError("unpack "+e.String(), err)
	}
	if err := os.Rename(tmp, filepath.Join(s.Dir, e.SHA256)); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
		return s.storeError("store tree of "+e.String(), err)
	}
	return nil
}

func (s *Store) storeError(what string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s (cache %s): %w; free some space there, or set BEE_CACHE to a folder with more", what, s.Dir, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

var _ io.Reader = (*arReader)(nil)
