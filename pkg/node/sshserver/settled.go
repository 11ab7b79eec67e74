package sshserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SettledPath is there, below the root, from when Setup first said who may log in.
const SettledPath = Dir + "/settled"

// awaitSetup waits until Setup settled below dir who may log in: a server greets
// before that, and lets nobody in. It returns an error only if it cannot look, or ctx
// ended.
func awaitSetup(ctx context.Context, dir string) error {
	watched := filepath.Join(dir, Dir)
	if err := os.MkdirAll(watched, 0o700); err != nil { // whoever of the two is first
		return fmt.Errorf("wait for sshsetup: %w", err)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("wait for sshsetup: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, watched, unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		return fmt.Errorf("wait for sshsetup: watch %s: %w", watched, err)
	}
	defer context.AfterFunc(ctx, func() { events.Close() })()
	for buf := make([]byte, 4096); ; {
		_, err := os.Lstat(filepath.Join(dir, SettledPath))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := events.Read(buf); err != nil {
			return fmt.Errorf("wait for sshsetup: %w", errors.Join(context.Cause(ctx), err))
		}
	}
}
