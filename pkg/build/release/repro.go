package release

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/provenance"
	"github.com/bee-os/bee/pkg/build/repro"
	"github.com/bee-os/bee/pkg/build/sbom"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/source"
)

// ErrDiffers is wrapped by Repro's error where the two builds are not the same.
var ErrDiffers = errors.New("the two builds differ")

// Repro builds the commit that is checked out twice, from two clones, and
// compares what was made, signatures of a key included. The builds share what
// was downloaded and nothing else; what they differ in is in conditions. ARCH,
// VARIANT and MANIFEST choose; without the first two every family is made for
// every architecture. Two folders with differences in them are kept.
//
// As root the second build runs as another user, unless files of this machine
// are to go in, which that user may not be able to read, or BEE_REPRO_USER=same.
func Repro(ctx context.Context, getenv func(string) string, out io.Writer) (err error) {
	c, err := artifact.Load(".", getenv)
	if err != nil {
		return err
	}
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return err
	}
	at, err := source.Of(ctx, root)
	if err != nil {
		return err
	}
	if at.Commit == "" {
		return fmt.Errorf("build twice: %s is no git checkout, and two clones of a commit are what is built", root)
	}
	if !at.Clean {
		fmt.Fprintf(out, "bee: changes that are not committed are no part of this: what is built is %s\n", at.Commit)
	}
	goals := chooseGoals(c, getenv("ARCH"))
	if len(goals) == 0 {
		return fmt.Errorf("build twice: none of %s is made for %s", strings.Join(c.Families, ", "), getenv("ARCH"))
	}
	user, why, err := otherUser(c, os.Geteuid(), getenv("BEE_REPRO_USER"))
	if err != nil {
		return err
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		return err
	}
	env, err := passedOn(c, getenv)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "bee-repro-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(work)) }() // what is worth keeping was renamed before
	two := conditions(work, user, runtime.NumCPU())
	fmt.Fprintf(out, "bee: two builds of %s; they differ in %s; %s\n", at.Commit, differences(two), why)
	if c.Keyless != nil {
		fmt.Fprintln(out, "bee: keyless signatures are left out: each is a record of its moment")
	}
	job := reproJob{root: root, commit: at.Commit, work: work, cache: cache, env: env, out: out}
	if err := job.prepare(ctx); err != nil {
		return fmt.Errorf("build twice: %w", err)
	}
	for _, cond := range two {
		if err := job.build(ctx, cond, goals); err != nil {
			return fmt.Errorf("the %s build: %w", cond.name, err)
		}
	}
	found, err := compareGoals(two[0].images(), two[1].images(), goals)
	if err != nil {
		return err
	}
	if err := show(out, found); err != nil {
		return err
	}
	bad := slices.DeleteFunc(slices.Clone(found), func(r result) bool { return len(r.differ) == 0 })
	if len(bad) == 0 {
		return nil
	}
	kept, err := keepBoth(work, two)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w in %d of %d folders; they are kept: %s and %s", ErrDiffers, len(bad), len(found), kept[0], kept[1])
}

// goal is a folder below images/.
type goal struct{ family, arch string }

// chooseGoals lists what is to be built, architecture by architecture, families
// in the order in which they are made. An empty arch means all.
func chooseGoals(c artifact.Config, arch string) []goal {
	var goals []goal
	for _, a := range artifact.Arches {
		if arch != "" && a != arch {
			continue
		}
		for _, f := range artifact.FamiliesFor(a) {
			if len(c.Families) == 0 || slices.Contains(c.Families, f) {
				goals = append(goals, goal{f, a})
			}
		}
	}
	return goals
}

// result is one folder that both builds made.
type result struct {
	goal
	size   int64  // bytes
	sum    string // SHA-256 of SHA256SUMS, which names every file but signatures
	differ []repro.Difference
}

// compareGoals compares the folders of two images/. An empty one is an error:
// nothing would be compared.
func compareGoals(first, second string, goals []goal) ([]result, error) {
	var found []result
	for _, g := range goals {
		a, b := artifact.Dir(first, g.family, g.arch), artifact.Dir(second, g.family, g.arch)
		r := result{goal: g}
		var err error
		if r.differ, err = repro.Compare(a, b); err != nil {
			return nil, err
		}
		if r.size, err = sizeOf(a); err != nil {
			return nil, err
		}
		sums, err := os.ReadFile(filepath.Join(a, manifest.SumsName))
		if err != nil {
			return nil, fmt.Errorf("compare %s for %s: %w", g.family, g.arch, err)
		}
		r.sum = fmt.Sprintf("%x", sha256.Sum256(sums))
		found = append(found, r)
	}
	return found, nil
}

// sizeOf is how many bytes the files below a folder have.
func sizeOf(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			size += fi.Size()
		}
		return err
	})
	return size, err
}

// show prints the table, and of what differs the first difference.
func show(out io.Writer, found []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "family\tarch\t\tMiB\tsha256 of %s\n", manifest.SumsName)
	for _, r := range found {
		if len(r.differ) == 0 {
			fmt.Fprintf(w, "%s\t%s\tidentical\t%.1f\t%s\n", r.family, r.arch, float64(r.size)/(1<<20), r.sum)
			continue
		}
		first := cause(r.differ)
		fmt.Fprintf(w, "%s\t%s\tDIFFERS\t%.1f\t%s\n", r.family, r.arch, float64(r.size)/(1<<20), first)
		if n := len(r.differ) - 1; n > 0 {
			fmt.Fprintf(w, "\t\t\t\tand %d other files: %s\n", n, others(r.differ, first))
		}
	}
	return w.Flush()
}

// cause is the difference that is told: documents and signatures hold digests of
// all else, so that they are told only where nothing else differs.
func cause(list []repro.Difference) repro.Difference {
	for _, d := range list {
		follows := slices.Contains([]string{manifest.FileName, manifest.SumsName, sbom.FileName, provenance.FileName}, d.File) || strings.HasSuffix(d.File, sign.Suffix)
		if !follows {
			return d
		}
	}
	// The manifest comes before what is made of it.
	if i := slices.IndexFunc(list, func(d repro.Difference) bool { return d.File == manifest.FileName }); i >= 0 {
		return list[i]
	}
	return list[0]
}

func others(list []repro.Difference, told repro.Difference) string {
	var names []string
	for _, d := range list {
		if d.File != told.File {
			names = append(names, d.File)
		}
	}
	return strings.Join(names, ", ")
}
