// Package initrd makes bee's initramfs: the Go commands as one busybox through
// u-root's builder, PID 1, the overlay, the kernel modules and the firmware
// that a manifest in initramfs/ names, microcode, and the bill of materials.
// The same inputs give the same bytes.
//
// The image is a row of archives. Microcode comes first, as the kernel wants it
// (Documentation/arch/x86/microcode.rst). Then come the programs, then what is
// compressed in itself: modules and firmware, which are copied as they are,
// because to unpack them twice would cost a boot more than anything else.
package initrd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/firmware"
	"github.com/bee-os/bee/pkg/build/folderlock"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/microcode"
)

// Config is what an image is made of.
type Config struct {
	Root     string // folder of the checkout
	Arch     string // GOARCH
	Variant  string // manifest
	Keys     []byte // authorized_keys that are baked in; may be empty
	Lock     *lock.File
	Store    Store
	Cache    string // folder
	Date     time.Time
	Progress io.Writer
	Extra    Extra
	Add      Additions // besides the manifest
	Vendor   string    // folder of makers' programs, one folder an architecture in it; default VendorTools below Root
}

// Store brings unpacked packages: *debian.Store.
type Store interface {
	Tree(ctx context.Context, e lock.Entry) (dir string, err error)
	Trees(ctx context.Context, entries []lock.Entry) (dirs []string, err error)
}

// id tells checkouts apart in the cache: two of them may differ in their
// sources.
func (c Config) id() string {
	sum := sha256.Sum256([]byte(c.Root))
	return hex.EncodeToString(sum[:6])
}

// OverBudget tells that an image takes more RAM than its manifest allows.
type OverBudget struct {
	Variant       string
	Takes, Budget int64 // bytes
}

func (e *OverBudget) Error() string {
	return fmt.Sprintf("check the image's RAM: %s takes %d MiB unpacked, and initramfs/%s.manifest allows %d MiB; choose fewer modules, add less, or raise RAM-Budget if the machines have it",
		e.Variant, (e.Takes+1<<20-1)>>20, e.Variant, e.Budget>>20)
}

