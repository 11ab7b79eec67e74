package nocloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/node/blkid"
	"github.com/bee-os/bee/pkg/node/fat"
	"github.com/bee-os/bee/pkg/node/iso9660"
)

// label marks a seed, in lower or upper case (cloud-init,
// reference/datasources/nocloud).
const label = "cidata"

// Files of a seed. Of the last two bee honours nothing.
const (
	metaData      = "meta-data"
	userData      = "user-data"
	vendorData    = "vendor-data"
	networkConfig = "network-config"
)

// askTime bounds how long one device may take: an optical drive spins up, a sick
// disk never answers.
const askTime = 15 * time.Second

// atOnce bounds how many devices are asked at the same time; one that hangs
// keeps its place.
const atOnce = 32

// media is a volume that is labelled as a seed.
type media struct {
	device     string // name below /sys/class/block
	kind       string // file system
	meta, user []byte
	extra      []string // files that are not honoured
	err        error    // why it cannot be taken
}

func (m media) equal(o media) bool {
	return m.err == nil && o.err == nil && bytes.Equal(m.meta, o.meta) && bytes.Equal(m.user, o.user)
}

// candidates are the block devices on which a seed may be: disks and their
// partitions. Those that the machine makes itself of files, memory or other
// devices (loop, dm, md, nbd, zram: /sys/devices/virtual/block) are none: what
// lies in them may belong to whom the machine works for.
func candidates(root fs.FS) ([]string, error) {
	const dir = "sys/class/block"
	entries, err := fs.ReadDir(root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no block device at all
	}
	if err != nil {
		return nil, fmt.Errorf("list block devices: %w", err)
	}
	var names []string
	for _, e := range entries {
		link, err := fs.ReadLink(root, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("list block devices: %w", err)
		}
		if strings.Contains(link+"/", "/devices/virtual/block/") || attribute(root, e.Name(), "size") == "0" || attribute(root, e.Name(), "hidden") == "1" {
			continue
		}
		names = append(names, e.Name())
	}
	return names, nil
}

// attribute is a file of a block device in sysfs; empty: it is not there.
func attribute(root fs.FS, device, name string) string {
	b, err := fs.ReadFile(root, path.Join("sys/class/block", device, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// deviceFile is where devtmpfs has a device; sysfs cannot have a slash in a name.
func deviceFile(name string) string { return "/dev/" + strings.ReplaceAll(name, "!", "/") }

// device is an open block device.
type device interface {
	io.ReaderAt
	io.Closer
}

// openDevice opens one for reading. O_NONBLOCK leaves the tray of a drive open
// (open(2) on a CD-ROM; util-linux does so too).
func openDevice(name string) (device, error) {
	return os.OpenFile(deviceFile(name), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
}

// errNoSeed says that a device holds something else, or nothing.
var errNoSeed = errors.New("no volume labelled " + label)

// look asks one device, no longer than askTime.
func look(ctx context.Context, open func(string) (device, error), name string) (media, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, fmt.Errorf("it did not answer in %v", askTime))
	defer cancel()
	type answer struct {
		media
		err error
	}
	done := make(chan answer, 1)
	go func() {
		d, err := open(name)
		if err != nil {
			done <- answer{err: err}
			return
		}
		m, err := readMedia(name, d)
		done <- answer{m, errors.Join(err, d.Close())}
	}()
	select {
	case a := <-done:
		if errors.Is(a.err, syscall.ENOMEDIUM) {
			return media{}, errNoSeed
		}
		return a.media, a.err
	case <-ctx.Done():
		return media{}, context.Cause(ctx)
	}
}

// volume is a file system without the kernel.
type volume interface {
	ReadFile(name string, limit int64) ([]byte, error)
}

// readMedia reads a seed. Its error is errNoSeed where there is none; what makes
// a seed useless is in the media.
func readMedia(name string, r io.ReaderAt) (media, error) {
	info, err := blkid.Probe(r)
	if errors.Is(err, blkid.ErrNone) || err == nil && info.Label != label && info.Label != strings.ToUpper(label) {
		return media{}, errNoSeed
	}
	if err != nil {
		return media{}, err
	}
	m := media{device: name, kind: info.Type}
	var v volume
	switch info.Type {
	case "vfat":
		v, err = fat.Open(r)
	case "iso9660":
		v, err = iso9660.Open(r)
	default:
		err = fmt.Errorf("it is %s: a seed is on vfat or iso9660", info.Type)
	}
	if err == nil {
		err = m.read(v)
	}
	m.err = err
	return m, nil
}

// read reads the files. One of the two that count may be missing.
func (m *media) read(v volume) error {
	var missing int
	for _, f := range []struct {
		name string
		into *[]byte
	}{{metaData, &m.meta}, {userData, &m.user}, {vendorData, nil}, {networkConfig, nil}} {
		b, err := v.ReadFile(f.name, MaxFile)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if f.into != nil {
				missing++
			}
		case f.into == nil:
			m.extra = append(m.extra, f.name)
		case err != nil:
			return err
		default:
			*f.into = b
		}
	}
	if missing == 2 {
		return fmt.Errorf("it holds neither %s nor %s in its root folder", metaData, userData)
	}
	return nil
}
