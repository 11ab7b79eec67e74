package nvidia

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// compressedFile is MODULE_INIT_COMPRESSED_FILE (finit_module(2)).
const compressedFile = 4

// Main is the command nvidia. It returns the exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 || args[0] != "load" {
		fmt.Fprint(stderr, "usage: nvidia load\n\nLoads NVIDIA's driver from the image, where there is a GPU.\n")
		return 2
	}
	err := load(stdout)
	switch {
	case errors.Is(err, ErrNoGPU), errors.Is(err, ErrNoDriver):
		fmt.Fprintf(stdout, "nvidia: %v\n", err)
		notify.Skipped(err.Error())
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "nvidia: %v\n", err)
		return 1
	}
	return 0
}

func load(out io.Writer) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("ask for the kernel's release: %w", err)
	}
	p, err := MakePlan(os.DirFS("/"), unix.ByteSliceToString(name.Release[:]))
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range p.Modules {
		// What is behind a module that would not load needs it, but says so in
		// its own words: all are tried.
		if err := insert("/" + m); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(out, "nvidia: loaded %s\n", m)
	}
	devices, err := os.ReadFile("/proc/devices")
	if err != nil {
		errs = append(errs, err)
	}
	for _, n := range Nodes(len(p.GPUs), string(devices)) {
		if err := makeNode("/dev", n); err != nil {
			errs = append(errs, err)
		}
	}
	root, err := os.OpenRoot("/")
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	defer root.Close()
	return errors.Join(append(errs, Links(root))...)
}

func insert(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("load NVIDIA module: %w", err)
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = compressedFile
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load NVIDIA module %s: %w; see dmesg for what the driver says", file, err)
	}
	return nil
}

// makeNode makes a device file for everybody, as NVIDIA's own tool does; one
// that is there is left alone.
func makeNode(dir string, n Node) error {
	name := path.Join(dir, n.Path)
	err := unix.Mknod(name, unix.S_IFCHR|0o666, int(unix.Mkdev(n.Major, n.Minor)))
	if err == nil {
		err = os.Chmod(name, 0o666)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return nil
}
