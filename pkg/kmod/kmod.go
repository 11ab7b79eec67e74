// Package kmod reads the tables that describe a kernel's loadable modules:
// modules.dep, modules.alias, modules.softdep, modules.builtin (man 5
// modules.dep, depmod.d). The builder selects modules with it and writes the
// tables of an image, the node loads modules with it. It touches no kernel.
//
// Names: a module's name is its file name without directory and suffix, with
// '-' written as '_' (Normalize). Paths are relative to the directory of the
// tables, such as kernel/drivers/net/virtio_net.ko.xz.
//
// Opening is cheap, because it happens on the way to the first SSH session:
// the alias table, by far the largest, is searched where it lies and never
// turned into a map.
package kmod

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ErrNotFound is wrapped by errors about a name that is neither a module nor
// built in.
var ErrNotFound = errors.New("no such module")

// ModprobePath is where an image has its modprobe(8): not among the other
// commands, whose folder is /sbin too. The kernel starts /sbin/modprobe two dozen
// times while it initialises itself, as soon as the initramfs is unpacked, and
// waits for each (kernel/module/kmod.c). The node links it there when it is up. Nor is
// that a way to start anything before PID 1: a program that ran on beside the kernel's
// initialisation ended one boot of a few hundred, under emulation, in a kernel panic.
const ModprobePath = "lib/bee/modprobe"

// Index answers questions about the modules of one kernel. It is safe for
// concurrent use.
type Index struct {
	modules []module       // in the order of modules.dep
	byName  map[string]int // index into modules
	alias   aliasTable
	soft    map[string]softdep
	builtin map[string]bool
}

// module is one line of modules.dep.
type module struct {
	name string
	path string
	deps []string // names of everything it needs, in the order of the file: loaded from the last to the first
}

// softdep is what modules.softdep says about one module.
type softdep struct{ pre, post []string }

// Open reads modules.dep, modules.alias, modules.softdep and modules.builtin
// below dir of fsys ("lib/modules/6.12.1"). Only modules.dep has to exist; an
// error names the file and the line.
func Open(fsys fs.FS, dir string) (*Index, error) {
	x := &Index{}
	for _, f := range []struct {
		name  string
		must  bool
		parse func(*Index, string) error
	}{
		{"modules.dep", true, (*Index).parseDep},
		{"modules.alias", false, (*Index).parseAlias},
		{"modules.softdep", false, (*Index).parseSoftdep},
		{"modules.builtin", false, (*Index).parseBuiltin},
	} {
		b, err := fs.ReadFile(fsys, path.Join(dir, f.name))
		if errors.Is(err, fs.ErrNotExist) && !f.must {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("open module index: %w", err)
		}
		if err := f.parse(x, string(b)); err != nil {
			return nil, fmt.Errorf("parse %s: %w", path.Join(dir, f.name), err)
		}
	}
	return x, nil
}

// Normalize gives the kernel's spelling of a module name: '-' becomes '_', as
// in /proc/modules.
func Normalize(name string) string {
	return strings.ReplaceAll(name, "-", "_")
}

// NameOf gives the name of the module in the file p: directory and the
// suffixes .ko, .ko.xz, .ko.zst and .ko.gz are removed. ok is false where p is
// not a module's file.
func NameOf(p string) (name string, ok bool) {
	base := p[strings.LastIndexByte(p, '/')+1:]
	i := strings.LastIndex(base, ".ko")
	if i <= 0 {
		return "", false
	}
	switch base[i+len(".ko"):] {
	case "", ".xz", ".zst", ".gz":
		return Normalize(base[:i]), true
	}
	return "", false
}

// Modules are the names of all modules, in the order of modules.dep.
func (x *Index) Modules() []string {
	names := make([]string, len(x.modules))
	for i, m := range x.modules {
		names[i] = m.name
	}
	return names
}

// Builtin says whether name is part of the kernel image itself
// (modules.builtin).
func (x *Index) Builtin(name string) bool {
	return x.builtin[Normalize(name)]
}

// Path is the file of a module, relative to the directory of the tables.
func (x *Index) Path(name string) (string, bool) {
	i, ok := x.byName[Normalize(name)]
	if !ok {
		return "", false
	}
	return x.modules[i].path, true
}

// Deps are the modules that must be loaded before name can be. What another of
// them already needs is left out, so this is the shortest list that gives a
// correct order; it is empty for an unknown name.
func (x *Index) Deps(name string) []string {
	i, ok := x.byName[Normalize(name)]
	if !ok {
		return nil
	}
	all := x.modules[i].deps
	var direct []string
	for _, d := range all {
		if !x.neededByOther(d, all) {
			direct = append(direct, d)
		}
	}
	return direct
}

// neededByOther says whether one of all needs the module d. Two modules that
// need each other (a broken table) both count as direct.
func (x *Index) neededByOther(d string, all []string) bool {
	for _, o := range all {
		if o == d {
			continue
		}
		i, ok := x.byName[o]
		if ok && slices.Contains(x.modules[i].deps, d) && !x.needs(d, o) {
			return true
		}
	}
	return false
}

func (x *Index) needs(name, dep string) bool {
	i, ok := x.byName[name]
	return ok && slices.Contains(x.modules[i].deps, dep)
}

// Soft gives what modules.softdep wants loaded before and after a module,
// where it exists. The entries may be aliases: Resolve finds the modules.
func (x *Index) Soft(name string) (pre, post []string) {
	s := x.soft[Normalize(name)]
	return s.pre, s.post
}

// Resolve gives the modules that a name stands for: itself, or what an alias
// such as "crypto-crc32c" or "fs-ext4" leads to. A built-in or unknown name
// gives none.
func (x *Index) Resolve(name string) []string {
	n := Normalize(name)
	if _, ok := x.byName[n]; ok {
		return []string{n}
	}
	if x.builtin[n] {
		return nil
	}
	return x.Lookup(name)
}
