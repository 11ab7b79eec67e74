// Package resolve answers bee.lock's groups anew: it reads Debian's signed
// indexes, follows the dependencies of what each group wants, and rewrites the
// file. It is the body of `go tool mage lock`; nothing else changes a version.
package resolve

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

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
	fresh, err := Resolve(ctx, old, read, out)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", lock.Name, err)
	}
	if !Report(old, fresh, out) {
		fmt.Fprintf(out, "%s is current: every input is the newest that its suites have\n", lock.Name)
	}
	return fresh.Write(lock.Name)
}

// Reader gives the packages of a suite for an architecture ("all" packages are
// among them) and the date of its signed index.
type Reader interface {
	Suite(ctx context.Context, s lock.Suite, arch string) (*Index, error)
}

// Resolve returns old with every group resolved through the indexes. A group
// whose packages must move together and do not yet stays as it is, which out is
// told.
func Resolve(ctx context.Context, old *lock.File, indexes Reader, out io.Writer) (*lock.File, error) {
	fresh := &lock.File{Archives: old.Archives, Groups: old.Groups, Suites: slices.Clone(old.Suites)}
	merged := make(map[string]lock.Entry) // by name and architecture
	for _, g := range old.Groups {
		for _, arch := range g.Arches {
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
			entries, err := u.group(g)
			if apart, ok := err.(*apartError); ok && len(old.Group(g.Name, arch)) > 0 {
				fmt.Fprintf(out, "group %s (%s) stays as it is: %v\n", g.Name, arch, apart)
				entries, err = old.Group(g.Name, arch), nil
			}
			if err != nil {
				return nil, fmt.Errorf("group %s (%s): %w", g.Name, arch, err)
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
		if !slices.Contains(have.Groups, group) {
			have.Groups = append(have.Groups, group)
			into[key] = have
		}
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
