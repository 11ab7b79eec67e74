package artifact

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/compat"
	"github.com/bee-os/bee/pkg/build/cprogram"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/driver"
	"github.com/bee-os/bee/pkg/build/firmware"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/kmod"
)

// nvidiaPrograms are NVIDIA's own in the compat root, by their place in the
// packages; nvidiaLibraries are what programs open at run time.
var (
	nvidiaPrograms = map[string]string{
		"nvidia-smi":      "usr/lib/nvidia/current/nvidia-smi",
		"nvidia-modprobe": "usr/bin/nvidia-modprobe",
	}
	nvidiaLibraries = []string{"libnvidia-ml.so.1", "libcuda.so.1", "libnvidia-ptxjitcompiler.so.1"}
)

// ourPrograms are bee's own that need glibc: they open NVIDIA's libraries.
var ourPrograms = []string{"nvmlreport", "gpuworker"}

// machines is what ELF calls an architecture.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// nvidiaArches are the architectures that bee.lock pins NVIDIA's driver for.
var nvidiaArches = []string{"amd64"}

// wantsNVIDIA settles whether the driver goes in: what the build is told, else
// what the manifest says.
func (c Config) wantsNVIDIA(v initrd.Variant) (bool, error) {
	on := v.NVIDIA
	asks := "manifest " + c.Manifest
	switch c.NVIDIA {
	case "":
	case "on":
		on, asks = true, "NVIDIA=on"
	case "off":
		on = false
	default:
		return false, fmt.Errorf("choose the NVIDIA driver: NVIDIA is %q and must be on or off", c.NVIDIA)
	}
	if on && !slices.Contains(nvidiaArches, c.Arch) {
		return false, fmt.Errorf("choose the NVIDIA driver: %s asks for it, and %s pins it for %s, not for %s; say NVIDIA=off, or choose another ARCH",
			asks, lock.Name, strings.Join(nvidiaArches, " and "), c.Arch)
	}
	return on, nil
}

// extra makes what the image carries beyond its manifest's lists.
func (c Config) extra(ctx context.Context, l *lock.File, store *debian.Store, k *kernel.Kernel) (initrd.Extra, error) {
	v, err := initrd.ReadVariant(os.DirFS(filepath.Join(c.Root, "initramfs")), c.Manifest)
	if err != nil {
		return initrd.Extra{}, err
	}
	on, err := c.wantsNVIDIA(v)
	if err != nil {
		return initrd.Extra{}, err
	}
	served, err := c.vendorPrograms()
	if err != nil || !on && len(served) == 0 {
		return initrd.Extra{}, err
	}
	var x initrd.Extra
	root := compat.Config{Machine: machines[c.Arch], Served: served, Programs: map[string]string{}}
	groups := []string{"compat"}
	var wanted []string // firmware
	if on {
		if wanted, err = c.addDriver(ctx, l, k, &x); err != nil {
			return initrd.Extra{}, err
		}
		if err := c.compileOurs(ctx, l, root.Programs); err != nil {
			return initrd.Extra{}, err
		}
		groups = append(groups, "nvidia")
		root.Libraries = nvidiaLibraries
	}
	for _, g := range groups {
		entries := l.Group(g, c.Arch)
		if len(entries) == 0 {
			return initrd.Extra{}, fmt.Errorf("add programs that need glibc (%s): group %s of %s pins it for amd64 alone, not for %s; lay static ones into %s, or none",
				strings.Join(slices.Sorted(maps.Keys(served)), ", "), g, lock.Name, c.Arch, filepath.Join(initrd.VendorTools, c.Arch))
		}
		trees, err := store.Trees(ctx, entries)
		if err != nil {
			return initrd.Extra{}, err
		}
		x.Inputs = append(x.Inputs, entries...)
		for i, dir := range trees {
			root.Trees = append(root.Trees, compat.Tree{Package: entries[i].Name, Dir: dir})
			if err := c.addFirmware(entries[i], dir, &x); err != nil {
				return initrd.Extra{}, err
			}
		}
	}
	if on {
		if err := findPrograms(root); err != nil {
			return initrd.Extra{}, err
		}
	}
	for _, w := range wanted {
		if file := path.Join("lib/firmware", w) + firmware.Suffix; !slices.ContainsFunc(x.Firmware, func(f initrd.File) bool { return f.Path == file }) {
			return initrd.Extra{}, fmt.Errorf("add the GPUs' firmware: the driver asks for %s, and no package of the group nvidia in %s has it", w, lock.Name)
		}
	}
	files, err := compat.Build(root)
	for _, f := range files {
		x.Compat = append(x.Compat, initrd.File(f))
	}
	return x, err
}

