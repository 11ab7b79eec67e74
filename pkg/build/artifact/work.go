package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/bootloader"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/source"
)

// project is one run of Build: what its families have in common.
type project struct {
	Config
	Lock *lock.File

	source source.State
	keys   []byte
	store  *debian.Store
	box    *sandbox.Sandbox
	parts  *Parts
	loader *bootloader.Loader
	signer sign.Signer
}

// Work is one family being made.
type Work struct {
	*project
	Family string // its name
	Dir    string // empty; becomes the family's folder when all is well

	// What the manifest says, for the family to fill in: made, carries.
	outputs []manifest.Options
	carried []lock.Entry
	used    []lock.Entry // packages of the tools that were run
	boot    manifest.Boot
	pcrs    manifest.PCRs
	rests   []manifest.Part
}

// Dir is the folder of a family's files for an architecture.
func Dir(out, family, arch string) string { return filepath.Join(out, family, arch) }

// make makes one family: in a folder of its own, which takes the place of the
// old one when everything in it is finished. A build that ends half-way leaves
// nothing under the final name.
func (p *project) make(ctx context.Context, f Family) (err error) {
	if p.keys == nil {
		if p.keys, err = readKeys(p.Keys); err != nil {
			return err
		}
	}
	dir := Dir(p.Out, f.Name, p.Arch)
	st, err := newStamp(p.Config, dir, p.keys, p.source)
	if err != nil {
		return fmt.Errorf("look at what the build depends on: %w", err)
	}
	if st.fresh(dir) {
		fmt.Fprintf(p.Progress, "%s is up to date (%s)\n", dir, p.Manifest)
		return nil
	}
	if p.CosignKey != "" { // a key that cannot be read is found now, not after everything was built
		if _, err := p.openSigner(ctx); err != nil {
			return err
		}
	}
	if err := st.forget(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	staged := filepath.Join(filepath.Dir(dir), "."+p.Arch+".new")
	if err := os.RemoveAll(staged); err != nil { // of a build that was killed
		return err
	}
	if err := os.Mkdir(staged, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staged)) }()
	w := &Work{project: p, Family: f.Name, Dir: staged}
	if err := f.Build(ctx, w); err != nil {
		return err
	}
	if err := w.describe(ctx); err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := exchange(staged, dir); err != nil {
		return err
	}
	return st.keep(dir)
}

// Assembler makes the parts of a family ready, and gives a function that puts
// them together into the files of the family in a folder that is there, with
// nothing beside them. The benchmark times it.
func Assembler(ctx context.Context, c Config, family string) (func(ctx context.Context, dir string) error, error) {
	c, err := c.defaults()
	if err != nil {
		return nil, err
	}
	c.Families = []string{family}
	chosen, err := c.chosen()
	if err != nil {
		return nil, err
	}
	p, err := c.project(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := p.mediaParts(ctx); err != nil {
		return nil, err
	}
	return func(ctx context.Context, dir string) error {
		return chosen[0].Build(ctx, &Work{project: p, Family: family, Dir: dir})
	}, nil
}

// exchange puts a folder in the place of another, at once (renameat2(2)); what
// was there lies under the first name afterwards.
func exchange(fresh, dir string) error {
	err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Rename(fresh, dir)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system without it
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		return os.Rename(fresh, dir)
	}
	if err != nil {
		return fmt.Errorf("put %s in its place: %w", dir, err)
	}
	return nil
}

// openStore gives the unpacked packages.
func (p *project) openStore() (*debian.Store, error) {
	if p.store != nil {
		return p.store, nil
	}
	f, err := fetch.New(p.Lock, p.Progress)
	if err != nil {
		return nil, err
	}
	f.Cache = p.Cache
	p.store = debian.NewStore(f)
	return p.store, nil
}

// tools are those that make media. Whoever asks for them has used them.
func (w *Work) tools(ctx context.Context) (*sandbox.Sandbox, error) {
	w.used = w.Lock.Group("tools-image", runtime.GOARCH)
	if w.box != nil {
		return w.box, nil
	}
	var err error
	w.box, err = sandbox.Open(ctx, w.Lock, w.Progress, runtime.GOARCH, "tools-image")
	return w.box, err
}

// file is a name in the family's folder.
func (w *Work) file(name string) string { return filepath.Join(w.Dir, name) }

// say tells what was made.
func (w *Work) say(format string, args ...any) {
	fmt.Fprintf(w.Progress, "%s: %s\n", Dir(w.Out, w.Family, w.Arch), fmt.Sprintf(format, args...))
}

// copyFile copies a file whole or not at all; where the file system can, the
// copy shares its blocks.
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
