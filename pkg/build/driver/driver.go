// Package driver builds NVIDIA's kernel modules from the pinned source package
// against the pinned headers with the pinned compiler, inside the sandbox. The
// same inputs give the same bytes. What was built is kept in the cache under
// the digest of everything that decides it; a signature is put on a copy, so
// that the cache holds nothing that depends on a key.
package driver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/kmod/modinfo"
)

// Groups of bee.lock. Kernel, headers and driver are one group; the compiler is
// another, and so are the driver's libraries, whose release must be the same.
const (
	kernelGroup    = "kernel"
	toolsGroup     = "tools-kernel"
	userspaceGroup = "nvidia"
)

// recipe is part of a build's key. It changes whenever the same inputs would be
// built differently.
const recipe = "bee nvidia driver 1"

// Modules are the files that are built, in the order in which they are loaded.
// nvidia-drm and nvidia-peermem are left out: a machine without a screen of its
// own has no use for the first, and the second wants InfiniBand's modules.
var Modules = []string{"nvidia", "nvidia-uvm", "nvidia-modeset"}

// A Flavor is which of NVIDIA's two sources is built.
type Flavor struct {
	Name    string // as NVIDIA_FLAVOR has it
	Package string // of the pinned source
	archive string // in the package
	folder  string // in the archive
}

// Flavors are what NVIDIA_FLAVOR may be; the first is the default. The open
// modules serve Turing and newer GPUs and are the only ones for Blackwell; the
// proprietary ones serve what is older too.
var Flavors = []Flavor{
	{"proprietary", "nvidia-kernel-source", "usr/src/nvidia-kernel.tar.xz", "modules/nvidia-kernel"},
	{"open", "nvidia-open-kernel-source", "usr/src/nvidia-open-kernel.tar.xz", "modules/nvidia-open-kernel"},
}

// FlavorNamed finds a flavour; "" is the default.
func FlavorNamed(name string) (Flavor, error) {
	if name == "" {
		return Flavors[0], nil
	}
	for _, f := range Flavors {
		if f.Name == name {
			return f, nil
		}
	}
	return Flavor{}, fmt.Errorf("choose the NVIDIA driver: NVIDIA_FLAVOR is %q and must be %s or %s", name, Flavors[0].Name, Flavors[1].Name)
}

// Config is what a driver is built from.
type Config struct {
	Lock     *lock.File
	Arch     string // as Debian calls it
	Flavor   Flavor
	Kernel   lock.Entry // of the image that it is for
	Release  string     // that kernel's, as uname -r says
	Patches  fs.FS      // kernel-config/patches
	Cache    string     // folder
	Jobs     int        // compilers at once
	Progress io.Writer
}

// Driver is a built one.
type Driver struct {
	Version  string   // NVIDIA's release: 550.163.01
	Flavor   string   // its name
	Files    []string // module files in the order in which they are loaded
	Source   lock.Entry
	Headers  lock.Entry
	Inputs   []lock.Entry // source, headers, compiler and what those need
	Cached   bool         // nothing had to be built
	Depends  []string     // modules of the kernel's own that they need
	Soft     []string     // and those that they want before them, where the kernel has them
	Firmware []string     // files that they ask for, relative to /lib/firmware
	Signer   string       // subject of the certificate whose key signed them; empty: nobody
}

// ErrDoesNotFit is wrapped where the inputs are there and do not go together:
// versions differ, a patch does not apply, the compiler stops, a module is for
// another kernel. Another build of the same would end the same.
var ErrDoesNotFit = errors.New("kernel, driver and compiler do not fit")

// misfit makes an error one of those.
type misfit struct{ error }

func (m misfit) Is(target error) bool { return target == ErrDoesNotFit }
func (m misfit) Unwrap() error        { return m.error }

// ErrNotPinned is wrapped where bee.lock has no driver for an architecture.
var ErrNotPinned = errors.New("bee.lock pins no NVIDIA driver for it")

// plan is what is built from what, once it is known to fit together.
type plan struct {
	Config
	source  lock.Entry
	headers lock.Entry
	version string
	inputs  []lock.Entry
	patches []patch
}

