package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bee-os/bee/pkg/build/artifact"
)

// edits is how often each edit is made and built.
const edits = 3

// builds measures `go tool mage build` in a copy of the checkout, so that
// sources can be edited.
func (b *bench) builds(ctx context.Context) (string, error) {
	dir := filepath.Join(b.dir, "checkout")
	if err := copyCheckout(ctx, dir); err != nil {
		return "", fmt.Errorf("copy the checkout: %w", err)
	}
	var out strings.Builder
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "go tool mage build, MANIFEST=server")
	measure := func(name string, n int, edit func(round int) error, env ...string) error {
		var all []sample
		for round := range n {
			if err := edit(round); err != nil {
				return err
			}
			d, err := b.mage(ctx, dir, "build", env...)
			if err != nil {
				return err
			}
			all = append(all, sample{pid1: d})
		}
		d := median(all, func(s sample) time.Duration { return s.pid1 })
		fmt.Fprintf(b.out, "build, %s: %.2f s\n", name, d.Seconds())
		fmt.Fprintf(t, "  %s\t%.2f s\n", name, d.Seconds())
		return nil
	}
	source := filepath.Join(dir, "pkg/node/smoke/smoke.go")
	manifest := filepath.Join(dir, "initramfs/server.manifest")
	// The modules that bring another set, one more each round.
	extra := []string{"ppdev", "parport", "st"}
	for _, m := range []struct {
		name string
		n    int
		edit func(int) error
	}{
		{"first in this folder (inputs and Go's build cache are there)", 1, func(int) error { return nil }},
		{"nothing changed", edits, func(int) error { return nil }},
		{"one source line changed", edits, func(round int) error {
			return replaceText(source, "it greets with %q", strings.Repeat("it ", round+1)+"it greets with %q")
		}},
		{"another set of modules", edits, func(round int) error {
			return replaceText(manifest, "\nModules:", "\nModules: "+extra[round%len(extra)])
		}},
	} {
		if err := measure(m.name, m.n, m.edit); err != nil {
			return "", err
		}
	}
	// The driver was built before, as it is once for each kernel; what is measured
	// is an image with it.
	image := filepath.Join(artifact.KernelInitrdDir(filepath.Join(dir, "images"), arch), artifact.InitrdFile)
	without, err := os.Stat(image)
	if err != nil {
		return "", err
	}
	if _, err := b.mage(ctx, dir, "build", "NVIDIA=on"); err != nil {
		return "", err
	}
	again := func(round int) error {
		return replaceText(source, "it greets with %q", "so "+strings.Repeat("it ", round+1)+"it greets with %q")
	}
	if err := measure("one source line changed, NVIDIA=on, driver from the cache", edits, again, "NVIDIA=on"); err != nil {
		return "", err
	}
	with, err := os.Stat(image)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(t, "  initrd without and with NVIDIA's driver\t%d and %d bytes (%.2f)\n", without.Size(), with.Size(), float64(with.Size())/float64(without.Size()))
	if err := t.Flush(); err != nil {
		return "", err
	}
	return out.String(), nil
}

// mage runs a target as a user does and returns how long it took.
func (b *bench) mage(ctx context.Context, dir, target string, env ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "mage", target)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "MANIFEST=server", "ARCH="+arch), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("go tool mage %s: %w\n%s", target, err, said.Bytes())
	}
	return time.Since(began), err
}

// copyCheckout copies what git knows of the current folder.
func copyCheckout(ctx context.Context, dst string) error {
	list, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("ask git for the files: %w", err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, and git not told yet
		}
		if err != nil {
			return err
		}
		fi, err := os.Stat(name)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, fi.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// replaceText replaces old by now in the file, once.
func replaceText(file, old, now string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte(old)) {
		return fmt.Errorf("edit %s: %q is not in it", file, old)
	}
	return os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(now), 1), 0o644)
}
