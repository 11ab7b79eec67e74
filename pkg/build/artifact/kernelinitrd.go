package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
)

// kernelInitrd is a kernel and an initramfs, which is all that QEMU, GRUB or
// iPXE need: images/kernel-initrd/<arch>/{vmlinuz,initrd.img,bom.json}.
var kernelInitrd = Family{kernelInitrdName, buildKernelInitrd}

const kernelInitrdName = "kernel-initrd"

// Files of the family, in its folder.
const (
	KernelFile = "vmlinuz"
	InitrdFile = "initrd.img"
	BOMFile    = "bom.json"
)

// KernelInitrdDir is the folder of the family's files for an architecture.
func KernelInitrdDir(out, arch string) string { return filepath.Join(out, kernelInitrdName, arch) }

func buildKernelInitrd(ctx context.Context, c Config, l *lock.File) error {
	keys, err := readKeys(c.Keys)
	if err != nil {
		return err
	}
	dir := KernelInitrdDir(c.Out, c.Arch)
	outputs := []string{filepath.Join(dir, KernelFile), filepath.Join(dir, InitrdFile), filepath.Join(dir, BOMFile)}
	st, err := newStamp(c, dir, keys)
	if err != nil {
		return fmt.Errorf("look at what the build depends on: %w", err)
	}
	if st.fresh(outputs) {
		fmt.Fprintf(c.Progress, "%s is up to date (%s)\n", dir, c.Manifest)
		return nil
	}
	if err := st.forget(); err != nil {
		return err
	}
	f, err := fetch.New(l, c.Progress)
	if err != nil {
		return err
	}
	f.Cache = c.Cache
	store := debian.NewStore(f)
	k, err := openKernel(ctx, c, l, store)
	if err != nil {
		return err
	}
	extra, err := c.extra(ctx, l, store, k)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := initrd.Build(ctx, initrd.Config{
		Root: c.Root, Arch: c.Arch, Variant: c.Manifest, Keys: keys, Lock: l, Store: store,
		Cache: c.Cache, Date: c.Date, Progress: c.Progress, Extra: extra,
	}, k, outputs[1])
	if err != nil {
		return err
	}
	text, err := b.Encode()
	if err != nil {
		return err
	}
	if err := replace(outputs[2], strings.NewReader(string(text))); err != nil {
		return err
	}
	if err := copyFile(outputs[0], k.Image); err != nil {
		return err
	}
	report(c.Progress, dir, b, outputs[1])
	return st.keep(outputs)
}

// openKernel opens the one kernel that the lock pins and holds its
// configuration against what bee needs.
func openKernel(ctx context.Context, c Config, l *lock.File, store *debian.Store) (*kernel.Kernel, error) {
	e, err := kernel.Find(l, c.Arch)
	if err != nil {
		return nil, err
	}
	k, err := kernel.Open(ctx, store, c.Cache, e, c.Progress)
	if err != nil {
		return nil, err
	}
	return k, k.CheckConfig(os.DirFS(filepath.Join(c.Root, "kernel-config")), "required.config", "required."+c.Arch+".config")
}

// report says what was made, and by name what the modules asked for in vain.
func report(w io.Writer, dir string, b bom.BOM, image string) {
	var size int64
	if fi, err := os.Stat(image); err == nil {
		size = fi.Size()
	}
	fmt.Fprintf(w, "%s: bee %s %s, kernel %s, %d modules, %d firmware files, initrd %.1f MiB, RAM %d of %d MiB\n",
		dir, b.Version, b.Variant, b.Kernel, len(b.Modules), len(b.Firmware), float64(size)/(1<<20), (b.RAM.Unpacked+1<<20-1)>>20, b.RAM.Budget>>20)
	if n := len(b.Missing); n > 0 {
		m := b.Missing[0]
		fmt.Fprintf(w, "firmware: %d files that modules declare are not in the image, such as %s of %s (%s); all are in %s, missing_firmware\n",
			n, m.File, m.Module, m.Why, BOMFile)
	}
}

func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	return replace(dst, in)
}

// replace writes a file whole or not at all.
func replace(name string, r io.Reader) error {
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