// patch is one file of kernel-config/patches.
type patch struct {
	name string
	text []byte
}

// Build builds the driver, or finds it in the cache. Where headers, kernel,
// driver or libraries do not belong together its error names both versions.
func Build(ctx context.Context, c Config) (Driver, error) {
	p, err := newPlan(c)
	if err != nil {
		return Driver{}, err
	}
	dir := filepath.Join(c.Cache, "nvidia", p.key())
	d := Driver{Version: p.version, Flavor: c.Flavor.Name, Source: p.source, Headers: p.headers, Inputs: p.inputs}
	for _, m := range Modules {
		d.Files = append(d.Files, filepath.Join(dir, m+".ko"))
	}
	d.Cached = complete(d.Files)
	if !d.Cached {
		if err := p.build(ctx, dir); err != nil {
			return Driver{}, fmt.Errorf("build NVIDIA driver %s (%s) for kernel %s: %w", p.version, c.Flavor.Name, c.Release, err)
		}
	}
	return d, d.wants()
}

// wants reads what the modules name as needed, or wanted before them, and are
// not themselves, and the firmware that they name (modinfo: depends, softdep,
// firmware).
func (d *Driver) wants() error {
	ours := make(map[string]bool)
	for _, m := range Modules {
		ours[kmod.Normalize(m)] = true
	}
	add := func(list *[]string, names []string) {
		for _, name := range names {
			// NVIDIA's softdep has commas where modprobe.d(5) wants blanks.
			for part := range strings.SplitSeq(name, ",") {
				if part = kmod.Normalize(part); part != "" && !ours[part] && !slices.Contains(*list, part) {
					*list = append(*list, part)
				}
			}
		}
		slices.Sort(*list)
	}
	for _, name := range d.Files {
		info, err := readModinfo(name)
		if err != nil {
			return err
		}
		add(&d.Depends, info.Depends)
		add(&d.Soft, info.SoftPre)
		d.Firmware = append(d.Firmware, info.Firmware...)
	}
	return nil
}

func readModinfo(name string) (kmod.Modinfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return kmod.Modinfo{}, err
	}
	info, err := modinfo.Read(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return kmod.Modinfo{}, fmt.Errorf("read what %s says of itself: %w", filepath.Base(name), err)
	}
	return info, nil
}

func complete(files []string) bool {
	return !slices.ContainsFunc(files, func(f string) bool {
		_, err := os.Stat(f)
		return err != nil
	})
}

// newPlan finds the inputs and checks that they belong together.
func newPlan(c Config) (*plan, error) {
	p := &plan{Config: c}
	group := c.Lock.Group(kernelGroup, c.Arch)
	find := func(name string) (lock.Entry, bool) {
		i := slices.IndexFunc(group, func(e lock.Entry) bool { return e.Name == name })
		if i < 0 {
			return lock.Entry{}, false
		}
		return group[i], true
	}
	var ok bool
	if p.source, ok = find(c.Flavor.Package); !ok {
		return nil, fmt.Errorf("find the NVIDIA driver's source %s for %s: %w", c.Flavor.Package, c.Arch, ErrNotPinned)
	}
	p.headers, ok = find("linux-headers-" + c.Release)
	if !ok {
		return nil, misfit{fmt.Errorf("find the headers of kernel %s: group %s of %s has no linux-headers-%s, only %s; kernel and headers move together: run `go tool mage lock`",
			c.Release, kernelGroup, lock.Name, c.Release, strings.Join(names(group, "linux-headers-"), ", "))}
	}
	if headers := p.headers; headers.Version != c.Kernel.Version {
		return nil, misfit{fmt.Errorf("check the headers against the kernel: the kernel is %s, the headers are %s; they move together: run `go tool mage lock`", c.Kernel.Version, headers.Version)}
	}
	p.version = release(p.source.Version)
	for _, e := range c.Lock.Group(userspaceGroup, c.Arch) {
		// nvidia-modprobe has releases of its own and works with any driver.
		if v := release(e.Version); v != p.version && e.Name != "nvidia-modprobe" {
			return nil, misfit{fmt.Errorf("check the driver against its libraries: the source %s is %s, %s is %s; they must be of one release: run `go tool mage lock`", p.source.Name, p.version, e.Name, v)}
		}
	}
	for _, e := range group {
		other := slices.ContainsFunc(Flavors, func(f Flavor) bool { return f.Package == e.Name && f != c.Flavor })
		if !other {
			p.inputs = append(p.inputs, e)
		}
	}
	if c.Arch != runtime.GOARCH {
		return nil, fmt.Errorf("build the NVIDIA driver for %s: the pinned compiler makes code for this machine alone, which is %s; build on one of that kind", c.Arch, runtime.GOARCH)
	}
	tools := c.Lock.Group(toolsGroup, c.Arch)
	if len(tools) == 0 {
		return nil, fmt.Errorf("find a compiler for the NVIDIA driver: group %s of %s is empty for %s; run `go tool mage lock`", toolsGroup, lock.Name, c.Arch)
	}
	p.inputs = append(p.inputs, tools...)
	var err error
	p.patches, err = readPatches(c.Patches, c.Flavor.Name)
	return p, err
}

