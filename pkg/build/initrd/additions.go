package initrd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/busybox"
	"github.com/bee-os/bee/pkg/build/nearest"
)

// Additions is what somebody wants in an image besides what its manifest
// names. The zero value is nothing. The manifest's RAM budget holds for all of
// it, and the bill of materials names each.
type Additions struct {
	Commands []string // of cmds/node, else of u-root's core
	Modules  []string // as in a manifest: names, or folders below kernel/ that end in '/'
	Firmware []string // lists in firmware-list/
	Files    []AddedFile
}

// AddedFile is one further file of an image.
type AddedFile struct {
	Source string      // file of this machine
	Path   string      // in the image, relative to its root
	Mode   fs.FileMode // permissions; set-user-id and its kin are refused
}

// with is the variant with what the additions name. What the manifest has
// already is not added twice.
func (v Variant) with(ctx context.Context, root string, a Additions) (Variant, error) {
	if len(a.Commands) > 0 {
		if err := v.addCommands(ctx, root, a.Commands); err != nil {
			return v, fmt.Errorf("add commands: %w", err)
		}
	}
	v.Modules = merge(v.Modules, a.Modules)
	v.Firmware = merge(v.Firmware, a.Firmware)
	return v, nil
}

// merge gives a list with what of more it has not.
func merge(list, more []string) []string {
	list = slices.Clone(list)
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

func (v *Variant) addCommands(ctx context.Context, root string, commands []string) error {
	core, err := busybox.List(ctx, root, coreDir)
	if err != nil {
		return err
	}
	node, err := nodeCommands(root)
	if err != nil {
		return err
	}
	have := slices.Concat(v.Core, v.Node)
	var errs []error
	var resolve []string
	v.Core, v.Node = slices.Clone(v.Core), slices.Clone(v.Node)
	for _, c := range commands {
		switch {
		case slices.Contains(have, c):
			continue
		case slices.Contains(node, c):
			v.Node = append(v.Node, c)
		case slices.Contains(core, c):
			v.Core = append(v.Core, c)
			resolve = append(resolve, coreDir+"/"+c)
		default:
			errs = append(errs, fmt.Errorf("%s: neither %s nor u-root's core has such a command%s", c, nodeDir, nearest.Suggest(c, slices.Concat(node, core))))
		}
		have = append(have, c)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return busybox.Resolve(ctx, root, resolve)
}

func nodeCommands(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, nodeDir, "*", "main.go"))
	for i, f := range files {
		files[i] = filepath.Base(filepath.Dir(f))
	}
	return files, err
}

// mounted are the folders that a boot hides below a file system of its own
// (pkg/node/bringup).
var mounted = []string{"dev", "proc", "run", "sys", "tmp"}

// addFiles adds the further files to the tree into; others are the image's
// other trees, whose files are not replaced.
func (a Additions) addFiles(into *tree, others []*tree, b *bom.BOM) error {
	for _, f := range a.Files {
		blob, err := f.add(into, others)
		if err != nil {
			return fmt.Errorf("add file %s as /%s: %w", f.Source, f.Path, err)
		}
		b.Files = append(b.Files, blob)
	}
	slices.SortFunc(b.Files, func(x, y bom.Blob) int { return strings.Compare(x.Path, y.Path) })
	return nil
}

func (f AddedFile) add(into *tree, others []*tree) (bom.Blob, error) {
	if !fs.ValidPath(f.Path) || f.Path == "." {
		return bom.Blob{}, errors.New("the path must name a file below the image's root")
	}
	name := throughLinks(f.Path)
	if top, _, _ := strings.Cut(name, "/"); slices.Contains(mounted, top) {
		return bom.Blob{}, fmt.Errorf("a boot mounts a file system over /%s, which would hide the file", top)
	}
	if f.Mode&^fs.ModePerm != 0 {
		return bom.Blob{}, fmt.Errorf("mode %v: an image gives away no set-user-id, set-group-id or sticky bit", f.Mode)
	}
	if err := free(name, into, others); err != nil {
		return bom.Blob{}, err
	}
	fi, err := os.Stat(f.Source)
	if err != nil {
		return bom.Blob{}, err
	}
	if !fi.Mode().IsRegular() {
		return bom.Blob{}, errors.New("the source is not a regular file")
	}
	text, err := os.ReadFile(f.Source)
	if err != nil {
		return bom.Blob{}, err
	}
	if text == nil {
		text = []byte{}
	}
	return bom.Blob{Path: name, Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256(text))},
		into.add(node{path: name, mode: typeFile | uint64(f.Mode), text: text})
}

// throughLinks is a path with the layout's links to folders followed, as the
// kernel follows them when it unpacks: /usr/bin/x is /bin/x.
func throughLinks(name string) string {
	for {
		before := name
		for _, n := range layout {
			if rest, ok := strings.CutPrefix(name, n.path+"/"); ok && n.mode&typeMask == typeLink {
				to := string(n.text)
				if !path.IsAbs(to) {
					to = path.Join(path.Dir(n.path), to)
				}
				name = path.Join(strings.TrimPrefix(to, "/"), rest)
			}
		}
		if name == before {
			return name
		}
	}
}

// free makes sure that a path is not taken and that all above it are folders.
// Those that other trees have are not made again: to make one again would set
// its owner and permissions.
func free(name string, into *tree, others []*tree) error {
	types := make(map[string]uint64)
	for _, t := range append(slices.Clone(others), into) {
		for _, n := range t.nodes {
			types[n.path] = n.mode & typeMask
		}
	}
	types[bom.Path] = typeFile // comes last
	if _, taken := types[name]; taken {
		return errors.New("the image has it already, and it is not replaced")
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		switch typ, is := types[dir]; {
		case is && typ != typeDir:
			return fmt.Errorf("/%s is no folder in the image", dir)
		case is:
			if into.seen == nil {
				into.seen = make(map[string]bool)
			}
			into.seen[dir] = true
		}
	}
	return nil
}
