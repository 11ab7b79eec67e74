// Package compat puts together the compat root: the glibc programs of an image
// that are not ours or need a library that is not, and every library that they
// load, in one folder that the static system around it never looks into. What
// goes in follows from the programs' own ELF headers (elf(5), ld.so(8)): a
// library or a symbol version that nothing provides fails the build, by name.
package compat

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
)

// Tree is one unpacked package.
type Tree struct {
	Package string // for messages
	Dir     string
}

// Config is what a root is made of.
type Config struct {
	Machine   elf.Machine
	Trees     []Tree            // where libraries are looked for, in this order
	Programs  map[string]string // name in the root's bin → file on this machine
	Served    map[string]string // programs that lie elsewhere in the image and are started through the root's loader; static ones need nothing
	Libraries []string          // sonames that programs open at run time, which no header tells
}

// File is one entry of an image: a file of this machine, or a link.
type File struct {
	Path   string // relative to the image's root
	Source string // file; empty for a link
	Link   string // target
	Exec   bool
}

// library is one that the packages have.
type library struct {
	file     string // on this machine
	pkg      string
	needs    []string
	provides map[string]bool // symbol versions, where it has any
}

// builder collects a root.
type builder struct {
	Config
	index map[string]*library // by soname
	have  map[string]bool     // sonames
	files []File
	errs  []error
}

// Build computes the root. The error names everything that is missing and who
// wants it.
func Build(c Config) ([]File, error) {
	b := &builder{Config: c, index: make(map[string]*library), have: make(map[string]bool)}
	for _, t := range c.Trees {
		if err := b.read(t); err != nil {
			return nil, fmt.Errorf("look for libraries in %s: %w", t.Package, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Programs)) {
		b.program(name, c.Programs[name], true)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Served)) {
		b.program(name, c.Served[name], false)
	}
	for _, soname := range c.Libraries {
		b.library(soname, "a program that opens it at run time")
	}
	if len(b.errs) > 0 {
		return nil, fmt.Errorf("put the compat root together: %w; name the package in a group of bee.lock and run `go tool mage lock`", errors.Join(b.errs...))
	}
	slices.SortFunc(b.files, func(x, y File) int { return strings.Compare(x.Path, y.Path) })
	return b.files, nil
}

// read adds the libraries of a package to the index. The first package that has
// a soname gives it.
func (b *builder) read(t Tree) error {
	return filepath.WalkDir(filepath.Join(t.Dir, "usr/lib"), func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && d == nil {
			return nil // a package without libraries
		}
		if err != nil || !d.Type().IsRegular() || !isLibrary(d.Name()) {
			return err
		}
		f, err := elf.Open(name)
		if err != nil {
			return nil // text, as libc.so of a -dev package is
		}
		defer f.Close()
		if f.Machine != b.Machine {
			return nil
		}
		soname := d.Name()
		if s, err := f.DynString(elf.DT_SONAME); err == nil && len(s) == 1 {
			soname = s[0]
		}
		if b.index[soname] != nil {
			return nil
		}
		l := &library{file: name, pkg: t.Package, provides: make(map[string]bool)}
		if l.needs, err = f.ImportedLibraries(); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if versions, err := f.DynamicVersions(); err == nil {
			for _, v := range versions {
				l.provides[v.Name] = true
			}
		}
		b.index[soname] = l
		return nil
	})
}

// isLibrary says that a file is called as a library is: libm.so.6, ld-linux-….
func isLibrary(name string) bool {
	return strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.")
}

// interpreter is the loader that a program asks for (PT_INTERP); empty for one
// that is static.
func interpreter(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(p.Open())
		return strings.TrimRight(string(text), "\x00"), err
	}
	return "", nil
}

// program adds what a program's header names, and the program too where it
// lives here.
func (b *builder) program(name, file string, here bool) {
	f, err := elf.Open(file)
	if err != nil {
		b.fail("read program %s: %w", name, err)
		return
	}
	defer f.Close()
	if f.Machine != b.Machine {
		b.fail("program %s is for %v and the image for %v", name, f.Machine, b.Machine)
		return
	}
	loader, err := interpreter(f)
	if err != nil {
		b.fail("read program %s: %w", name, err)
		return
	}
	if loader == "" {
		if here {
			b.fail("program %s is static and has no place in the compat root", name)
		}
		return
	}
	if here {
		b.files = append(b.files, File{Path: path.Join(bom.CompatDir, "bin", name), Source: file, Exec: true})
	}
	b.library(path.Base(loader), name)
	b.needs(f, name)
}

// library adds the one with a soname, and what that needs.
func (b *builder) library(soname, who string) {
	if b.have[soname] {
		return
	}
	b.have[soname] = true
	l := b.index[soname]
	if l == nil {
		b.fail("%s needs the library %s, and no package has it", who, soname)
		return
	}
	file := filepath.Base(l.file)
	dir := path.Join(bom.CompatDir, "lib")
	b.files = append(b.files, File{Path: path.Join(dir, file), Source: l.file, Exec: true})
	if file != soname {
		b.files = append(b.files, File{Path: path.Join(dir, soname), Link: file})
	}
	f, err := elf.Open(l.file)
	if err != nil {
		b.fail("read library %s: %w", soname, err)
		return
	}
	defer f.Close()
	b.needs(f, soname+" ("+l.pkg+")")
}

// needs adds what a file's header names, and checks that each library has the
// symbol versions that are wanted of it.
func (b *builder) needs(f *elf.File, who string) {
	list, err := f.ImportedLibraries()
	if err != nil {
		b.fail("read what %s needs: %w", who, err)
		return
	}
	for _, soname := range list {
		b.library(soname, who)
	}
	wanted, err := f.DynamicVersionNeeds()
	if err != nil {
		return // a file without versions
	}
	for _, w := range wanted {
		l := b.index[w.Name]
		if l == nil || len(l.provides) == 0 {
			continue // missing and told already, or made without versions
		}
		for _, v := range w.Needs {
			if weak := v.Flags&elf.VER_FLG_WEAK != 0; !weak && !l.provides[v.Dep] {
				b.fail("%s needs %s of %s, and that of %s has no such version", who, v.Dep, w.Name, l.pkg)
			}
		}
	}
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}
