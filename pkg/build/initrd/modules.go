package initrd

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/firmware"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/kmod"
)

// loadList is the file beside the tables that names the modules which are
// loaded whether or not a device asks for them, one a line.
const loadList = "bee.load"

// selection is the modules of an image.
type selection struct {
	names    []string // with everything they need, sorted
	declared []firmware.Declared
	list     []bom.Module
}

// selectModules finds the modules that the variant names, with what they need.
func selectModules(k *kernel.Kernel, v Variant) (selection, error) {
	g, err := newGraph(k)
	if err != nil {
		return selection{}, err
	}
	var errs []error
	without := make(map[string]bool)
	for _, w := range v.Without {
		names := g.expand(w)
		if len(names) == 0 {
			errs = append(errs, fmt.Errorf("without %s: kernel %s has no such module or folder", w, k.Release))
		}
		for _, name := range names {
			without[name] = true
		}
	}
	for _, want := range append(slices.Concat(v.Modules, v.Load), v.Raw...) {
		names := g.expand(want)
		if len(names) == 0 && !g.builtin[kmod.Normalize(want)] {
			errs = append(errs, fmt.Errorf("%s: kernel %s has no such module or folder", want, k.Release))
		}
		for _, name := range names {
			if !without[name] {
				g.add(name)
			}
		}
	}
	for _, pair := range slices.Concat(v.After, v.Before) {
		name, companion, ok := strings.Cut(pair, ":")
		if !ok || !g.has(name) || !g.has(companion) {
			errs = append(errs, fmt.Errorf("load-after or load-before %s: write module:companion, both of kernel %s", pair, k.Release))
		} else if g.chosen[name] {
			g.add(companion)
		}
	}
	if len(errs) > 0 {
		return selection{}, fmt.Errorf("select modules for %s: %w; correct initramfs/%s.manifest; what one architecture alone has goes into a field of its own, such as Modules-amd64", v.Name, errors.Join(errs...), v.Name)
	}
	var s selection
	for name := range g.chosen {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	for _, name := range s.names {
		for _, f := range g.mods[name].Firmware {
			s.declared = append(s.declared, firmware.Declared{Module: name, Pattern: f})
		}
	}
	return s, nil
}

// graph is the kernel package's modules by name.
type graph struct {
	mods    map[string]*kmod.Module
	order   []string
	builtin map[string]bool
	alias   map[string][]string // by exact alias, such as crypto_crc32c: no pattern
	chosen  map[string]bool
}

func newGraph(k *kernel.Kernel) (*graph, error) {
	g := &graph{
		mods: make(map[string]*kmod.Module), builtin: make(map[string]bool),
		alias: make(map[string][]string), chosen: make(map[string]bool),
	}
	for i := range k.Modules {
		name, ok := kmod.NameOf(k.Modules[i].Path)
		if !ok {
			return nil, fmt.Errorf("select modules: %q is not a module's file", k.Modules[i].Path)
		}
		g.mods[name] = &k.Modules[i]
		g.order = append(g.order, name)
		for _, a := range k.Modules[i].Alias {
			if !strings.ContainsAny(a, "*?[") {
				a = kmod.Normalize(a)
				g.alias[a] = append(g.alias[a], name)
			}
		}
	}
	builtin, err := k.Builtin()
	if err != nil {
		return nil, fmt.Errorf("select modules: %w", err)
	}
	for line := range strings.Lines(string(builtin)) {
		if name, ok := kmod.NameOf(strings.TrimSpace(line)); ok {
			g.builtin[name] = true
		}
	}
	return g, nil
}

// has says whether the kernel has the module, built in or not.
func (g *graph) has(name string) bool { return g.mods[name] != nil || g.builtin[name] }

// expand gives the modules that a word of a manifest means.
func (g *graph) expand(word string) []string {
	if !strings.HasSuffix(word, "/") {
		name := kmod.Normalize(word)
		if g.mods[name] == nil {
			return nil
		}
		return []string{name}
	}
	var names []string
	for _, name := range g.order {
		if strings.HasPrefix(g.mods[name].Path, "kernel/"+word) {
			names = append(names, name)
		}
	}
	return names
}

// add chooses a module, what it needs, and what it wants before it where that
// exists: a module, or whatever goes by that alias (modprobe.d(5), softdep), as
// libcrc32c wants a crc32c of the kernel's cryptography.
func (g *graph) add(name string) {
	m := g.mods[name]
	if m == nil || g.chosen[name] {
		return
	}
	g.chosen[name] = true
	for _, d := range m.Depends {
		g.add(kmod.Normalize(d))
	}
	for _, d := range m.SoftPre {
		d = kmod.Normalize(d)
		if g.has(d) {
			g.add(d)
			continue
		}
		for _, provider := range g.alias[d] {
			g.add(provider)
		}
	}
}

// addModules puts the selected modules and their tables into the trees: raw
// ones and the tables into first, which is unpacked first; the rest into rest.
func addModules(k *kernel.Kernel, v Variant, s *selection, first, rest *tree) error {
	dir := path.Join("lib/modules", k.Release)
	g, err := newGraph(k)
	if err != nil {
		return err
	}
	raw := make(map[string]bool)
	for _, r := range v.Raw {
		raw[kmod.Normalize(r)] = true
	}
	image := make(map[string]string)
	for _, name := range s.names {
		p := g.mods[name].Path
		file := path.Join(k.Dir, p)
		t := rest
		if raw[name] {
			if file, p, err = k.Raw(p); err != nil {
				return err
			}
			t = first
		}
		if err := t.add(node{path: path.Join(dir, p), mode: typeFile | 0o644, source: file}); err != nil {
			return err
		}
		image[name] = p
		s.list = append(s.list, bom.Module{Name: name, Path: p})
	}
	builtin, err := k.Builtin()
	if err != nil {
		return err
	}
	tables, err := kmod.Render(k.Modules, image, builtin)
	if err != nil {
		return err
	}
	if len(v.Load) > 0 {
		tables[loadList] = []byte(strings.Join(v.Load, "\n") + "\n")
	}
	for _, rule := range []struct {
		when  string
		pairs []string
	}{{"pre", v.Before}, {"post", v.After}} {
		for _, pair := range rule.pairs {
			name, companion, _ := strings.Cut(pair, ":") // the selection checked it
			if image[name] != "" && image[companion] != "" {
				tables["modules.softdep"] = fmt.Appendf(tables["modules.softdep"], "softdep %s %s: %s\n", name, rule.when, companion)
			}
		}
	}
	for _, name := range sortedKeys(tables) {
		if err := first.add(node{path: path.Join(dir, name), mode: typeFile | 0o644, text: tables[name]}); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