// vendorPrograms are the makers' programs that somebody laid there.
func (c Config) vendorPrograms() (map[string]string, error) {
	dir := filepath.Join(cmp.Or(c.Vendor, filepath.Join(c.Root, initrd.VendorTools)), c.Arch)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for makers' programs: %w", err)
	}
	found := make(map[string]string)
	for _, e := range entries {
		f, err := elf.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // a script, or no program at all: initrd says what may lie there
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				found[e.Name()] = filepath.Join(dir, e.Name())
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// addDriver adds the kernel modules and returns the firmware that they want.
func (c Config) addDriver(ctx context.Context, l *lock.File, k *kernel.Kernel, x *initrd.Extra) ([]string, error) {
	flavor, err := driver.FlavorNamed(c.NVIDIAFlavor)
	if err != nil {
		return nil, err
	}
	d := driver.Config{Lock: l, Arch: c.Arch, Flavor: flavor, Kernel: k.Entry, Release: k.Release,
		Patches: os.DirFS(filepath.Join(c.Root, "kernel-config", "patches")), Cache: c.Cache, Jobs: runtime.NumCPU(), Progress: c.Progress}
	built, err := driver.Build(ctx, d)
	if err != nil {
		return nil, err
	}
	if built, err = built.Pack(ctx, d, driver.Pair{Key: c.ModuleKey, Cert: c.ModuleCert}); err != nil {
		return nil, err
	}
	for _, f := range built.Files {
		x.Modules = append(x.Modules, initrd.File{Path: path.Join(bom.DriverDir, filepath.Base(f)), Source: f})
	}
	x.Driver = &bom.NVIDIA{Version: built.Version, Flavor: built.Flavor, Depends: slices.Concat(built.Depends, inKernel(k, built.Soft)), Signer: built.Signer}
	x.Inputs = append(x.Inputs, built.Source, built.Headers)
	return built.Firmware, nil
}

// inKernel keeps the modules that the kernel's package has.
func inKernel(k *kernel.Kernel, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !slices.ContainsFunc(k.Modules, func(m kmod.Module) bool {
			have, ok := kmod.NameOf(m.Path)
			return ok && have == name
		})
	})
}

// compileOurs compiles bee's own programs of the compat root.
func (c Config) compileOurs(ctx context.Context, l *lock.File, into map[string]string) error {
	box, err := sandbox.Open(ctx, l, c.Progress, runtime.GOARCH, "tools-kernel")
	if err != nil {
		return err
	}
	out := filepath.Join(c.Cache, "programs", "compat-"+c.Arch+"-"+c.id())
	var packages []string
	for _, p := range ourPrograms {
		packages = append(packages, "./cmds/standalone/"+p)
		into[p] = filepath.Join(out, p)
	}
	return cprogram.Build(ctx, cprogram.Config{Root: c.Root, Packages: packages, Arch: c.Arch, Cache: c.Cache, Box: box, Progress: c.Progress}, out)
}

// findPrograms finds NVIDIA's own in the packages.
func findPrograms(root compat.Config) error {
	for name, file := range nvidiaPrograms {
		for _, t := range root.Trees {
			if _, err := os.Stat(filepath.Join(t.Dir, file)); err == nil {
				root.Programs[name] = filepath.Join(t.Dir, file)
			}
		}
		if root.Programs[name] == "" {
			return fmt.Errorf("find %s: no package of the group nvidia in %s has %s", name, lock.Name, file)
		}
	}
	return nil
}

// addFirmware adds what a package has for the GPUs' own processor (GSP), packed
// as the kernel reads it.
func (c Config) addFirmware(e lock.Entry, tree string, x *initrd.Extra) error {
	files, err := filepath.Glob(filepath.Join(tree, "usr/lib/firmware/nvidia/*/*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		rel, err := filepath.Rel(filepath.Join(tree, "usr/lib/firmware"), f)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if x.Driver != nil && !strings.HasPrefix(rel, "nvidia/"+x.Driver.Version+"/") {
			return fmt.Errorf("add the GPUs' firmware: %s has %s, and the driver is %s", e, rel, x.Driver.Version)
		}
		packed, err := firmware.Compressed(c.Cache, firmware.File{Path: rel, Source: f, From: e})
		if err != nil {
			return err
		}
		x.Firmware = append(x.Firmware, initrd.File{Path: path.Join("lib/firmware", rel) + firmware.Suffix, Source: packed})
	}
	return nil
}
