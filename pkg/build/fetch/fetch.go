// Package fetch is bee's only downloader. It brings the inputs that bee.lock
// names into a cache that is keyed by SHA-256, several at a time, from the first
// source that has them (source.go), and hands out nothing whose digest it did
// not just compute.
//
// Environment: BEE_CACHE moves the cache, BEE_MIRROR names the first source,
// HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bee-os/bee/pkg/build/lock"
)

// Parallel is how many downloads run at once: enough to fill a line over the
// small files of a tools tree, few enough for a public mirror's limits.
const Parallel = 6

// Blob is one file to fetch: what it must be, and where below an archive it is.
type Blob struct {
	Name   string // for messages
	Suite  lock.Suite
	Path   string // below the archive's base URL
	Size   int64  // bytes
	SHA256 string // lower-case hexadecimal
}

// Fetcher gets blobs into Cache. The fields may be changed before the first Get.
type Fetcher struct {
	Cache    string // folder, see CacheDir
	Mirror   string // the user's own source (BEE_MIRROR), tried first; may be empty
	Host     map[string][]string
	Progress io.Writer // nil: silent

	Client  *http.Client
	Stall   time.Duration                                    // a body that brings no byte for so long is given up
	Retries int                                              // more tries at one source after a failure that may pass
	Sleep   func(ctx context.Context, d time.Duration) error // between tries
	space   func(dir string) (int64, error)                  // free bytes
	sink    func(io.Writer) io.Writer                        // what writes to the disk; tests fill it up
	lock    *lock.File

	mu   sync.Mutex
	dead map[string]error // hosts that could not be reached at all, and why
}

// New returns a fetcher for the inputs of l with the cache, the sources and the
// proxies that the environment and this host's apt name.
func New(l *lock.File, progress io.Writer) (*Fetcher, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	host, err := HostMirrors(os.DirFS("/"))
	if err != nil && progress != nil {
		// They are a convenience; the lock's mirrors remain.
		fmt.Fprintf(progress, "fetch: the mirror of this host's apt is not used: %v\n", err)
	}
	return &Fetcher{
		Cache: cache, Mirror: os.Getenv("BEE_MIRROR"), Host: host, Progress: progress,
		Client: newClient(), Stall: 30 * time.Second, Retries: 3, Sleep: sleep,
		space: freeSpace, sink: func(w io.Writer) io.Writer { return w },
		lock: l, dead: make(map[string]error),
	}, nil
}

// Blob returns what must be fetched for an entry.
func (f *Fetcher) Blob(e lock.Entry) (Blob, error) {
	_, s, err := f.lock.ArchiveOf(e)
	if !e.Date.IsZero() {
		s.Date = e.Date // the suite has moved on, the entry has not
	}
	return Blob{Name: e.String(), Suite: s, Path: e.Path, Size: e.Size, SHA256: e.SHA256}, err
}

// Get returns the path of the entry's file in the cache, downloaded where it is
// not there yet. Its SHA-256 was computed during this call either way.
func (f *Fetcher) Get(ctx context.Context, e lock.Entry) (string, error) {
	got, err := f.GetAll(ctx, []lock.Entry{e})
	return got[e.SHA256], err
}

// GetAll is Get for many, several at a time. The map goes from SHA-256 to path.
// The first error stops the others; what they had is kept for the next call.
func (f *Fetcher) GetAll(ctx context.Context, entries []lock.Entry) (map[string]string, error) {
	blobs := make([]Blob, 0, len(entries))
	for _, e := range entries {
		b, err := f.Blob(e)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, b)
	}
	return f.Blobs(ctx, blobs)
}

// Blobs is GetAll for files that are no lock entries: the indexes that
// resolving reads.
func (f *Fetcher) Blobs(ctx context.Context, blobs []Blob) (map[string]string, error) {
	// Largest first, so that the last minutes do not wait for one big file; two
	// names for the same bytes are one download.
	blobs = slices.Clone(blobs)
	slices.SortFunc(blobs, func(a, b Blob) int {
		if a.Size != b.Size {
			return int(min(max(b.Size-a.Size, -1), 1))
		}
		return strings.Compare(a.SHA256, b.SHA256)
	})
	blobs = slices.CompactFunc(blobs, func(a, b Blob) bool { return a.SHA256 == b.SHA256 })
	if err := os.MkdirAll(f.blobDir(), 0o755); err != nil {
		return nil, f.cacheError("make cache folder", err)
	}
	if err := f.checkSpace(blobs); err != nil {
		return nil, err
	}

	paths := make(map[string]string, len(blobs))
	var mu sync.Mutex
	m := newMeter(f.Progress)
	defer m.stop()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(Parallel)
	for _, b := range blobs {
		group.Go(func() error {
			path, err := f.blob(ctx, b, m)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			paths[b.SHA256] = path
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return paths, nil
}

// checkSpace fails before the first byte where the cache cannot hold what is missing.
func (f *Fetcher) checkSpace(blobs []Blob) error {
	var need int64
	for _, b := range blobs {
		if _, err := os.Stat(f.blobPath(b.SHA256)); err != nil {
			need += b.Size
		}
	}
	if need == 0 {
		return nil
	}
	free, err := f.space(f.Cache)
	if err != nil {
		return nil // a file system that cannot tell; a full one shows while writing
	}
	if free < need {
		return f.cacheError("fetch", fmt.Errorf("%s to download, %s free: %w", bytesText(need), bytesText(free), syscall.ENOSPC))
	}
	return nil
}

// cacheError names the cache and what to do about a full or unwritable one.
func (f *Fetcher) cacheError(what string, err error) error {
	var remedy string
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "; free some space there, or set BEE_CACHE to a folder with more"
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		remedy = "; set BEE_CACHE to a folder that you may write"
	}
	return fmt.Errorf("%s (cache %s): %w%s", what, f.Cache, err, remedy)
}

// Run fetches every input of the bee.lock in the current folder.
func Run(ctx context.Context, progress io.Writer) error {
	l, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return err
	}
	f, err := New(l, progress)
	if err != nil {
		return err
	}
	_, err = f.GetAll(ctx, l.Entries)
	if err == nil {
		fmt.Fprintf(progress, "%d inputs are in %s\n", len(l.Entries), f.Cache)
	}
	return err
}
