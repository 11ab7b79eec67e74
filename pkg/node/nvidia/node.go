package nvidia

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Numbers that NVIDIA's driver has for ever (kernel: Documentation/
// admin-guide/devices.txt, 195 char).
const (
	Major        = 195
	controlMinor = 255
	modesetMinor = 254
)

// Node is a device file.
type Node struct {
	Path         string // below /dev
	Major, Minor uint32
	Mode         uint32 // permissions
}

// Nodes are the device files that the driver wants, by what it says below
// proc/driver/nvidia and in proc/devices of root. A GPU that does not tell its
// number gets none, and the error says so.
func Nodes(root fs.FS) ([]Node, error) {
	nodes := []Node{{"nvidiactl", Major, controlMinor, 0o666}}
	var errs []error
	infos, err := fs.Glob(root, "proc/driver/nvidia/gpus/*/information")
	if err != nil {
		return nil, err
	}
	for _, name := range infos {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read a GPU's number: %w", err))
			continue
		}
		minor, err := strconv.ParseUint(field(string(text), "Device Minor"), 10, 8)
		if err != nil {
			errs = append(errs, fmt.Errorf("read a GPU's number: %s has no Device Minor", name))
			continue
		}
		nodes = append(nodes, Node{"nvidia" + strconv.Itoa(int(minor)), Major, uint32(minor), 0o666})
	}
	text, err := fs.ReadFile(root, "proc/devices")
	if err != nil {
		return nodes, errors.Join(append(errs, fmt.Errorf("read the drivers' numbers: %w", err))...)
	}
	majors := majors(string(text))
	if m, ok := majors["nvidia-uvm"]; ok {
		nodes = append(nodes, Node{"nvidia-uvm", m, 0, 0o666}, Node{"nvidia-uvm-tools", m, 1, 0o666})
	}
	if _, err := fs.Stat(root, "sys/module/nvidia_modeset"); err == nil {
		nodes = append(nodes, Node{"nvidia-modeset", Major, modesetMinor, 0o666})
	}
	if m, ok := majors["nvidia-caps"]; ok {
		nodes = append(nodes, capabilities(root, m)...)
	}
	return nodes, errors.Join(errs...)
}

// capabilities are the files by which parts of a GPU are given away (MIG),
// each told below proc/driver/nvidia/capabilities: DeviceFileMinor,
// DeviceFileMode (decimal).
func capabilities(root fs.FS, major uint32) []Node {
	var nodes []Node
	// A folder that cannot be read has no file to make.
	_ = fs.WalkDir(root, "proc/driver/nvidia/capabilities", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil
		}
		minor, err1 := strconv.ParseUint(field(string(text), "DeviceFileMinor"), 10, 20)
		mode, err2 := strconv.ParseUint(field(string(text), "DeviceFileMode"), 10, 9)
		if err1 == nil && err2 == nil {
			nodes = append(nodes, Node{"nvidia-caps/nvidia-cap" + strconv.FormatUint(minor, 10), major, uint32(minor), uint32(mode)})
		}
		return nil
	})
	return nodes
}

// field finds "name: value" in lines; empty where there is none.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// majors reads /proc/devices (proc(5)): driver → number.
func majors(text string) map[string]uint32 {
	found := make(map[string]uint32)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		if n, err := strconv.ParseUint(f[0], 10, 20); err == nil {
			found[f[1]] = uint32(n)
		}
	}
	return found
}

// makeNode makes a device file, as NVIDIA's own tool does. What is there with
// another number is made anew.
func makeNode(dir string, n Node) error {
	name := path.Join(dir, n.Path)
	dev := unix.Mkdev(n.Major, n.Minor)
	var st unix.Stat_t
	if unix.Lstat(name, &st) == nil {
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == dev {
			return nil
		}
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	if err := unix.Mknod(name, unix.S_IFCHR|n.Mode, int(dev)); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return os.Chmod(name, fs.FileMode(n.Mode)) // mknod minds the umask
}