// release is NVIDIA's part of a Debian version: 550.163.01-2 → 550.163.01.
func release(version string) string {
	v, _, _ := strings.Cut(version, "-")
	return v
}

func names(entries []lock.Entry, prefix string) []string {
	var list []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name, prefix) {
			list = append(list, e.Name)
		}
	}
	return list
}

// readPatches reads nvidia-<flavour>/*.patch in the order of their names.
func readPatches(fsys fs.FS, flavor string) ([]patch, error) {
	files, err := fs.Glob(fsys, "nvidia-"+flavor+"/*.patch")
	if err != nil {
		return nil, err
	}
	var list []patch
	for _, f := range files {
		text, err := fs.ReadFile(fsys, f)
		if err != nil {
			return nil, fmt.Errorf("read patch: %w", err)
		}
		list = append(list, patch{filepath.Base(f), text})
	}
	return list, nil
}

// key names a build by all that decides its bytes.
func (p *plan) key() string {
	h := sha256.New()
	fmt.Fprintln(h, recipe, p.Flavor.Name, p.Release, Modules)
	for _, e := range p.inputs {
		fmt.Fprintln(h, e, e.SHA256)
	}
	for _, f := range p.patches {
		fmt.Fprintf(h, "%s %x\n", f.name, sha256.Sum256(f.text))
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// build makes the modules in a folder beside dir and gives them their name when
// they are whole.
func (p *plan) build(ctx context.Context, dir string) (err error) {
	box, err := sandbox.OpenEntries(ctx, p.Lock, p.Progress, p.inputs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	b := &builder{plan: p, box: box, dir: filepath.Join(tmp, "source"), out: filepath.Join(tmp, "out")}
	for _, d := range []string{b.dir, b.out} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		do     func(context.Context) error
		misfit bool // its failure says that the inputs do not fit
	}{{b.unpack, false}, {b.patch, true}, {b.compile, true}, {b.strip, false}, {b.check, true}} {
		err := step.do(ctx)
		if err != nil && step.misfit && ctx.Err() == nil && !errors.Is(err, sandbox.ErrUnavailable) {
			err = misfit{err}
		}
		if err != nil {
			return err
		}
	}
	if err := os.Chmod(b.out, 0o755); err != nil {
		return err
	}
	err = os.Rename(b.out, dir)
	if errors.Is(err, fs.ErrExist) && complete([]string{filepath.Join(dir, Modules[0]+".ko")}) {
		return nil // another process was faster, with the same content
	}
	return err
}

// check holds every module against the kernel that shall load it.
func (b *builder) check(context.Context) error {
	for _, m := range Modules {
		info, err := readModinfo(filepath.Join(b.out, m+".ko"))
		if err != nil {
			return err
		}
		if got, _, _ := strings.Cut(info.Vermagic, " "); got != b.Release {
			return fmt.Errorf("check %s.ko: it is for kernel %s, and the image has %s", m, got, b.Release)
		}
	}
	return nil
}
