package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
)

// coreCommands is where u-root keeps the commands that a manifest's Core names.
const coreCommands = "github.com/u-root/u-root/cmds/core/"

// initramfs times the builders of an initramfs for the pinned kernel: once for
// one machine's needs, once for any machine's.
func (b *bench) initramfs(ctx context.Context, dir string) ([]string, error) {
	l, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return nil, err
	}
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		return nil, err
	}
	e, err := kernel.Find(l, arch)
	if err != nil {
		return nil, err
	}
	store := debian.NewStore(f)
	k, err := kernel.Open(ctx, store, f.Cache, e, os.Stderr)
	if err != nil {
		return nil, err
	}
	thin, err := initrd.ReadVariant(os.DirFS("initramfs"), "thin")
	if err != nil {
		return nil, err
	}
	checkout := filepath.Join(dir, "checkout")
	if err := copyCheckout(ctx, checkout); err != nil {
		return nil, fmt.Errorf("copy the checkout: %w", err)
	}
	uroot, err := urootEntrant(ctx, dir, thin.Core)
	if err != nil {
		return nil, err
	}
	d, err := openDistro(ctx, l, store, k, dir, thin.Modules)
	if err != nil {
		return nil, err
	}
	d.booster = b.booster
	small := append([]entrant{beeEntrant(checkout, dir, "thin", false), beeEntrant(checkout, dir, "thin", true), uroot}, d.small()...)
	large := append([]entrant{beeEntrant(checkout, dir, "server", false), beeEntrant(checkout, dir, "server", true)}, d.large()...)
	var tables []string
	for _, c := range []struct {
		title string
		all   []entrant
	}{
		{"initramfs for a virtual machine, kernel " + k.Release, small},
		{"initramfs for any machine, kernel " + k.Release, large},
	} {
		// The first time fills caches, which no peer has.
		if _, err := c.all[0].run(ctx); err != nil {
			return nil, err
		}
		list, err := contest(ctx, b.out, b.rounds, c.all)
		if err != nil {
			return nil, err
		}
		tables = append(tables, contestTable(c.title, list))
	}
	return tables, nil
}

// beeEntrant builds kernel and initramfs into a fresh folder, so that nothing is
// up to date, with or without a source line edited before.
func beeEntrant(checkout, dir, manifest string, edit bool) entrant {
	out := filepath.Join(dir, "bee-"+manifest)
	e := entrant{name: "bee " + manifest, ours: "bee", before: func() error { return os.RemoveAll(out) }}
	if edit {
		e.name, e.ours = "bee "+manifest+", one source line changed", "changed"
		e.before = func() error {
			// What never was compiled cannot come from Go's cache.
			now := fmt.Sprintf("it greets with %%q (%d)", time.Now().UnixNano())
			return errors.Join(os.RemoveAll(out), replaceText(filepath.Join(checkout, "pkg/node/smoke/smoke.go"), "it greets with %q", now))
		}
	}
	e.run = func(ctx context.Context) (int64, error) {
		if err := artifact.Build(ctx, artifact.Config{Root: checkout, Manifest: manifest, Out: out, Progress: io.Discard}); err != nil {
			return 0, err
		}
		return sizeOf(filepath.Join(artifact.KernelInitrdDir(out, arch), artifact.InitrdFile))
	}
	return e
}

// urootEntrant is u-root's own builder, of the version in go.mod, with the
// commands that our image has of it. The builder itself is compiled before, in
// its own module: ours does not pin what it alone needs.
func urootEntrant(ctx context.Context, dir string, core []string) (entrant, error) {
	const name = "u-root, the same core commands, no modules"
	program, out := filepath.Join(dir, "u-root"), filepath.Join(dir, "u-root.cpio")
	env := append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
	source, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/u-root/u-root").Output()
	if err != nil {
		return entrant{}, fmt.Errorf("ask Go where u-root lies: %w", err)
	}
	if err := host(ctx, env, "go", "build", "-C", strings.TrimSpace(string(source)), "-buildvcs=false", "-o", program, "."); err != nil {
		return entrant{name: name, absent: strings.ReplaceAll(err.Error(), "\n", " ")}, ctx.Err()
	}
	args := []string{"-o", out, "-base=/dev/null", "-initcmd=", "-defaultsh="}
	for _, c := range core {
		args = append(args, coreCommands+c)
	}
	return entrant{name: name, run: func(ctx context.Context) (int64, error) {
		if err := host(ctx, env, program, args...); err != nil {
			return 0, err
		}
		return sizeOf(out)
	}}, nil
}

// host runs a program of the host's Go in the checkout.
func host(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(said)))
	}
	return nil
}

// sizeOf is a file's size in bytes; an empty one is no result.
func sizeOf(name string) (int64, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	if fi.Size() == 0 {
		return 0, fmt.Errorf("look at %s: it is empty", name)
	}
	return fi.Size(), nil
}
