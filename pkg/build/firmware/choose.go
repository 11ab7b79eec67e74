package firmware

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/lock"
)

// File is one firmware file of a pinned package.
type File struct {
	Path   string     // below /lib/firmware
	Source string     // on this machine; empty for a link
	Link   string     // target of a link, below /lib/firmware
	From   lock.Entry // the package
}

// Declared is what a module of the image says it may ask for.
type Declared struct{ Module, Pattern string }

// Available lists the files of unpacked packages by path. trees are in the
// order of entries; the first package that has a path keeps it.
func Available(entries []lock.Entry, trees []string) (map[string]File, error) {
	files := make(map[string]File)
	for i, tree := range trees {
		for _, dir := range []string{"usr/lib/firmware", "lib/firmware"} {
			root := filepath.Join(tree, dir)
			err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				rel, err := filepath.Rel(root, name)
				if err != nil {
					return err
				}
				f := File{Path: filepath.ToSlash(rel), Source: name, From: entries[i]}
				if d.Type()&fs.ModeSymlink != 0 {
					to, err := os.Readlink(name)
					if err != nil {
						return err
					}
					f.Source, f.Link = "", path.Join(path.Dir(f.Path), to)
				}
				if _, have := files[f.Path]; !have {
					files[f.Path] = f
				}
				return nil
			})
			if err != nil && !os.IsNotExist(err) {
				return nil, fmt.Errorf("list the firmware of %s: %w", entries[i], err)
			}
		}
	}
	return files, nil
}

// Choose applies the policies. It returns the files that ship, links with what
// they point to, by path, and every file that a module declares and the image
// will not have, with the reason.
func Choose(policies []Policy, available map[string]File, declared []Declared) ([]File, []bom.Missing, error) {
	c := chooser{policies: policies, available: available, chosen: make(map[string]File)}
	paths := slices.Sorted(maps.Keys(available))
	for _, p := range policies {
		for _, r := range p.rules {
			if r.verb != '+' {
				continue
			}
			n := 0
			for _, f := range paths {
				if r.matches(f) {
					n++
					c.take(f)
				}
			}
			if n == 0 {
				return nil, nil, fmt.Errorf("choose firmware: %s.list line %d: no pinned package has %q; remove the line or name the package in bee.lock", p.Name, r.line, r.glob)
			}
		}
	}
	var missing []bom.Missing
	for _, d := range declared {
		n := 0
		var why string
		for _, f := range c.match(d.Pattern, paths) {
			if allowed, reason := c.allowed(f); !allowed {
				why = reason
			} else {
				c.take(f)
			}
			n++
		}
		if n == 0 {
			why = "no pinned package has it"
		}
		if why != "" {
			missing = append(missing, bom.Missing{File: d.Pattern, Module: d.Module, Why: why})
		}
	}
	slices.SortFunc(missing, func(a, b bom.Missing) int {
		return strings.Compare(a.File+"\x00"+a.Module, b.File+"\x00"+b.Module)
	})
	var files []File
	for _, f := range slices.Sorted(maps.Keys(c.chosen)) {
		files = append(files, c.chosen[f])
	}
	return files, slices.Compact(missing), nil
}

type chooser struct {
	policies  []Policy
	available map[string]File
	chosen    map[string]File
}

// match finds the files that a module's declaration means: one, or those that
// its wildcards fit.
func (c *chooser) match(pattern string, paths []string) []string {
	if _, ok := c.available[pattern]; ok {
		return []string{pattern}
	}
	if !strings.ContainsAny(pattern, "*?[") {
		return nil
	}
	var found []string
	for _, f := range paths {
		if ok, err := path.Match(pattern, f); ok && err == nil {
			found = append(found, f)
		}
	}
	return found
}

// allowed says whether a list lets the file ship; a '-' line wins.
func (c *chooser) allowed(file string) (ok bool, why string) {
	why = "no list of the manifest allows it"
	for _, p := range c.policies {
		for _, r := range p.rules {
			if !r.matches(file) {
				continue
			}
			if r.verb == '-' {
				return false, fmt.Sprintf("%s.list line %d forbids it", p.Name, r.line)
			}
			ok = true
		}
	}
	return ok, why
}

// take adds a file that is not forbidden and, for a link, what it points to.
func (c *chooser) take(file string) {
	for range 8 { // links of links
		f, ok := c.available[file]
		if !ok {
			return
		}
		if forbidden(c.policies, file) {
			return
		}
		c.chosen[file] = f
		if f.Link == "" {
			return
		}
		file = f.Link
	}
}

func forbidden(policies []Policy, file string) bool {
	for _, p := range policies {
		for _, r := range p.rules {
			if r.verb == '-' && r.matches(file) {
				return true
			}
		}
	}
	return false
}
