package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/fetch"
)

// asUser is one family as a user makes it.
type asUser struct {
	family, arch      string
	cold, warm, again time.Duration // caches empty; caches full and no image; nothing changed
	bytes             int64
}

// families times `VARIANT=… ARCH=… go tool mage image` for every family in a copy of the
// checkout: once with caches that hold nothing but the downloads, then warm.
func (b *bench) families(ctx context.Context) (string, error) {
	checkout := filepath.Join(b.dir, "user")
	if err := copyCheckout(ctx, checkout); err != nil {
		return "", fmt.Errorf("copy the checkout: %w", err)
	}
	var rows []asUser
	for _, f := range artifact.Families {
		for _, on := range arches(f) {
			row, err := b.user(ctx, checkout, f.Name, on)
			if err != nil {
				return "", err
			}
			rows = append(rows, row)
		}
	}
	return userTable(rows), nil
}

// user times one family.
func (b *bench) user(ctx context.Context, checkout, family, on string) (asUser, error) {
	row := asUser{family: family, arch: on}
	env, err := emptyCaches(filepath.Join(filepath.Dir(checkout), "caches"))
	if err != nil {
		return row, err
	}
	env = append(env, "VARIANT="+family, "ARCH="+on)
	images := filepath.Join(checkout, "images")
	once := func(remove bool) (time.Duration, error) {
		if remove {
			if err := os.RemoveAll(images); err != nil {
				return 0, err
			}
		}
		return b.mage(ctx, checkout, "image", env...)
	}
	if row.cold, err = once(true); err != nil {
		return row, err
	}
	var warm, again []time.Duration
	for range b.rounds {
		for _, t := range []struct {
			remove bool
			to     *[]time.Duration
		}{{true, &warm}, {false, &again}} {
			d, err := once(t.remove)
			if err != nil {
				return row, err
			}
			*t.to = append(*t.to, d)
		}
	}
	row.warm, row.again = medianTime(warm), medianTime(again)
	files, err := readFiles(artifact.Dir(images, family, on))
	row.bytes = files.size()
	fmt.Fprintf(b.out, "mage image, %s %s: cold %.2f s, warm %.2f s\n", family, on, row.cold.Seconds(), row.warm.Seconds())
	return row, err
}

// emptyCaches makes a cache for the build that holds the downloads alone, and an
// empty one for Go, and returns the environment that names them.
func emptyCaches(dir string) ([]string, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	bee, compiler := filepath.Join(dir, "bee"), filepath.Join(dir, "go")
	for _, name := range []string{bee, compiler} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			return nil, err
		}
	}
	full, err := fetch.CacheDir()
	if err != nil {
		return nil, err
	}
	const downloads = "sha256"
	return []string{"BEE_CACHE=" + bee, "GOCACHE=" + compiler}, os.Symlink(filepath.Join(full, downloads), filepath.Join(bee, downloads))
}

// medianTime is the middle one, or the lower of the two in the middle.
func medianTime(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(list))[(len(list)-1)/2]
}

// userTable prints a line a family.
func userTable(rows []asUser) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VARIANT=… go tool mage image\tcold\twarm\tnothing changed\tbytes")
	for _, r := range rows {
		fmt.Fprintf(t, "  %s %s\t%.2f s\t%.2f s\t%.2f s\t%d\n", r.family, r.arch, r.cold.Seconds(), r.warm.Seconds(), r.again.Seconds(), r.bytes)
	}
	fmt.Fprintln(t, "  cold: caches hold nothing but downloads, measured once; warm: caches are full, there is no image")
	t.Flush()
	return b.String()
}
