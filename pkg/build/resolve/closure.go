package resolve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/lock"
)

// universe is what a group may choose from.
type universe struct {
	arch    string
	indexes []suiteIndex
}

type suiteIndex struct {
	suite string
	*Index
}

// candidate is a package with the suite it comes from.
type candidate struct {
	debian.Package
	suite string
}

// apartError tells that packages which must move together are not there in one
// version.
type apartError struct {
	root, rootVersion, other, otherVersion string
}

func (e *apartError) Error() string {
	have := "is not there"
	if e.otherVersion != "" {
		have = "is at " + e.otherVersion
	}
	return fmt.Sprintf("%s is at %s but %s %s, and they move together or not at all", e.root, e.rootVersion, e.other, have)
}

// candidate returns the newest version of a name over all suites; the first
// suite wins among equals.
func (u *universe) candidate(name string) (candidate, bool) {
	var best candidate
	found := false
	for _, x := range u.indexes {
		if p, ok := x.packages[name]; ok && (!found || debian.CompareVersions(p.Version, best.Version) > 0) {
			best, found = candidate{p, x.suite}, true
		}
	}
	return best, found
}

// providers returns the packages that provide a virtual name, sorted by suite
// and index order, without those that a newer version of theirs no longer does.
func (u *universe) providers(a debian.Alternative) []candidate {
	var out []candidate
	for _, x := range u.indexes {
		for _, name := range x.provides[a.Name] {
			c, ok := u.candidate(name)
			known := slices.ContainsFunc(out, func(o candidate) bool { return o.Name == name })
			if ok && !known && provides(c, a) {
				out = append(out, c)
			}
		}
	}
	return out
}

func provides(c candidate, a debian.Alternative) bool {
	return slices.ContainsFunc(c.Provides, func(p debian.Provide) bool {
		return p.Name == a.Name && a.Accepts(p.Version)
	})
}

// closure is a group's choice while it grows.
type closure struct {
	u       *universe
	g       lock.Group
	chosen  map[string]candidate
	queue   []candidate
	dropped map[string]bool // chosen to be followed, not kept
}

// group resolves one group.
func (u *universe) group(g lock.Group) ([]lock.Entry, error) {
	c := &closure{u: u, g: g, chosen: make(map[string]candidate), dropped: make(map[string]bool)}
	for _, name := range slices.Concat(g.Through, g.Want) {
		p, ok := u.candidate(name)
		if !ok {
			return nil, fmt.Errorf("find package %s: no suite of the group has it for %s", name, u.arch)
		}
		c.dropped[name] = slices.Contains(g.Through, name)
		c.choose(p)
	}
	if err := u.together(g); err != nil {
		return nil, err
	}
	for len(c.queue) > 0 && !g.Alone {
		p := c.queue[0]
		c.queue = c.queue[1:]
		for _, r := range p.Depends {
			if err := c.satisfy(r); err != nil {
				return nil, fmt.Errorf("package %s: %w", p.Name, err)
			}
		}
	}
	var out []lock.Entry
	for name, p := range c.chosen {
		if !c.dropped[name] {
			out = append(out, lock.Entry{
				Name: p.Name, Version: p.Version, Arch: p.Arch, Suite: p.suite,
				Path: p.Path, Size: p.Size, SHA256: p.SHA256,
			})
		}
	}
	return out, nil
}

// together checks that what must move together is there in one version. Its
// error is an *apartError where it is not.
func (u *universe) together(g lock.Group) error {
	roots := slices.Concat(g.Through, g.Want)
	if len(roots) == 0 {
		return nil
	}
	same := func(first string, others []string, of func(version string) string) error {
		p, _ := u.candidate(first)
		for _, other := range others {
			o, ok := u.candidate(other)
			if !ok || of(o.Version) != of(p.Version) {
				return &apartError{first, p.Version, other, o.Version}
			}
		}
		return nil
	}
	if err := same(roots[0], g.SameVersion, func(v string) string { return v }); err != nil {
		return err
	}
	if len(g.SameRelease) == 0 {
		return nil
	}
	return same(g.SameRelease[0], g.SameRelease[1:], func(v string) string {
		release, _, _ := strings.Cut(v, "-")
		return release
	})
}

func (c *closure) choose(p candidate) {
	if _, ok := c.chosen[p.Name]; ok {
		return
	}
	c.chosen[p.Name] = p
	c.queue = append(c.queue, p)
}

// satisfy chooses a package for a relation: none where the group does without,
// else one that is chosen already, else the first alternative that exists, a
// package of that name before one that provides it.
func (c *closure) satisfy(r debian.Relation) error {
	for _, a := range r {
		if slices.Contains(c.g.Without, a.Name) {
			return nil
		}
	}
	for _, a := range r {
		if p, ok := c.chosen[a.Name]; ok && a.Accepts(p.Version) {
			return nil
		}
		for _, p := range c.u.providers(a) {
			if _, ok := c.chosen[p.Name]; ok {
				return nil
			}
		}
	}
	for _, a := range r {
		if p, ok := c.u.candidate(a.Name); ok && a.Accepts(p.Version) {
			c.choose(p)
			return nil
		}
		for _, p := range c.u.providers(a) {
			if !slices.Contains(c.g.Without, p.Name) {
				c.choose(p)
			}
			return nil
		}
	}
	return fmt.Errorf("depends on %s: no package of the group's suites satisfies it", r)
}
