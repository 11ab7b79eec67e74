package initrd

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/lock"
)

// Extra is what an image carries beyond its manifest's lists: NVIDIA's driver
// and the compat root. The zero Extra is nothing.
type Extra struct {
	Compat   []File       // below bom.CompatDir
	Modules  []File       // below bom.DriverDir, in the order in which they are loaded
	Firmware []File       // below lib/firmware
	Inputs   []lock.Entry // what all of it was made of
	Driver   *bom.NVIDIA  // Modules is filled in; nil: no driver
}

// withDriver is the variant with what NVIDIA's driver brings along: commands,
// modules of the kernel's own that it depends on, RAM.
func (v Variant) withDriver(depends []string) Variant {
	v.Modules = slices.Concat(v.Modules, depends)
	v.Node = slices.Clone(v.Node)
	for _, c := range v.ForNVIDIA {
		if !slices.Contains(v.Node, c) {
			v.Node = append(v.Node, c)
		}
	}
	v.Budget += v.NVIDIABudget
	return v
}

// File is one file or link of an image.
type File struct {
	Path   string // relative to the image's root
	Source string // file of this machine; empty for a link
	Link   string // target
	Exec   bool
}

// add puts the compat root, which compresses well, into packed, and what is
// compressed in itself into raw.
func (x Extra) add(packed, raw *tree, b *bom.BOM) error {
	for _, part := range []struct {
		files []File
		into  *tree
		base  string
		list  *[]bom.Blob
	}{
		{x.Compat, packed, bom.CompatDir, &b.Compat},
		{x.Modules, raw, bom.DriverDir, new([]bom.Blob)},
		{x.Firmware, raw, "lib/firmware", &b.Firmware},
	} {
		for _, f := range part.files {
			blob, err := f.add(part.into, part.base)
			if err != nil {
				return fmt.Errorf("add %s: %w", f.Path, err)
			}
			if f.Link == "" {
				*part.list = append(*part.list, blob)
			}
		}
		if part.base == bom.DriverDir && x.Driver != nil {
			driver := *x.Driver
			driver.Modules = *part.list
			b.NVIDIA = &driver
		}
	}
	b.Inputs = append(b.Inputs, inputs(x.Inputs)...)
	return nil
}

func (f File) add(t *tree, base string) (bom.Blob, error) {
	// /usr/lib is a link to /lib in an image, and an archive is unpacked in order.
	name := f.Path
	if rest, ok := strings.CutPrefix(name, "usr/lib/"); ok {
		name = path.Join("lib", rest)
	}
	if f.Link != "" {
		return bom.Blob{}, t.add(link(name, f.Link))
	}
	mode := uint64(0o644)
	if f.Exec {
		mode = 0o755
	}
	text, err := os.ReadFile(f.Source)
	if err != nil {
		return bom.Blob{}, err
	}
	return bom.Blob{Path: strings.TrimPrefix(f.Path, base+"/"), Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256(text))},
		t.add(node{path: name, mode: typeFile | mode, source: f.Source})
}