// Build writes the image for the kernel k to the file out and returns its bill
// of materials.
func Build(ctx context.Context, c Config, k *kernel.Kernel, out string) (_ bom.BOM, err error) {
	v, err := ReadVariant(os.DirFS(filepath.Join(c.Root, "initramfs")), c.Variant)
	if err != nil {
		return bom.BOM{}, err
	}
	v = v.For(c.Arch)
	if d := c.Extra.Driver; d != nil {
		v = v.withDriver(d.Depends)
	}
	if v, err = v.with(ctx, c.Root, c.Add); err != nil {
		return bom.BOM{}, err
	}
	if err := checkCommands(c.Root, v); err != nil {
		return bom.BOM{}, err
	}
	mods, err := selectModules(k, v)
	if err != nil && len(c.Add.Modules) > 0 {
		return bom.BOM{}, fmt.Errorf("%w, or what is added to it: %s", err, strings.Join(c.Add.Modules, " "))
	}
	if err != nil {
		return bom.BOM{}, err
	}
	dir := programsDir(c, v)
	unlock, err := folderlock.Take(ctx, dir, c.Progress) // a build of this checkout for another folder uses it too
	if err != nil {
		return bom.BOM{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	p, err := buildPrograms(ctx, c, v, dir)
	if err != nil {
		return bom.BOM{}, err
	}
	b := bom.BOM{
		Schema: bom.Schema, Name: "bee", Version: bom.Version, Variant: v.Name, Arch: c.Arch,
		Kernel: k.Release, BuildDate: c.Date, Go: runtime.Version(), GoMods: p.mods,
		Commands: sorted(slices.Concat(v.Core, v.Node)),
		Inputs:   inputs([]lock.Entry{k.Entry}),
	}
	early, first, rest, extra := segment{}, segment{zstd: v.Zstd}, segment{}, segment{zstd: true}
	if err := addBase(&first.tree, c, v, p); err != nil {
		return bom.BOM{}, err
	}
	if err := addModules(k, v, &mods, &first.tree, &rest.tree); err != nil {
		return bom.BOM{}, fmt.Errorf("add modules: %w", err)
	}
	b.Modules = mods.list
	if err := addFirmware(ctx, c, v, mods, &rest.tree, &b); err != nil {
		return bom.BOM{}, err
	}
	if err := addData(ctx, c, v, &rest.tree, &b); err != nil {
		return bom.BOM{}, err
	}
	if err := addVendor(c, &first.tree, &b); err != nil {
		return bom.BOM{}, err
	}
	if err := c.Extra.add(&extra.tree, &rest.tree, &b); err != nil {
		return bom.BOM{}, err
	}
	if err := c.Add.addFiles(&extra.tree, []*tree{&first.tree, &rest.tree}, &b); err != nil {
		return bom.BOM{}, err
	}
	if v.Microcode {
		if err := addMicrocode(ctx, c, &early.tree, &b); err != nil {
			return bom.BOM{}, err
		}
	}
	b.RAM = bom.RAM{Unpacked: first.ram() + rest.ram() + extra.ram(), Budget: v.Budget}
	if b.RAM.Unpacked > v.Budget {
		return bom.BOM{}, &OverBudget{v.Name, b.RAM.Unpacked, v.Budget}
	}
	text, err := b.Encode()
	if err != nil {
		return bom.BOM{}, err
	}
	if err := first.add(node{path: bom.Path, mode: typeFile | 0o644, text: text}); err != nil {
		return bom.BOM{}, err
	}
	if err := writeImage(out, []segment{early, first, rest, extra}, c.Date); err != nil {
		return bom.BOM{}, fmt.Errorf("write %s: %w", out, err)
	}
	return b, nil
}

// addBase adds layout, overlay, programs and what belongs to this image alone.
func addBase(t *tree, c Config, v Variant, p programs) error {
	for _, n := range layout {
		if err := t.add(n); err != nil {
			return err
		}
	}
	if err := t.addPrograms(p, slices.Concat(v.Core, v.Node)); err != nil {
		return err
	}
	if err := t.addOverlay(os.DirFS(filepath.Join(c.Root, "initramfs", "overlay"))); err != nil {
		return err
	}
	if err := t.add(node{path: "etc/os-release", mode: typeFile | 0o644, text: osRelease(bom.Version, v.Name)}); err != nil {
		return err
	}
	if len(c.Keys) == 0 {
		return nil
	}
	return t.add(node{path: "etc/bee/authorized_keys", mode: typeFile | 0o644, text: c.Keys})
}

// addFirmware adds what the policy of the variant chooses.
func addFirmware(ctx context.Context, c Config, v Variant, s selection, t *tree, b *bom.BOM) error {
	if len(v.Firmware) == 0 {
		_, missing, err := firmware.Choose(nil, nil, s.declared)
		for i := range missing {
			missing[i].Why = "the manifest names no firmware list"
		}
		b.Missing = missing
		return err
	}
	var policies []firmware.Policy
	for _, name := range v.Firmware {
		p, err := firmware.ReadPolicy(os.DirFS(filepath.Join(c.Root, "firmware-list")), name)
		if err != nil {
			return err
		}
		policies = append(policies, p)
	}
	entries := c.Lock.Group("firmware", c.Arch)
	trees, err := c.Store.Trees(ctx, entries)
	if err != nil {
		return err
	}
	available, err := firmware.Available(entries, trees)
	if err != nil {
		return err
	}
	files, missing, err := firmware.Choose(policies, available, s.declared)
	if err != nil {
		return err
	}
	b.Missing = missing
	used := make(map[string]lock.Entry)
	for _, f := range files {
		name := path.Join("lib/firmware", f.Path) + firmware.Suffix
		used[f.From.SHA256] = f.From
		if f.Link != "" {
			to, err := filepath.Rel(path.Dir(f.Path), f.Link)
			if err != nil {
				return err
			}
			if err := t.add(link(name, filepath.ToSlash(to)+firmware.Suffix)); err != nil {
				return err
			}
			continue
		}
		packed, err := firmware.Compressed(c.Cache, f)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(packed)
		if err != nil {
			return err
		}
		if err := t.add(node{path: name, mode: typeFile | 0o644, text: text}); err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		b.Firmware = append(b.Firmware, bom.Blob{Path: f.Path + firmware.Suffix, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])})
	}
	for _, e := range entries {
		if _, ok := used[e.SHA256]; ok {
			b.Inputs = append(b.Inputs, inputs([]lock.Entry{e})...)
		}
	}
	return nil
}

