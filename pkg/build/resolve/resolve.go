// Package resolve answers bee.lock's groups anew: it reads Debian's signed
// indexes, follows the dependencies of what each group wants, and rewrites the
// file. It is the body of `go tool mage lock`; nothing else changes a version.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/bee-os/bee/pkg/build/driver"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
)

// Run resolves the bee.lock of the current folder and rewrites it, telling on
// out what changed. Where it fails the file is as it was.
func Run(ctx context.Context, out io.Writer) error {
	old, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return err
	}
	f, err := fetch.New(old, out)
	if err != nil {
		return err
	}
	read, err := NewIndexes(f, time.Now())
	if err != nil {
		return err
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		return err
	}
	fresh, err := ResolveAndTry(ctx, old, read, out, func(ctx context.Context, l *lock.File) error {
		return driver.Try(ctx, l, os.DirFS("kernel-config/patches"), cache, out)
	})
	if err != nil {
		return fmt.Errorf("resolve %s: %w", lock.Name, err)
	}
	if !Report(old, fresh, out) {
		fmt.Fprintf(out, "%s stays as it is: its suites have nothing newer that can be taken\n", lock.Name)
	}
	return fresh.Write(lock.Name)
}

// Reader gives the packages of a suite for an architecture ("all" packages are
// among them) and the date of its signed index.
type Reader interface {
	Suite(ctx context.Context, s lock.Suite, arch string) (*Index, error)
}

// tried are the groups whose packages are compiled together: what changes in
// them is taken only when the driver builds with it.
var tried = []string{"kernel", "nvidia", "tools-kernel"}

// ResolveAndTry is Resolve, and lets try build the driver with the answer where
// that changes what it is built from. A combination that does not build is
// told on out, and its groups stay as they are.
func ResolveAndTry(ctx context.Context, old *lock.File, indexes Reader, out io.Writer, try func(context.Context, *lock.File) error) (*lock.File, error) {
	fresh, err := Resolve(ctx, old, indexes, out, nil)
	if err != nil || !changed(old, fresh, tried) {
		return fresh, err
	}
	fmt.Fprintf(out, "the kernel, the driver or their compiler changed: try the build\n")
	failed := try(ctx, fresh)
	if failed == nil {
		return fresh, nil
	}
	if !errors.Is(failed, driver.ErrDoesNotFit) || ctx.Err() != nil {
		return nil, fmt.Errorf("try the build: %w; nothing was decided by it", failed)
	}
	hold := make(map[string]error)
	for _, g := range tried {
		if len(groupOf(old, g)) == 0 {
			return nil, fmt.Errorf("try the build: %w; there is no older combination to stay with", failed)
		}
		hold[g] = errors.New("the driver does not build with what is new, see above")
	}
	fmt.Fprintf(out, "try the build: %v\n", failed)
	return Resolve(ctx, old, indexes, out, hold)
}

// changed says whether the packages of any of the groups differ.
func changed(old, fresh *lock.File, groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return !slices.Equal(groupOf(old, g), groupOf(fresh, g)) })
}

// groupOf is the packages of a group, by name and digest.
func groupOf(f *lock.File, group string) []string {
	var list []string
	for _, e := range f.Entries {
		if slices.Contains(e.Groups, group) {
			list = append(list, e.Name+" "+e.Arch+" "+e.SHA256)
		}
	}
	slices.Sort(list)
	return list
}

// Resolve returns old with every group resolved through the indexes. A group
// whose packages must move together and do not yet stays as it is, which out is
// told; so does one that hold gives a reason for, and one that moves with such
// a group.
func Resolve(ctx context.Context, old *lock.File, indexes Reader, out io.Writer, hold map[string]error) (*lock.File, error) {
	fresh := &lock.File{Archives: old.Archives, Groups: old.Groups, Suites: slices.Clone(old.Suites)}
	held := make(map[string]error)
	maps.Copy(held, hold)
	answers := make(map[string][]lock.Entry) // by group and architecture
	for _, g := range old.Groups {
		for _, arch := range g.Arches {
			u, err := newUniverse(ctx, old, fresh, indexes, g, arch)
			if err != nil {
				return nil, err
			}
			entries, err := u.group(g)
			var apart *apartError
			if errors.As(err, &apart) && len(old.Group(g.Name, arch)) > 0 {
				held[g.Name], err = apart, nil
			}
			if err != nil {
				return nil, fmt.Errorf("group %s (%s): %w", g.Name, arch, err)
			}
			answers[g.Name+" "+arch] = entries
		}
	}
	holdFollowers(old, answers, held)
	merged := make(map[string]lock.Entry) // by name and architecture
	for _, g := range old.Groups {
		why, stays := held[g.Name]
		if stays {
			fmt.Fprintf(out, "group %s stays as it is: %v\n", g.Name, why)
		}
		for _, arch := range g.Arches {
			entries := answers[g.Name+" "+arch]
			if stays {
				entries = dated(old.Group(g.Name, arch), old, fresh)
			}
			if err := merge(merged, entries, g.Name); err != nil {
				return nil, err
			}
		}
	}
	for _, e := range merged {
		fresh.Entries = append(fresh.Entries, e)
	}
	fresh.Sort()
	return fresh, nil
}

