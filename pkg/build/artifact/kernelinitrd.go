package artifact

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// kernelInitrd is a kernel and an initramfs, which is all that QEMU, kexec, GRUB
// or iPXE need: images/kernel-initrd/<arch>/{vmlinuz,initrd.img,bom.json}. The
// other families are made of it.
var kernelInitrd = Family{
	Name: kernelInitrdName, Summary: "kernel and initramfs, for QEMU, kexec and boot loaders of yours",
	Arches: Arches, Build: buildKernelInitrd,
}

const kernelInitrdName = "kernel-initrd"

// Files of the family, in its folder.
const (
	KernelFile = "vmlinuz"
	InitrdFile = "initrd.img"
	BOMFile    = "bom.json"
)

// KernelInitrdDir is the folder of the family's files for an architecture.
func KernelInitrdDir(out, arch string) string { return Dir(out, kernelInitrdName, arch) }

func buildKernelInitrd(ctx context.Context, w *Work) error {
	store, err := w.openStore()
	if err != nil {
		return err
	}
	k, err := openKernel(ctx, w.Config, w.Lock, store)
	if err != nil {
		return err
	}
	extra, err := w.extra(ctx, w.Lock, store, k)
	if err != nil {
		return err
	}
	if extra.Driver != nil {
		w.used = append(w.used, w.Lock.Group("tools-kernel", runtime.GOARCH)...) // compiled the driver
	}
	b, err := initrd.Build(ctx, initrd.Config{
		Root: w.Root, Arch: w.Arch, Variant: w.Manifest, Keys: w.keys, Lock: w.Lock, Store: store,
		Cache: w.Cache, Date: w.Date, Progress: w.Progress, Extra: extra, Add: w.Add, Vendor: w.Vendor,
	}, k, w.file(InitrdFile))
	if err != nil {
		return err
	}
	text, err := b.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.file(BOMFile), text, 0o644); err != nil {
		return err
	}
	if err := copyFile(w.file(KernelFile), k.Image); err != nil {
		return err
	}
	for _, o := range []struct{ name, role string }{{KernelFile, "kernel"}, {InitrdFile, "initrd"}, {BOMFile, "bom"}} {
		w.made(o.name, o.role, manifest.Options{})
	}
	w.boot = manifest.Boot{CommandLine: kernelLine(w.words()), Editable: true, How: "whoever starts the kernel gives it; this one is what media have"}
	w.rests = looseParts
	report(w.Progress, KernelInitrdDir(w.Out, w.Arch), b, w.file(InitrdFile))
	return nil
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

// Parts are what media are made of.
type Parts struct {
	Kernel, Initrd       string // files
	KernelSum, InitrdSum string // SHA-256
	BOM                  bom.BOM
}

// mediaParts makes the kernel and the initramfs, where that is not done yet.
func (p *project) mediaParts(ctx context.Context) (*Parts, error) {
	if p.parts != nil {
		return p.parts, nil
	}
	if err := p.make(ctx, kernelInitrd); err != nil {
		return nil, err
	}
	dir := KernelInitrdDir(p.Out, p.Arch)
	text, err := os.ReadFile(filepath.Join(dir, BOMFile))
	if err != nil {
		return nil, err
	}
	b, err := bom.Decode(text)
	if err != nil {
		return nil, err
	}
	// They were hashed when they were made, and make looked that nobody touched
	// them since; what is made of them is hashed again.
	if text, err = os.ReadFile(filepath.Join(dir, manifest.FileName)); err != nil {
		return nil, err
	}
	m, err := manifest.Decode(text)
	if err != nil {
		return nil, err
	}
	parts := &Parts{Kernel: filepath.Join(dir, KernelFile), Initrd: filepath.Join(dir, InitrdFile), BOM: b}
	for name, sum := range map[string]*string{KernelFile: &parts.KernelSum, InitrdFile: &parts.InitrdSum} {
		o, ok := m.Output(name)
		if !ok {
			return nil, fmt.Errorf("read %s: it does not name %s; remove the folder %s and build again", manifest.FileName, name, dir)
		}
		*sum = o.SHA256
	}
	p.parts = parts
	return parts, nil
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
