package paramblock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Job is one change of a medium's parameters.
type Job struct {
	File  string    // a raw image, an ISO, a qcow2 image that is not compressed, or a block device
	Words []string  // what the block shall say; none: nothing
	Force bool      // overwrite a block that cannot be read too: BEE_PATCH_FORCE=1
	Out   io.Writer // says what was there and what is there now
}

// Patch writes the words into every block of the file, in place, and reads them
// back. Nothing is written unless every word is good and every block is whole
// or Force is set.
func Patch(ctx context.Context, j Job) error {
	if err := Check(j.Words); err != nil {
		return fmt.Errorf("patch %s: %w", j.File, err)
	}
	block, err := New(j.Words)
	if err != nil {
		return fmt.Errorf("patch %s: %w", j.File, err)
	}
	m, err := openMedium(j.File)
	if err != nil {
		return fmt.Errorf("patch %s: %w", j.File, err)
	}
	err = j.patch(ctx, m, block[:])
	if err = errors.Join(err, m.file.Close()); err != nil {
		return fmt.Errorf("patch %s: %w", j.File, err)
	}
	return nil
}

func (j Job) patch(ctx context.Context, m *medium, block []byte) error {
	places, err := Find(interruptible{ctx, m.file}, m.size)
	if err != nil {
		return err
	}
	if len(places) == 0 {
		return m.without()
	}
	was, err := j.before(m, places)
	if err != nil {
		return err
	}
	for n, at := range places {
		if _, err := m.file.WriteAt(block, at); err != nil {
			return fmt.Errorf("write the parameter block at byte %d: %w; %d of %d blocks are written: run the same again with BEE_PATCH_FORCE=1", at, err, n, len(places))
		}
	}
	if err := m.settle(); err != nil {
		return err
	}
	for _, at := range places {
		back := make([]byte, Size)
		if _, err := m.file.ReadAt(back, at); err != nil {
			return fmt.Errorf("read back the parameter block at byte %d: %w", at, err)
		}
		if !bytes.Equal(back, block) {
			return fmt.Errorf("read back the parameter block at byte %d: the medium does not hold what was written; do not boot from it", at)
		}
	}
	for i, at := range places {
		fmt.Fprintf(j.Out, "parameter block at byte %d:\n  was %s\n  is  %s\n", at, was[i], Line(j.Words))
	}
	fmt.Fprintf(j.Out, "%d of %d blocks written and read back. Its SHA-256 is another now than the one in SHA256SUMS; `go tool mage flash` looks past the block.\n", len(places), len(places))
	return nil
}

// before reads what the blocks say, and refuses those that cannot be read
// unless they are to be overwritten all the same.
func (j Job) before(m *medium, places []int64) ([]string, error) {
	var was []string
	var errs []error
	for _, at := range places {
		words, err := readBlock(m.file, at)
		switch {
		case err == nil:
			was = append(was, Line(words))
		case j.Force:
			was = append(was, fmt.Sprintf("(not readable, overwritten by force: %v)", err))
		default:
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w; nothing is written. BEE_PATCH_FORCE=1 overwrites such a block, with all that it says", errors.Join(errs...))
	}
	return was, nil
}

// medium is a file or device that is open for writing.
type medium struct {
	file   *os.File
	size   int64 // bytes
	device bool
}

// openMedium opens a regular file, or a block device that nothing else uses:
// O_EXCL fails on one that is mounted, or in use below another device (open(2)).
func openMedium(name string) (*medium, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	m := &medium{device: fi.Mode().Type() == fs.ModeDevice}
	flags := os.O_RDWR
	switch {
	case m.device:
		flags |= os.O_EXCL
	case fi.IsDir():
		return nil, errors.New("it is a folder; name the image file in it. " + whoHasOne)
	case !fi.Mode().IsRegular():
		return nil, errors.New("it is neither a file nor a block device")
	}
	if m.file, err = os.OpenFile(name, flags, 0); err != nil {
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%w: unmount what lies on it first", err)
		}
		return nil, err
	}
	if m.size, err = m.file.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(fmt.Errorf("ask for the size: %w", err), m.file.Close())
	}
	return m, nil
}

// settle writes what was written to the medium itself, and forgets what the
// kernel remembers of it, so that reading back asks the medium.
func (m *medium) settle() error {
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("write to the medium: %w", err)
	}
	fd := int(m.file.Fd())
	if m.device {
		if err := unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0); err != nil && !errors.Is(err, unix.EACCES) {
			return fmt.Errorf("forget what was read of the device: %w", err)
		}
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("forget what was read of the medium: %w", err)
	}
	return nil
}

// whoHasOne says which images have a block.
const whoHasOne = "The families iso, raw, qcow2 and disk-image-arm64-uefi have a parameter block; " +
	"kernel-initrd, ipxe and oci leave the command line to whoever boots them, disk-image-rpi4 has them in cmdline.txt of its boot partition, and a unified kernel image has its own inside what is signed"

// kinds are what a file without a block may be, by its first bytes.
var kinds = []struct{ begins, reason string }{
	{"QFI\xfb", "it is a qcow2 image whose data is compressed, or which is not bee's; patch the raw image and convert that"},
	{"MZ", "it is a program of UEFI or a kernel: a unified kernel image has its command line inside what is signed and measured, and anything else takes it from its boot loader"},
	{"\x28\xb5\x2f\xfd", "it is compressed (zstd)"},
	{"\x1f\x8b", "it is compressed (gzip); unpack it first"},
	{"\xfd7zXZ", "it is compressed (xz); unpack it first"},
	{"0707", "it is an initramfs, which has no command line"},
}

// without says why a medium has no block, as far as its first bytes tell.
func (m *medium) without() error {
	begin := make([]byte, 16)
	if _, err := m.file.ReadAt(begin, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read it: %w", err)
	}
	for _, k := range kinds {
		if bytes.HasPrefix(begin, []byte(k.begins)) {
			return errors.New("there is no parameter block in it: " + k.reason + ". " + whoHasOne)
		}
	}
	return errors.New("there is no parameter block in it. " + whoHasOne)
}

// interruptible ends reading when its context ends.
type interruptible struct {
	ctx context.Context
	io.ReaderAt
}

func (i interruptible) ReadAt(p []byte, at int64) (int, error) {
	if err := context.Cause(i.ctx); err != nil {
		return 0, err
	}
	return i.ReaderAt.ReadAt(p, at)
}