// newUniverse reads the indexes that a group chooses from, and notes their
// dates in fresh.
func newUniverse(ctx context.Context, old, fresh *lock.File, indexes Reader, g lock.Group, arch string) (*universe, error) {
	u := &universe{arch: arch}
	for _, name := range g.Suites {
		i := slices.IndexFunc(fresh.Suites, func(s lock.Suite) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("group %s: no stanza defines suite %s", g.Name, name)
		}
		x, err := indexes.Suite(ctx, old.Suites[i], arch)
		if err != nil {
			return nil, err
		}
		fresh.Suites[i].Date = x.Date
		u.indexes = append(u.indexes, suiteIndex{name, x})
	}
	return u, nil
}

// holdFollowers adds to held every group that moves with one that is held, every
// one that such a group moves with, and every one that shares a package with a
// held one and would take it in another version: a package stands in the lock
// once.
func holdFollowers(old *lock.File, answers map[string][]lock.Entry, held map[string]error) {
	for more := true; more; {
		more = false
		hold := func(group string, why error) {
			if held[group] == nil {
				held[group], more = why, true
			}
		}
		for _, g := range old.Groups {
			for _, other := range g.MovesWith {
				if held[g.Name] != nil {
					hold(other, fmt.Errorf("it moves with group %s", g.Name))
				}
				if held[other] != nil {
					hold(g.Name, fmt.Errorf("it moves with group %s", other))
				}
			}
			if held[g.Name] != nil {
				continue
			}
			for _, arch := range g.Arches {
				for _, e := range answers[g.Name+" "+arch] {
					if by := sharedWith(old, held, e); by != "" {
						hold(g.Name, fmt.Errorf("it shares %s with group %s", e.Name, by))
					}
				}
			}
		}
	}
}

// sharedWith is the held group that keeps a package which e would replace; empty:
// none.
func sharedWith(old *lock.File, held map[string]error, e lock.Entry) string {
	have, err := old.Get(e.Name, e.Arch)
	if err != nil || have.SHA256 == e.SHA256 {
		return ""
	}
	for _, g := range have.Groups {
		if held[g] != nil {
			return g
		}
	}
	return ""
}

// dated gives entries that stay the date at which the dated archive has them.
func dated(entries []lock.Entry, old, fresh *lock.File) []lock.Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		at := slices.IndexFunc(old.Suites, func(s lock.Suite) bool { return s.Name == e.Suite })
		if at >= 0 && e.Date.IsZero() && !old.Suites[at].Date.Equal(fresh.Suites[at].Date) {
			entries[i].Date = old.Suites[at].Date
		}
	}
	return entries
}

// merge adds a group's entries: a package that several groups want stands once,
// in one version.
func merge(into map[string]lock.Entry, entries []lock.Entry, group string) error {
	for _, e := range entries {
		key := e.Name + " " + e.Arch
		have, ok := into[key]
		if !ok {
			e.Groups = []string{group}
			into[key] = e
			continue
		}
		if have.SHA256 != e.SHA256 {
			return fmt.Errorf("groups %s and %s want different versions of %s (%s and %s): give them the same Suites", have.Groups[0], group, e.Name, have.Version, e.Version)
		}
		if e.Date.IsZero() {
			have.Date = time.Time{} // it is there today too
		}
		if !slices.Contains(have.Groups, group) {
			have.Groups = append(have.Groups, group)
		}
		into[key] = have
	}
	return nil
}

// Report tells each difference in a line; false where there is none.
func Report(old, fresh *lock.File, out io.Writer) bool {
	changed := false
	say := func(format string, args ...any) {
		changed = true
		fmt.Fprintf(out, format+"\n", args...)
	}
	find := func(f *lock.File, e lock.Entry) (lock.Entry, bool) {
		i := slices.IndexFunc(f.Entries, func(o lock.Entry) bool { return o.Name == e.Name && o.Arch == e.Arch })
		if i < 0 {
			return lock.Entry{}, false
		}
		return f.Entries[i], true
	}
	for _, e := range fresh.Entries {
		switch was, ok := find(old, e); {
		case !ok:
			say("+ %s %s", e, e.Groups)
		case was.Version != e.Version:
			say("  %s %s -> %s (%s)", e.Name, was.Version, e.Version, e.Arch)
		case was.SHA256 != e.SHA256:
			say("! %s has the same version and other bytes: sha256 %s -> %s", e, was.SHA256, e.SHA256)
		case !slices.Equal(was.Groups, e.Groups):
			say("  %s: groups %s -> %s", e, was.Groups, e.Groups)
		}
	}
	for _, e := range old.Entries {
		if _, ok := find(fresh, e); !ok {
			say("- %s %s", e, e.Groups)
		}
	}
	return changed
}
