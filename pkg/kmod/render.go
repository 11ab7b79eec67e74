package kmod

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
)

// Module is one module of a kernel package as the builder sees it: its place
// and what it says of itself.
type Module struct {
	Path string // relative to the directory of the tables
	Modinfo
}

// Tables are the files that Open and OpenHints read, by name.
type Tables map[string][]byte

// Render makes the tables for an image that holds the modules at the paths in
// image, where all are the modules of the kernel package, in its own order
// (modules.order). A dependency outside the image is an error; builtin is
// taken over as modules.builtin.
//
// image maps a module's name to its path in the image, which differs from the
// package's where the module is stored raw.
func Render(all []Module, image map[string]string, builtin []byte) (Tables, error) {
	r := renderer{all: all, image: image, byName: make(map[string]*Module, len(all))}
	for i := range all {
		name, ok := NameOf(all[i].Path)
		if !ok {
			return nil, fmt.Errorf("render module tables: %q is not a module's file", all[i].Path)
		}
		r.byName[name] = &all[i]
	}
	dep, err := r.dep()
	if err != nil {
		return nil, fmt.Errorf("render module tables: %w", err)
	}
	hints, err := r.hints()
	if err != nil {
		return nil, fmt.Errorf("render module hints: %w", err)
	}
	t := Tables{
		"modules.dep":     dep,
		"modules.alias":   append([]byte(sortedMark), r.aliases(true)...),
		"modules.softdep": r.softdep(),
		"modules.builtin": builtin,
	}
	if hints != nil {
		t[hintsName] = hints
	}
	return t, nil
}

type renderer struct {
	all    []Module
	image  map[string]string
	byName map[string]*Module
}

// each calls f for every module, in order, that is in the image (or is not).
func (r *renderer) each(in bool, f func(name string, m *Module)) {
	for i := range r.all {
		name, _ := NameOf(r.all[i].Path)
		if _, ok := r.image[name]; ok == in {
			f(name, &r.all[i])
		}
	}
}

// dep writes each module's whole closure behind it, the module loaded first at
// the end, as depmod does.
func (r *renderer) dep() ([]byte, error) {
	var b bytes.Buffer
	var err error
	r.each(true, func(name string, m *Module) {
		if err != nil {
			return
		}
		var order []string
		if err = r.visit(name, name, map[string]bool{}, &order); err != nil {
			return
		}
		b.WriteString(r.image[name] + ":")
		for i := len(order) - 2; i >= 0; i-- { // the last one is the module itself
			b.WriteString(" " + r.image[order[i]])
		}
		b.WriteByte('\n')
	})
	return b.Bytes(), err
}

func (r *renderer) visit(root, name string, seen map[string]bool, order *[]string) error {
	if seen[name] {
		return nil
	}
	seen[name] = true
	m, ok := r.byName[name]
	if !ok {
		return fmt.Errorf("module %s needs %s, which the kernel package lacks", root, name)
	}
	if _, ok := r.image[name]; !ok {
		return fmt.Errorf("module %s needs %s, which is not in the image", root, name)
	}
	for _, d := range m.Depends {
		if err := r.visit(root, d, seen, order); err != nil {
			return err
		}
	}
	*order = append(*order, name)
	return nil
}

// aliases writes the alias lines of the modules in the image (or of those that
// are not), ready for searching.
func (r *renderer) aliases(in bool) []byte {
	var lines []string
	r.each(in, func(name string, m *Module) {
		for _, a := range m.Alias {
			// The kernel's modules hold no blanks in an alias, and one could not
			// be written in this format. Only a device's modalias has a colon:
			// nothing else is looked up in the hints.
			if a != "" && !strings.ContainsAny(a, " \t\n") && (in || strings.Contains(a, ":")) {
				lines = append(lines, aliasWord+normalizeAlias(a)+" "+name+"\n")
			}
		}
	})
	slices.Sort(lines)
	return []byte(strings.Join(slices.Compact(lines), ""))
}

func (r *renderer) softdep() []byte {
	var b bytes.Buffer
	r.each(true, func(name string, m *Module) {
		if len(m.SoftPre)+len(m.SoftPost) == 0 {
			return
		}
		b.WriteString("softdep " + name)
		if len(m.SoftPre) > 0 {
			b.WriteString(" pre: " + strings.Join(m.SoftPre, " "))
		}
		if len(m.SoftPost) > 0 {
			b.WriteString(" post: " + strings.Join(m.SoftPost, " "))
		}
		b.WriteByte('\n')
	})
	return b.Bytes()
}

// hints covers the modules that are not in the image and that a device can ask
// for; nil where there are none.
func (r *renderer) hints() ([]byte, error) {
	aliases := r.aliases(false)
	if len(aliases) == 0 {
		return nil, nil
	}
	var firmware []string
	r.each(false, func(name string, m *Module) {
		if len(m.Firmware) > 0 && len(m.Alias) > 0 {
			files := slices.Clone(m.Firmware)
			slices.SortFunc(files, cmp.Compare)
			firmware = append(firmware, "firmware "+name+" "+strings.Join(slices.Compact(files), " ")+"\n")
		}
	})
	slices.Sort(firmware)
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	for _, part := range append(firmware, string(aliases)) {
		if _, err := z.Write([]byte(part)); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