// addData adds the named files of the lock's group "data" below usr/share.
func addData(ctx context.Context, c Config, v Variant, t *tree, b *bom.BOM) error {
	for _, name := range v.Data {
		e, err := c.Lock.Get(name, c.Arch)
		if err != nil {
			return err
		}
		dir, err := c.Store.Tree(ctx, e)
		if err != nil {
			return err
		}
		file := path.Join("usr/share/misc", name)
		if err := t.add(node{path: file, mode: typeFile | 0o644, source: filepath.Join(dir, file)}); err != nil {
			return err
		}
		b.Inputs = append(b.Inputs, inputs([]lock.Entry{e})...)
	}
	return nil
}

func inputs(entries []lock.Entry) []bom.Input {
	var list []bom.Input
	for _, e := range entries {
		list = append(list, bom.Input{Name: e.Name, Version: e.Version, Arch: e.Arch, SHA256: e.SHA256})
	}
	return list
}

// loadsMicrocode are the architectures on which the kernel loads microcode
// (drivers of arch/x86/kernel/cpu/microcode; elsewhere the firmware does).
var loadsMicrocode = []string{"amd64"}

// addMicrocode adds one file a processor maker, made of all that the packages
// have (of Intel's each update once), at the place where the kernel looks
// before anything is unpacked (Documentation/arch/x86/microcode.rst). The
// folders above it are left out on purpose: without them the kernel leaves the
// files alone when it unpacks the image for good, and they take no RAM.
func addMicrocode(ctx context.Context, c Config, t *tree, b *bom.BOM) error {
	if !slices.Contains(loadsMicrocode, c.Arch) {
		fmt.Fprintf(c.Progress, "microcode: none, the kernel loads none on %s\n", c.Arch)
		return nil
	}
	entries := c.Lock.Group("microcode", c.Arch)
	trees, err := c.Store.Trees(ctx, entries)
	if err != nil {
		return err
	}
	var intel microcode.Set
	var amd []byte
	for _, m := range []struct {
		dir, file string
		add       func(text []byte) error
		all       *[]byte
	}{
		{"intel-ucode", "GenuineIntel.bin", intel.Add, &intel.Bytes},
		{"amd-ucode", "AuthenticAMD.bin", func(text []byte) error { amd = append(amd, text...); return nil }, &amd},
	} {
		for i, tree := range trees {
			dir := filepath.Join(tree, "usr/lib/firmware", m.dir)
			files, err := fs.ReadDir(os.DirFS(dir), ".")
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("add microcode: %w", err)
			}
			b.Inputs = append(b.Inputs, inputs(entries[i:i+1])...)
			for _, f := range files {
				if f.IsDir() || strings.HasSuffix(f.Name(), ".asc") {
					continue // a signature
				}
				text, err := os.ReadFile(filepath.Join(dir, f.Name()))
				if err != nil {
					return fmt.Errorf("add microcode: %w", err)
				}
				if err := m.add(text); err != nil {
					return fmt.Errorf("add microcode of %s %s: %s: %w; fetch it again: delete %s", entries[i].Name, entries[i].Version, f.Name(), err, tree)
				}
			}
		}
		if len(*m.all) == 0 {
			return fmt.Errorf("add microcode: no package of the group microcode in bee.lock has %s for %s; run `go tool mage lock`, or write Microcode: no", m.dir, c.Arch)
		}
		name := "kernel/x86/microcode/" + m.file
		t.seen = map[string]bool{path.Dir(name): true}
		if err := t.add(node{path: name, mode: typeFile | 0o644, text: *m.all}); err != nil {
			return err
		}
	}
	return nil
}
