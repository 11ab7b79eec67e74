package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// CacheDir returns the folder below which everything that can be made again is
// kept: $BEE_CACHE, else "bee" in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("BEE_CACHE"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("find cache folder BEE_CACHE=%s: %w", dir, err)
		}
		return abs, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w; set BEE_CACHE to a folder", err)
	}
	return filepath.Join(dir, "bee"), nil
}

func (f *Fetcher) blobDir() string { return filepath.Join(f.Cache, "sha256") }

func (f *Fetcher) blobPath(digest string) string { return filepath.Join(f.blobDir(), digest) }

// verified tells whether the file at path has the blob's digest, by hashing it.
// A file that is there and differs is removed: the cache was damaged.
func (f *Fetcher) verified(b Blob, path string, m *meter) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, f.cacheError("open cached "+b.Name, err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return false, f.cacheError("read cached "+b.Name, err)
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if got == b.SHA256 {
		return true, nil
	}
	m.say("the cached %s is damaged (sha256 %s instead of %s): fetching it again", b.Name, got, b.SHA256)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, f.cacheError("remove damaged "+b.Name, err)
	}
	return false, nil
}

// openPart opens the blob's partial file and holds its lock, so that of several
// bee processes one downloads and the others wait for it. It returns nil where
// another one finished meanwhile.
func (f *Fetcher) openPart(ctx context.Context, b Blob, m *meter) (*os.File, error) {
	name := f.blobPath(b.SHA256) + ".part"
	for told := false; ; {
		part, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, f.cacheError("open partial "+b.Name, err)
		}
		err = syscall.Flock(int(part.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			// The holder before us may have renamed or removed what we opened.
			if sameFile(part, name) {
				return part, nil
			}
			part.Close()
			if _, err := os.Stat(f.blobPath(b.SHA256)); err == nil {
				return nil, nil
			}
			continue
		}
		part.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, f.cacheError("lock partial "+b.Name, err)
		}
		if !told {
			m.say("waiting for another bee process that fetches %s", b.Name)
			told = true
		}
		if err := f.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func sameFile(open *os.File, name string) bool {
	a, err := open.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(name)
	return err == nil && os.SameFile(a, b)
}

// freeSpace returns the bytes an ordinary user may still write below dir.
func freeSpace(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("read free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
