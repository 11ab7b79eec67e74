package licence

import (
	"context"
	"fmt"
	"slices"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// Inputs makes the manifest's inputs of pinned packages, each with its licence.
// Their roles are the groups of bee.lock they belong to, and those given, such
// as manifest.RoleImage or manifest.RoleTool. arch is that of packages in which the documentation of one for all architectures
// is looked up.
func Inputs(ctx context.Context, l *lock.File, store Store, arch string, entries []lock.Entry, roles ...string) ([]manifest.Input, error) {
	var list []manifest.Input
	for _, e := range entries {
		of := e.Arch
		if of == "all" {
			of = arch
		}
		found, err := OfEntry(ctx, l, store, e, of)
		if err != nil {
			return nil, err
		}
		list = append(list, manifest.InputOf(e, found.SPDX, found.Note, slices.Concat(e.Groups, roles)...))
	}
	return list, nil
}

// Used are the entries of the lock that an image was made of.
func Used(l *lock.File, b bom.BOM) ([]lock.Entry, error) {
	bySum := make(map[string]lock.Entry)
	for _, e := range l.Entries {
		bySum[e.SHA256] = e
	}
	var list []lock.Entry
	for _, i := range b.Inputs {
		e, ok := bySum[i.SHA256]
		if !ok {
			return nil, fmt.Errorf("find input %s %s (%s) of the image: %s does not pin it; build the image anew", i.Name, i.Version, i.Arch, lock.Name)
		}
		list = append(list, e)
	}
	return list, nil
}

// Modules makes the manifest's Go modules, each with the licence that lies in
// the module cache (see ModuleCache).
func Modules(cache string, mods []bom.GoMod) ([]manifest.GoModule, error) {
	var list []manifest.GoModule
	for _, g := range mods {
		dir, err := ModuleDir(cache, g.Path, g.Version)
		if err != nil {
			return nil, err
		}
		found, err := Module(dir, g.Path)
		if err != nil {
			return nil, err
		}
		list = append(list, manifest.ModuleOf(g, found.SPDX, found.Note))
	}
	return list, nil
}
