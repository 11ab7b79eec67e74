package bench

import (
	"context"
	"errors"
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
	cold, warm, again time.Duration // see userTable
	bytes             int64
}

// families times `VARIANT=… ARCH=… go tool mage image` for every family in a copy of the
// checkout.
func (b *bench) families(ctx context.Context) (string, error) {
	u := &user{bench: b, checkout: filepath.Join(b.dir, "user"), caches: filepath.Join(b.dir, "caches")}
	if err := copyCheckout(ctx, u.checkout); err != nil {
		return "", fmt.Errorf("copy the checkout: %w", err)
	}
	var rows []asUser
	for _, on := range artifact.Arches {
		if err := u.begin(); err != nil {
			return "", err
		}
		for _, name := range partsFirst(artifact.FamiliesFor(on)) {
			row, err := u.time(ctx, name, on)
			if err != nil {
				return "", err
			}
			rows = append(rows, row)
		}
	}
	return userTable(rows), nil
}

// partsFirst puts the family that all others are made of first.
func partsFirst(names []string) []string {
	list := slices.Clone(artifact.Default)
	for _, n := range names {
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

// user is somebody with a checkout and caches of his own.
type user struct {
	*bench
	checkout, caches string
	env              []string        // names the caches
	known            map[string]bool // what the parts left in the cache; nil: they are to be made
}

// begin empties the caches of all but downloads, and takes every image away.
func (u *user) begin() (err error) {
	if u.env, err = emptyCaches(u.caches); err != nil {
		return err
	}
	u.known = nil
	return os.RemoveAll(u.images())
}

func (u *user) images() string { return filepath.Join(u.checkout, "images") }

// time times one family. The parts of the architecture come first.
func (u *user) time(ctx context.Context, family, on string) (asUser, error) {
	row := asUser{family: family, arch: on}
	once := func() (time.Duration, error) {
		return u.mage(ctx, u.checkout, "image", append(slices.Clone(u.env), "VARIANT="+family, "ARCH="+on)...)
	}
	var err error
	if u.known != nil {
		if err := forgetAllBut(u.caches, u.known); err != nil {
			return row, err
		}
	}
	if row.cold, err = once(); err != nil {
		return row, err
	}
	if u.known == nil {
		if u.known, err = entries(u.caches); err != nil {
			return row, err
		}
	}
	var warm, again []time.Duration
	for range u.rounds {
		if err := os.RemoveAll(u.images()); err != nil {
			return row, err
		}
		for _, to := range []*[]time.Duration{&warm, &again} {
			d, err := once()
			if err != nil {
				return row, err
			}
			*to = append(*to, d)
		}
	}
	row.warm, row.again = medianTime(warm), medianTime(again)
	files, err := readFiles(artifact.Dir(u.images(), family, on))
	row.bytes = files.size()
	fmt.Fprintf(u.out, "mage image, %s %s: cold %.2f s, warm %.2f s\n", family, on, row.cold.Seconds(), row.warm.Seconds())
	return row, err
}

// entries are what lies in the folders of the builder's cache, downloads aside.
// What Go caches is not looked at: families run no compiler of their own.
func entries(caches string) (map[string]bool, error) {
	list, err := filepath.Glob(filepath.Join(caches, "bee", "*", "*"))
	known := make(map[string]bool)
	for _, name := range list {
		if filepath.Base(filepath.Dir(name)) != downloads {
			known[name] = true
		}
	}
	return known, err
}

// forgetAllBut takes away what the cache did not hold; downloads stay.
func forgetAllBut(caches string, known map[string]bool) error {
	now, err := entries(caches)
	for name := range now {
		if !known[name] {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	return err
}

// downloads is the folder of the builder's cache that stays.
const downloads = "sha256"

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
	fmt.Fprintln(t, "  cold, measured once: the first line of an architecture with caches that hold nothing but downloads; the others with its")
	fmt.Fprintln(t, "  kernel and initramfs made, and nothing of their own. Warm: caches are full, there is no image, not even those two.")
	t.Flush()
	return b.String()
}
