package enter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// base is where the new root is put together before it becomes the root. Any
// folder that every Linux host has will do: the mount is private to this mount
// namespace.
const base = "/tmp"

// mounts of the new root that are file systems of their own, in order. See
// mount(2), proc(5), devpts in the kernel's filesystems documentation.
var mounts = []struct {
	target, fstype string
	flags          uintptr
	data           string
}{
	{"proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"dev", "tmpfs", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0755"},
	{"dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"},
	{"dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=1777"},
	{"tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
}

// hostProc are the places of proc(5) that reach beyond the sandbox's own
// namespaces and that the kernel guards by user id alone, not by capability: a
// step of the host's root could set the host's core_pattern.
var hostProc = []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"}

// closeProc makes them read-only.
func closeProc() error {
	for _, name := range hostProc {
		path := filepath.Join("proc", name)
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			continue // not in this kernel
		}
		err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, "")
		if err == nil {
			err = unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		}
		if err != nil {
			return fmt.Errorf("close /%s to writing: %w", path, err)
		}
	}
	return nil
}

// link is a symbolic link of the new root.
type link struct{ name, to string }

// devLinks are what programs expect in /dev besides devices.
var devLinks = []link{
	{"dev/fd", "/proc/self/fd"},
	{"dev/stdin", "/proc/self/fd/0"},
	{"dev/stdout", "/proc/self/fd/1"},
	{"dev/stderr", "/proc/self/fd/2"},
	{"dev/ptmx", "pts/ptmx"},
}

// source is a thing of the host, opened before the host's tree goes out of
// sight.
type source struct {
	fd    int
	dir   bool
	bind  Bind
	isDev bool
}

// enterRoot makes the step's root and pivots into it. What the host mounts
// stays out of sight: nothing of it is reachable afterwards but the binds.
func enterRoot(spec Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	links, err := toolLinks(spec.Root)
	if err != nil {
		return err
	}
	sources, err := openSources(spec)
	if err != nil {
		return err
	}
	if err := unix.Mount("bee", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount the new root: %w", err)
	}
	if err := os.Chdir(base); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("make mount point /%s: %w", m.target, err)
		}
		if err := unix.Mount(m.fstype, m.target, m.fstype, m.flags, m.data); err != nil {
			if m.fstype == "proc" && errors.Is(err, unix.EPERM) {
				err = fmt.Errorf("%w (a container that hides parts of /proc forbids it: run the container with its /proc unmasked)", err)
			}
			return fmt.Errorf("mount /%s: %w", m.target, err)
		}
	}
	if err := closeProc(); err != nil {
		return err
	}
	for _, l := range append(links, devLinks...) {
		if err := os.Symlink(l.to, l.name); err != nil {
			return fmt.Errorf("link /%s: %w", l.name, err)
		}
	}
	for _, s := range sources {
		if err := s.mount(); err != nil {
			return err
		}
	}
	return pivot()
}

// toolLinks reads the top-level symbolic links of the tools tree, such as
// bin → usr/bin.
func toolLinks(root string) ([]link, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read tools tree: %w", err)
	}
	var list []link
	for _, e := range entries {
		if e.Type() != os.ModeSymlink {
			continue
		}
		to, err := os.Readlink(filepath.Join(root, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read tools tree: %w", err)
		}
		list = append(list, link{e.Name(), to})
	}
	return list, nil
}

// isMount says whether the new root has a file system of its own by that name.
func isMount(name string) bool {
	for _, m := range mounts {
		if m.target == name {
			return true
		}
	}
	return name == "sys"
}

// openSources opens everything that will be shown, while it can be reached.
func openSources(spec Spec) ([]source, error) {
	var list []source
	entries, err := os.ReadDir(spec.Root)
	if err != nil {
		return nil, fmt.Errorf("read tools tree: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && !isMount(e.Name()) {
			list = append(list, source{bind: Bind{Host: filepath.Join(spec.Root, e.Name()), Path: "/" + e.Name()}})
		}
	}
	for _, d := range append(minimalDev[:len(minimalDev):len(minimalDev)], spec.Dev...) {
		list = append(list, source{bind: Bind{Host: d, Path: d, Write: true}, isDev: true})
	}
	for _, b := range spec.Binds {
		list = append(list, source{bind: b})
	}
	for i := range list {
		s := &list[i]
		if s.fd, err = unix.Open(s.bind.Host, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("open %s, which the step declares: %w", s.bind.Host, err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(s.fd, &st); err != nil {
			return nil, fmt.Errorf("stat %s: %w", s.bind.Host, err)
		}
		s.dir = st.Mode&unix.S_IFMT == unix.S_IFDIR
		if s.isDev && st.Mode&unix.S_IFMT != unix.S_IFCHR && st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return nil, fmt.Errorf("open %s: it is no device", s.bind.Host)
		}
	}
	return list, nil
}

// mount binds one source at its place in the new root, which is the current
// directory.
func (s source) mount() error {
	target := strings.TrimPrefix(s.bind.Path, "/")
	if err := mountPoint(target, s.dir); err != nil {
		return fmt.Errorf("make mount point %s: %w", s.bind.Path, err)
	}
	from := fmt.Sprintf("/proc/self/fd/%d", s.fd)
	if err := unix.Mount(from, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s at %s: %w", s.bind.Host, s.bind.Path, err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID}
	if !s.isDev {
		attr.Attr_set |= unix.MOUNT_ATTR_NODEV
	}
	if !s.bind.Write {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("restrict %s (needs Linux 5.12 or newer): %w", s.bind.Path, err)
	}
	return nil
}

// mountPoint makes the folder or the empty file to mount on.
func mountPoint(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// pivot makes the current directory the root, lets go of the old one, and
// closes the new one to writing. See pivot_root(2), pivot_root(".", ".").
func pivot() error {
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot into the new root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	for _, p := range []string{"/", "/dev"} {
		if err := unix.MountSetattr(unix.AT_FDCWD, p, 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("close %s to writing: %w", p, err)
		}
	}
	return nil
}
