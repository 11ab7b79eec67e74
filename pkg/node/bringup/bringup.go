// Package bringup is early boot as a table that is executed in order:
// directories, mounts, device nodes, links, kernel settings. A row that fails
// is told by name and the boot goes on: a machine with half its settings that
// can be logged into is worth more than one that stopped.
package bringup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Row is one line of the table.
type Row interface {
	fmt.Stringer          // what it is about
	do(root string) error // root is "" but in tests
}

// Dir makes a directory and those above it.
type Dir struct {
	Path string
	Mode os.FileMode // permissions, os.ModeSticky too
}

func (d Dir) String() string { return "directory " + d.Path }

func (d Dir) do(root string) error {
	path := root + d.Path
	// Mkdir first: most of them are in the image already, or their parent is.
	err := os.Mkdir(path, d.Mode)
	if errors.Is(err, os.ErrNotExist) {
		err = os.MkdirAll(path, d.Mode)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Chmod(path, d.Mode) // mkdir minds the umask and knows no sticky bit
}

// Mount mounts a file system that has no device.
type Mount struct {
	Source, Target, Type string
	Flags                uintptr
	Data                 string
	If                   string // only where this path exists; empty: always
}

func (m Mount) String() string { return "mount " + m.Target }

func (m Mount) do(root string) error {
	if m.If != "" {
		if _, err := os.Lstat(root + m.If); err != nil {
			return nil
		}
	}
	target := root + m.Target
	if (m.Type == "tmpfs" || m.Type == "devpts") && mounted(target) {
		return nil // each mount is a file system of its own: another would hide the first
	}
	err := unix.Mount(m.Source, target, m.Type, m.Flags, m.Data)
	if err == unix.ENOENT {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		err = unix.Mount(m.Source, target, m.Type, m.Flags, m.Data)
	}
	if err == unix.EBUSY && mounted(target) { // whoever started us did it
		return nil
	}
	return err
}

// mounted reports whether something is mounted at path: it is on another
// device than what is above it.
func mounted(path string) bool {
	var here, above syscall.Stat_t
	return syscall.Lstat(path, &here) == nil && syscall.Lstat(filepath.Dir(path), &above) == nil && here.Dev != above.Dev
}

// Dev makes a device node where the kernel's own did not.
type Dev struct {
	Path         string
	Mode         uint32 // unix.S_IFCHR and permissions
	Major, Minor uint32
}

func (d Dev) String() string { return "device " + d.Path }

func (d Dev) do(root string) error {
	err := unix.Mknod(root+d.Path, d.Mode, int(unix.Mkdev(d.Major, d.Minor)))
	if err == unix.EEXIST {
		return nil
	}
	return err
}

// Symlink makes a symbolic link; what is there already is left alone.
type Symlink struct{ Target, Path string }

func (s Symlink) String() string { return "link " + s.Path }

func (s Symlink) do(root string) error {
	err := os.Symlink(s.Target, root+s.Path)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// Sysctl sets a value below /proc/sys.
type Sysctl struct {
	Key, Value string // kernel.printk
	Optional   bool   // this kernel may not have it
}

func (s Sysctl) String() string { return "sysctl " + s.Key }

func (s Sysctl) do(root string) error {
	f, err := os.OpenFile(root+"/proc/sys/"+strings.ReplaceAll(s.Key, ".", "/"), os.O_WRONLY, 0)
	if s.Optional && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.Value + "\n") // printk_devkmsg insists on the newline
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// hugePagesFrom is the RAM from which on programs may ask for huge pages, bytes.
const hugePagesFrom = 4 << 30

// HugePages sets who gets pages of 2 MiB (kernel: admin-guide/mm/transhuge.rst).
// Nobody who does not ask by madvise(2): every program here is small, and such
// pages for their heaps would take more RAM than the whole image, and time to
// clear them. On a machine with little RAM nobody at all: for as long as
// anybody may, the kernel keeps tens of MiB free to make them from.
type HugePages struct{}

func (HugePages) String() string { return "choose who gets huge pages" }

func (HugePages) do(root string) error {
	value := "madvise"
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return err
	}
	if uint64(info.Totalram)*uint64(info.Unit) < hugePagesFrom {
		value = "never"
	}
	f, err := os.OpenFile(root+"/sys/kernel/mm/transparent_hugepage/enabled", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a kernel without them
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Run executes the table and returns an error for each row that failed.
func Run(table []Row) []error { return run(table, "") }

func run(table []Row, root string) []error {
	var errs []error
	for _, row := range table {
		if err := row.do(root); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", row, err))
		}
	}
	return errs
}
