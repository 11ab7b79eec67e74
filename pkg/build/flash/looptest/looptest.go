// Package looptest gives tests a block device: a loop device over a file of the
// test's own (loop(4)), detached when the test ends. It never touches a device
// that it did not attach itself.
package looptest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Device makes a loop device over a file and returns its path. Where the
// machine has none to give, the test is left out; in CI it fails.
func Device(t *testing.T, file string, readOnly bool) string {
	t.Helper()
	name, detach, err := attach(file, readOnly)
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	t.Cleanup(func() {
		if err := detach(); err != nil {
			t.Errorf("detach %s: %v", name, err)
		}
	})
	return name
}

// attach sets up a free loop device; another process may be faster for one that
// was free, so it is tried a few times.
func attach(file string, readOnly bool) (name string, detach func() error, err error) {
	flags := os.O_RDWR
	if readOnly {
		flags = os.O_RDONLY
	}
	backing, err := os.OpenFile(file, flags, 0)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, backing.Close()) }()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", nil, fmt.Errorf("make a loop device: %w", err)
	}
	defer func() { err = errors.Join(err, control.Close()) }()
	for range 20 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", nil, fmt.Errorf("find a free loop device: %w", err)
		}
		name = fmt.Sprintf("/dev/loop%d", n)
		dev, err := os.OpenFile(name, flags, 0)
		if err != nil {
			return "", nil, fmt.Errorf("make a loop device: %w", err)
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd())}
		if readOnly {
			config.Info.Flags = unix.LO_FLAGS_READ_ONLY
		}
		err = unix.IoctlLoopConfigure(int(dev.Fd()), &config)
		if errors.Is(err, unix.EBUSY) {
			if err := dev.Close(); err != nil {
				return "", nil, err
			}
			continue
		}
		if err != nil {
			return "", nil, errors.Join(fmt.Errorf("set up %s: %w", name, err), dev.Close())
		}
		return name, func() error {
			_, err := unix.IoctlRetInt(int(dev.Fd()), unix.LOOP_CLR_FD)
			return errors.Join(err, dev.Close())
		}, nil
	}
	return "", nil, errors.New("set up a loop device: others were faster 20 times")
}
