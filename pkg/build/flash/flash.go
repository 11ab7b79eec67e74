// Package flash writes an image to a disk: a USB stick, an SD card, a server's
// disk. It refuses what is in use or was not meant, shows what it is about to
// destroy, asks for the disk's name, writes, and reads everything back.
//
// What it knows of the machine's disks it reads from /sys and /proc, which are
// parameters. That nobody uses the disk, the kernel makes sure of: it is opened
// with O_EXCL, which fails on a disk with anything mounted or built on it
// (open(2)), in other mount namespaces too.
package flash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Job is one image to be written to one disk.
type Job struct {
	Device string // path of the block device
	Image  string // raw image or ISO, with SHA256SUMS beside it
	Yes    string // the device's name where nobody is asked: BEE_FLASH_YES
	In     io.Reader
	Out    io.Writer
	Sys    fs.FS // /sys; nil: this machine's
	Proc   fs.FS // /proc; nil: this machine's
}

// Flash does the job. The error says how the medium was left.
func Flash(ctx context.Context, j Job) error {
	if j.Sys == nil {
		j.Sys = os.DirFS("/sys")
	}
	if j.Proc == nil {
		j.Proc = os.DirFS("/proc")
	}
	dev, err := deviceNumber(j.Device)
	if err != nil {
		return fmt.Errorf("flash %s: %w", j.Device, err)
	}
	m, err := openImage(ctx, j.Image)
	if err != nil {
		return fmt.Errorf("flash %s: check the image %s: %w", j.Device, j.Image, err)
	}
	err = j.flash(ctx, dev, m)
	if err = errors.Join(err, m.file.Close()); err != nil {
		return fmt.Errorf("flash %s: %w", j.Device, err)
	}
	return nil
}

func (j Job) flash(ctx context.Context, dev string, m *image) error {
	d, err := j.judge(dev, m.size)
	if err != nil {
		return err
	}
	if err := j.ask(d, m); err != nil {
		return err
	}
	t, err := openTarget(j.Device, dev, d)
	if err != nil {
		return err
	}
	if err = j.still(d); err == nil {
		err = j.copy(ctx, d, m, t)
	}
	return errors.Join(err, t.file.Close())
}

// still makes sure, now that the disk is held, that nobody put another one into
// its place while the question was answered.
func (j Job) still(d disk) error {
	now, err := readDisk(j.Sys, d.name)
	if err != nil {
		return fmt.Errorf("look at it again: %w", err)
	}
	if now.dev != d.dev || now.seq != d.seq || now.model != d.model || now.serial != d.serial {
		return errors.New("it is another disk than the one that was shown; nothing is written")
	}
	return nil
}

// judge finds the disk and gives every reason not to write to it.
func (j Job) judge(dev string, size int64) (disk, error) {
	disks, err := readDisks(j.Sys)
	if err != nil {
		return disk{}, err
	}
	d, err := find(disks, dev)
	if err != nil {
		return disk{}, err
	}
	uses, err := readUses(j.Proc)
	if err != nil {
		return disk{}, err
	}
	return d, refuse(d, disks, uses, size)
}

// ask shows what will be lost and wants the disk's name.
func (j Job) ask(d disk, m *image) error {
	f, err := os.Open(j.Device)
	if err != nil {
		return fmt.Errorf("look at what is on it: %w", err)
	}
	lines, err := describe(d, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("look at what is on it: %w", err)
	}
	fmt.Fprintf(j.Out, "image %s, %s: %s\nEverything on this disk will be lost:\n%s\n", m.name, bytesOf(m.size), m.said, strings.Join(lines, "\n"))
	said := j.Yes
	if said == "" {
		fmt.Fprintf(j.Out, "Type %s to write: ", d.name)
		if j.In != nil {
			if said, err = bufio.NewReader(j.In).ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("ask: %w", err)
			}
		}
		said = strings.TrimSpace(said)
	}
	if said != d.name && said != "/dev/"+d.name && (said == "" || said != j.Device) {
		return fmt.Errorf("nothing is written: the answer was %q, and not %s; scripts set BEE_FLASH_YES=%s", said, d.name, d.name)
	}
	return nil
}

// copy writes the image, reads it back, and lets the kernel look at the new
// partitions.
func (j Job) copy(ctx context.Context, d disk, m *image, t *device) error {
	p, err := newPlan(m.file, m.size, d.size)
	if err != nil {
		return fmt.Errorf("look at the image's partition table: %w", err)
	}
	fmt.Fprintln(j.Out, p.note)
	meter := &meter{out: j.Out, now: time.Now}
	sums, err := write(ctx, p, m.sum, t, meter)
	if err != nil {
		return err
	}
	if err := verify(ctx, p, sums, t, meter); err != nil {
		return err
	}
	fmt.Fprintf(j.Out, "verified: %s holds what was written; SHA-256 of the image %x\n", j.Device, m.sum)
	// A loop device without partitions says EINVAL; a desktop may look already.
	if err := unix.IoctlSetInt(int(t.file.Fd()), unix.BLKRRPART, 0); err != nil {
		fmt.Fprintf(j.Out, "the kernel did not read the new partition table (%v); pull the medium out and put it in again to look at it here\n", err)
	}
	return nil
}

// deviceNumber is major:minor of a block device.
func deviceNumber(name string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return "", fmt.Errorf("look at it: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return "", errors.New("it is not a block device; name a whole disk, such as /dev/sdb")
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), nil
}

// device is the disk, open for this program alone.
type device struct{ file *os.File }

func (d *device) ReadAt(p []byte, at int64) (int, error)  { return d.file.ReadAt(p, at) }
func (d *device) WriteAt(p []byte, at int64) (int, error) { return d.file.WriteAt(p, at) }

// openTarget opens the disk and makes sure that it is still the one that was
// looked at.
func openTarget(name, dev string, d disk) (*device, error) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("open it: %w: somebody uses it, perhaps in a container; nothing is written", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("open it: %w: write access to a disk needs root, or the group disk", err)
	case err != nil:
		return nil, fmt.Errorf("open it: %w", err)
	}
	if err := same(f, dev, d); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &device{f}, nil
}

func same(f *os.File, dev string, d disk) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("look at it: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("ask for its size: %w", err)
	}
	if got := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)); got != dev || size != d.size {
		return fmt.Errorf("it is another disk than a moment ago: number %s with %d bytes, and it was %s with %d; nothing is written", got, size, dev, d.size)
	}
	return nil
}

// settle waits for the medium and drops what the kernel keeps of it, so that
// what is read comes from the medium.
func (d *device) settle() error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	fd := int(d.file.Fd())
	if err := unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0); err != nil && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("drop the cache: %w", err)
	}
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("drop the cache: %w", err)
	}
	return nil
}
