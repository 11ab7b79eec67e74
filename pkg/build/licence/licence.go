// Package licence finds under which licence an input of a build stands: of a
// Debian package from usr/share/doc/<package>/copyright in its tree, of a Go
// module from the licence files of its folder in the module cache. The answer
// is an SPDX expression (SPDX 2.3, annex D).
//
// What is not sure is not guessed: it becomes a LicenseRef- with a note that
// says where to read. The answer for a Debian package is that for its source:
// a binary package may hold less.
package licence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/lock"
)

// Licence is what was found.
type Licence struct {
	SPDX string // expression
	Note string // for people; empty where the expression says all
}

// Store brings unpacked packages: *debian.Store.
type Store interface {
	Tree(ctx context.Context, e lock.Entry) (dir string, err error)
}

// maxText bounds a copyright or licence file, bytes; the largest in Debian,
// that of the kernel's firmware, is 300 KB.
const maxText = 8 << 20

// maxLinks bounds how many packages a documentation folder may be linked
// through (Debian Policy 12.5 allows one).
const maxLinks = 4

// OfEntry finds the licence of a pinned package. Where its documentation lies in
// another package (libgcc-s1 links to gcc-14-base), that one is looked up in the
// lock for arch and opened too.
func OfEntry(ctx context.Context, l *lock.File, store Store, e lock.Entry, arch string) (Licence, error) {
	holder := e
	for range maxLinks {
		dir, err := store.Tree(ctx, holder)
		if err != nil {
			return Licence{}, fmt.Errorf("find licence of %s: %w", e, err)
		}
		text, next, err := copyright(dir, holder.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return unknown(e.Name, "the package has no copyright file"), nil
		case err != nil:
			return Licence{}, fmt.Errorf("find licence of %s: %w", e, err)
		case next == "":
			return Debian(e.Name, text), nil
		}
		if holder, err = l.Get(next, arch); err != nil {
			return unknown(e.Name, "its copyright file lies in "+next+", which is not pinned"), nil
		}
	}
	return unknown(e.Name, "its copyright file is a link without end"), nil
}

// copyright reads the file of a package in its tree. Where the package's
// documentation is a link to another's, it gives that one's name.
func copyright(dir, pkg string) (text []byte, next string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", err
	}
	defer root.Close()
	doc := path.Join("usr/share/doc", pkg)
	for _, name := range []string{doc, doc + "/copyright"} {
		target, err := root.Readlink(name)
		if err != nil {
			continue // not a link, or not there: the opening below says which
		}
		if other := linkedPackage(name, target); other != "" && other != pkg {
			return nil, other, nil
		}
	}
	f, err := root.Open(doc + "/copyright")
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("read %s/copyright: larger than %d bytes", doc, maxText)
	}
	return text, "", err
}

// linkedPackage is the package whose folder below usr/share/doc a link leads to.
func linkedPackage(name, target string) string {
	if !path.IsAbs(target) {
		target = path.Join("/", path.Dir(name), target)
	}
	rest, ok := strings.CutPrefix(path.Clean(target), "/usr/share/doc/")
	if !ok {
		return ""
	}
	pkg, _, _ := strings.Cut(rest, "/")
	return pkg
}

// Debian is the licence that a package's copyright file says: of the licences of
// all its files, packaging aside, where the file is machine-readable (DEP-5,
// https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/).
func Debian(pkg string, text []byte) Licence {
	c, err := ParseCopyright(strings.NewReader(string(text)))
	if err != nil {
		return unknown(pkg, "usr/share/doc/"+pkg+"/copyright is not machine-readable: read it there")
	}
	var terms, odd []string
	for _, s := range c.stanzas() {
		term, names := c.expression(pkg, s)
		terms = append(terms, term)
		odd = append(odd, names...)
	}
	if len(terms) == 0 {
		return unknown(pkg, "usr/share/doc/"+pkg+"/copyright names no licence: read it there")
	}
	l := Licence{SPDX: join(" AND ", terms)}
	if odd = sortedOnce(odd); len(odd) > 0 {
		l.Note = "usr/share/doc/" + pkg + "/copyright calls them: " + strings.Join(odd, ", ")
	}
	return l
}

func unknown(pkg, note string) Licence {
	return Licence{SPDX: ref("Debian-" + pkg), Note: note}
}

// ref is a licence that SPDX does not list (annex D.2: letters, digits, - and .).
func ref(name string) string {
	return "LicenseRef-" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		case r == '+':
			return 'x' // libstdc++6
		}
		return '-'
	}, name)
}

// join puts terms together, each once, in order, with brackets where they are
// needed: AND binds closer than OR.
func join(operator string, terms []string) string {
	terms = sortedOnce(terms)
	if operator == " AND " && len(terms) > 1 {
		for i, t := range terms {
			if strings.Contains(t, " OR ") && !strings.HasPrefix(t, "(") {
				terms[i] = "(" + t + ")"
			}
		}
		// A term that is itself a row of ANDs gives its parts.
		var flat []string
		for _, t := range terms {
			if strings.Contains(t, "(") {
				flat = append(flat, t)
				continue
			}
			flat = append(flat, strings.Split(t, " AND ")...)
		}
		terms = sortedOnce(flat)
	}
	return strings.Join(terms, operator)
}

func sortedOnce(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
