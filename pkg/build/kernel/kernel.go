// Package kernel gives the builder the pinned kernel package: its image, its
// configuration, held against what bee needs, and its modules with what each
// says of itself. The version stands in bee.lock and nowhere else.
package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ulikunitz/xz"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/kmod/modinfo"
)

// Kernel is one unpacked kernel package.
type Kernel struct {
	Entry   lock.Entry
	Release string        // as uname -r says
	Image   string        // file: bzImage on amd64, Image with an EFI stub on arm64; what boots them takes them as they are
	Config  string        // file
	Dir     string        // folder usr/lib/modules/<release>
	Modules []kmod.Module // in the order of modules.order; paths relative to Dir
	cache   string        // folder of what is derived from the package
}

// group is that of bee.lock with the kernel, its headers and the driver's
// source; an architecture without that driver has a group of its own,
// "kernel-<arch>". imagePrefix is how the package of the kernel itself is
// called there.
const (
	group       = "kernel"
	imagePrefix = "linux-image-"
)

// Find is the one kernel that the lock pins for an architecture, in the group
// kernel or kernel-<arch>.
func Find(l *lock.File, arch string) (lock.Entry, error) {
	var found []lock.Entry
	for _, g := range []string{group, group + "-" + arch} {
		for _, e := range l.Group(g, arch) {
			if strings.HasPrefix(e.Name, imagePrefix) {
				found = append(found, e)
			}
		}
	}
	if len(found) != 1 {
		return lock.Entry{}, fmt.Errorf("find the kernel for %[1]s: the groups %[2]s and %[2]s-%[1]s of %[3]s have %[4]d packages %[5]s* where one was expected; run `go tool mage lock`", arch, group, lock.Name, len(found), imagePrefix)
	}
	return found[0], nil
}

// Store brings unpacked packages: *debian.Store.
type Store interface {
	Tree(ctx context.Context, e lock.Entry) (dir string, err error)
}

// Open finds the parts of the kernel package e. Reading what every module says
// of itself takes a while; it is done once and kept below cache, progress says
// so.
func Open(ctx context.Context, store Store, cache string, e lock.Entry, progress io.Writer) (*Kernel, error) {
	tree, err := store.Tree(ctx, e)
	if err != nil {
		return nil, err
	}
	k := &Kernel{Entry: e, cache: filepath.Join(cache, "kernel", e.SHA256)}
	images, err := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return nil, fmt.Errorf("find the kernel image in %s: %d files boot/vmlinuz-* where one was expected", e, len(images))
	}
	k.Image = images[0]
	k.Release = strings.TrimPrefix(filepath.Base(k.Image), "vmlinuz-")
	k.Config = filepath.Join(tree, "boot", "config-"+k.Release)
	k.Dir = filepath.Join(tree, "usr/lib/modules", k.Release)
	if k.Modules, err = k.modinfo(ctx, progress); err != nil {
		return nil, fmt.Errorf("read the modules of %s: %w", e, err)
	}
	return k, nil
}

// DeviceTrees is the folder of the package's device trees, one folder a maker of
// processors in it; packages for amd64 have none.
func (k *Kernel) DeviceTrees() string {
	return filepath.Join(k.Dir, "..", "..", "linux-image-"+k.Release)
}

// Builtin is the package's modules.builtin.
func (k *Kernel) Builtin() ([]byte, error) {
	return os.ReadFile(filepath.Join(k.Dir, "modules.builtin"))
}

// modinfo reads what the modules say of themselves, from the cache where it is
// there.
func (k *Kernel) modinfo(ctx context.Context, progress io.Writer) ([]kmod.Module, error) {
	name := filepath.Join(k.cache, "modinfo.json")
	if b, err := os.ReadFile(name); err == nil {
		var mods []kmod.Module
		if json.Unmarshal(b, &mods) == nil && len(mods) > 0 {
			return mods, nil
		}
	}
	paths, err := k.order()
	if err != nil {
		return nil, err
	}
	mods := make([]kmod.Module, len(paths))
	var next, done atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, runtime.NumCPU())
	for i := range errs {
		wg.Go(func() {
			for ctx.Err() == nil {
				j := int(next.Add(1) - 1)
				if j >= len(paths) {
					return
				}
				info, err := readModule(filepath.Join(k.Dir, paths[j]))
				if err != nil {
					errs[i] = fmt.Errorf("%s: %w", paths[j], err)
					return
				}
				mods[j] = kmod.Module{Path: paths[j], Modinfo: info}
				if n := done.Add(1); n%500 == 0 || n == int64(len(paths)) {
					fmt.Fprintf(progress, "kernel %s: %d of %d modules read\n", k.Release, n, len(paths))
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return nil, err
	}
	b, err := json.Marshal(mods)
	if err != nil {
		return nil, err
	}
	return mods, writeFile(name, b)
}

// order lists the module files that are there in the order of modules.order,
// which names them without compression (depmod(8)).
func (k *Kernel) order() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(k.Dir, "modules.order"))
	if err != nil {
		return nil, err
	}
	there := make(map[string]string) // name without compression → path
	err = filepath.WalkDir(k.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(k.Dir, path)
		if _, ok := kmod.NameOf(rel); ok {
			there[plain(rel)] = rel
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if p, ok := there[line]; ok {
			paths = append(paths, p)
			delete(there, line)
		}
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("%d modules are not named in modules.order, such as %s", len(there), first(there))
	}
	return paths, nil
}

func first(m map[string]string) string {
	var least string
	for k := range m {
		if least == "" || k < least {
			least = k
		}
	}
	return least
}

// plain is a module's path without the compression's suffix.
func plain(p string) string { return strings.TrimSuffix(p, ".xz") }

func readModule(path string) (kmod.Modinfo, error) {
	text, err := unpack(path)
	if err != nil {
		return kmod.Modinfo{}, err
	}
	return modinfo.Read(strings.NewReader(text))
}

// unpack gives a module's bytes without compression.
func unpack(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".xz") {
		if r, err = xz.NewReader(f); err != nil {
			return "", fmt.Errorf("unpack: %w", err)
		}
	}
	var b strings.Builder
	if _, err := io.Copy(&b, r); err != nil {
		return "", fmt.Errorf("unpack: %w", err)
	}
	return b.String(), nil
}

// Raw gives a file with the module at path (relative to Dir) without
// compression, made where the cache has none, and its path in an image.
func (k *Kernel) Raw(path string) (file, name string, err error) {
	name = plain(path)
	file = filepath.Join(k.cache, "raw", name)
	if _, err := os.Stat(file); err == nil {
		return file, name, nil
	}
	text, err := unpack(filepath.Join(k.Dir, path))
	if err != nil {
		return "", "", fmt.Errorf("unpack module %s: %w", path, err)
	}
	return file, name, writeFile(file, []byte(text))
}

// writeFile writes a file of the cache, whole or not at all.
func writeFile(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
