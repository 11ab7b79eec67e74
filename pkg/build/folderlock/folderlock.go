// Package folderlock keeps two builds out of one folder.
package folderlock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Take makes the folder, where it is not there yet, and keeps other builds out of
// it until unlock is called: two at once would take
// each other's half-made files away. It waits for one that is at work. The lock
// is the folder's own (flock(2)) and ends with the process.
func Take(ctx context.Context, dir string, progress io.Writer) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder to build in: %w", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder to build in: %w", err)
	}
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return f.Close, nil
		case errors.Is(err, unix.EBADF), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS):
			fmt.Fprintf(progress, "%s lies on a file system without locks (%v): do not build there twice at once\n", dir, err)
			return f.Close, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
		}
		if !told {
			fmt.Fprintf(progress, "another build is at work in %s: waiting for it\n", dir)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the build that is at work in %s: %w", dir, context.Cause(ctx)), f.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
