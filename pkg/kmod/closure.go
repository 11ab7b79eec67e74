package kmod

import (
	"errors"
	"fmt"
)

// Closure gives the names and everything that has to be loaded before them,
// each once, in an order in which they can be loaded: hard dependencies, and
// the soft ones marked "pre" that exist. Built-in names are left out. The
// error names every unknown name and wraps ErrNotFound; the list holds the
// others nevertheless.
func (x *Index) Closure(names ...string) ([]string, error) {
	w := walk{x: x, state: make(map[string]bool)}
	var errs []error
	for _, n := range names {
		n = Normalize(n)
		if x.builtin[n] {
			continue
		}
		if _, ok := x.byName[n]; !ok {
			errs = append(errs, fmt.Errorf("find module %q: %w", n, ErrNotFound))
			continue
		}
		w.add(n)
	}
	return w.order, errors.Join(errs...)
}

// walk adds modules after what they need.
type walk struct {
	x     *Index
	state map[string]bool // seen; true once in order
	order []string
}

func (w *walk) add(name string) {
	if _, seen := w.state[name]; seen {
		return // done, or a cycle: soft dependencies may form one
	}
	w.state[name] = false
	i, ok := w.x.byName[name]
	if !ok {
		return
	}
	pre, _ := w.x.Soft(name)
	for _, p := range pre {
		for _, m := range w.x.Resolve(p) {
			w.add(m)
		}
	}
	deps := w.x.modules[i].deps
	for j := len(deps) - 1; j >= 0; j-- {
		w.add(deps[j])
	}
	w.state[name] = true
	w.order = append(w.order, name)
}
