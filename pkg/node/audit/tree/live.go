package tree

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/node/audit/device"
)

// Live is the files of this machine, or of a folder. Every read has a deadline:
// an attribute of sysfs may ask the device behind it, and that may be dead.
type Live struct {
	dir      string
	patience time.Duration
}

// NewLive is the tree below dir, each read of which waits so long.
func NewLive(dir string, patience time.Duration) Live { return Live{dir, patience} }

func timed[T any](patience time.Duration, op, name string, do func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := do()
		done <- result{v, err}
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-t.C:
		var none T
		return none, &fs.PathError{Op: op, Path: name, Err: device.TimedOut(patience)}
	}
}

// maxRecord is the longest record of /dev/kmsg, bytes (kernel: PRINTKRB_RECORD_MAX
// and its prefix).
const maxRecord = 8192

// maxFile bounds what is read of one file, bytes.
const maxFile = 16 << 20

// remembered says whether the kernel answers from its memory, without asking a
// device: such a read needs no deadline, which costs a goroutine each.
func remembered(name string) bool {
	for _, prefix := range [...]string{"proc/", "etc/", "run/", "usr/", "sys/devices/system/cpu/", "sys/devices/system/node/", "sys/firmware/dmi/", "sys/firmware/acpi/", "sys/class/dmi/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name[strings.LastIndexByte(name, '/')+1:] {
	case "vendor", "device", "class", "subsystem_vendor", "subsystem_device", "revision", "numa_node", "resource", "sriov_numvfs", "sriov_totalvfs", // PCI: read at the start
		"aer_dev_correctable", "aer_dev_nonfatal", "aer_dev_fatal", // counted by the kernel
		"address", "addr_assign_type", "mtu", "operstate", // network
		"size", "ro", "removable", "hidden", "wwid", "model", "rev", "firmware_rev", "serial", "scsi_level", "rotational", "logical_block_size", "physical_block_size", "transport", "subsysnqn": // disks
		return true
	}
	return false
}

// ReadFile implements fs.ReadFileFS.
func (l Live) ReadFile(name string) ([]byte, error) {
	if remembered(name) {
		return l.read(name)
	}
	return timed(l.patience, "read", name, func() ([]byte, error) { return l.read(name) })
}

// read is os.ReadFile without what a file of sysfs does not need: it is small,
// its stated size is a page whatever it holds, and a short read is its end.
func (l Live) read(name string) ([]byte, error) {
	fail := func(op string, err error) ([]byte, error) { return nil, &fs.PathError{Op: op, Path: name, Err: err} }
	fd, err := retry(func() (int, error) {
		return syscall.Open(path.Join(l.dir, name), syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	})
	if err != nil {
		return fail("open", err)
	}
	defer syscall.Close(fd)
	size := 4096
	if !strings.HasPrefix(name, "sys/") && !strings.HasPrefix(name, "proc/") && !strings.HasPrefix(name, "dev/") {
		var st syscall.Stat_t
		if err := syscall.Fstat(fd, &st); err == nil { // a file that knows its size
			size = int(min(max(st.Size, 512), maxFile))
		}
	}
	b := make([]byte, 0, size+512)
	for {
		if name == "dev/kmsg" && cap(b)-len(b) < maxRecord { // a read that cannot hold the record fails
			b = append(b, make([]byte, maxRecord)...)[:len(b)]
		}
		if len(b) == cap(b) {
			if len(b) >= maxFile {
				return fail("read", syscall.EFBIG)
			}
			b = append(b, 0)[:len(b)]
		}
		n, err := retry(func() (int, error) { return syscall.Read(fd, b[len(b):cap(b)]) })
		switch {
		case err == syscall.EPIPE && name == "dev/kmsg": // records were overwritten meanwhile
			continue
		case err == syscall.EAGAIN && name == "dev/kmsg": // its end
			return b, nil
		case err != nil:
			return fail("read", err)
		}
		if n <= 0 {
			return b, nil
		}
		b = b[:len(b)+n]
	}
}

func retry(do func() (int, error)) (int, error) {
	for {
		n, err := do()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// Map shows a regular file without reading what nobody looks at. The bytes are
// gone after done.
func (l Live) Map(name string) (b []byte, done func(), err error) {
	f, err := os.Open(path.Join(l.dir, name))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if fi.Size() == 0 || fi.Size() > maxFile || !fi.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "mmap", Path: name, Err: syscall.EINVAL}
	}
	b, err = syscall.Mmap(int(f.Fd()), 0, int(fi.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, &fs.PathError{Op: "mmap", Path: name, Err: err}
	}
	return b, func() { syscall.Munmap(b) }, nil
}

// ReadDir implements fs.ReadDirFS.
func (l Live) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(path.Join(l.dir, name)) }

// ReadLink implements fs.ReadLinkFS.
func (l Live) ReadLink(name string) (string, error) { return os.Readlink(path.Join(l.dir, name)) }

// Lstat implements fs.ReadLinkFS.
func (l Live) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(path.Join(l.dir, name)) }

// Stat implements fs.StatFS.
func (l Live) Stat(name string) (fs.FileInfo, error) { return os.Stat(path.Join(l.dir, name)) }

// Open implements fs.FS.
func (l Live) Open(name string) (fs.File, error) { return os.DirFS(l.dir).Open(name) }
