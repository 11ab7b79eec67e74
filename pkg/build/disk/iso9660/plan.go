package iso9660

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/disk"
)

// node is a file or a folder.
type node struct {
	name   string // as Rock Ridge has it
	id     string // as ECMA-119 does, without version
	parent *node  // nil: the root, which is its own
	kids   []*node
	file   disk.File
	folder bool
	number int   // of a folder in the path tables, from 1
	block  int64 // of the content, in the image
	second int64 // of a folder: of its copy for the partition
	bytes  int64 // of the content
}

// plan is an image laid out.
type plan struct {
	Image
	folders   []*node  // as the path tables have them
	files     []*node  // by path
	tables    [4]int64 // blocks: both byte orders for the image, then for the partition
	tableSize int64    // bytes
	more      int64    // block of what the root's first entry has no room for
	catalogue int64    // block of El Torito's
	boot      *node
	layout    Layout
}

func (v Image) plan() (*plan, error) {
	p := &plan{Image: v}
	if err := p.check(); err != nil {
		return nil, err
	}
	root, err := p.tree()
	if err != nil {
		return nil, err
	}
	p.list(root)
	p.place()
	return p, nil
}

func (v Image) check() error {
	switch year := v.Time.UTC().Year(); {
	case len(v.Name) > 32 || !plain(v.Name):
		return fmt.Errorf("volume name %q is more than 32 characters, or others than A-Z, 0-9 and _", v.Name)
	case len(v.Application) > 128 || !plain(v.Application):
		return fmt.Errorf("application %q is more than 128 characters, or others than A-Z, 0-9 and _", v.Application)
	case year < 1900 || year > 2155:
		return fmt.Errorf("the year %d cannot be said; 1900 to 2155 can", year)
	case v.EFI < 0 || v.EFI%Sector != 0 || v.EFI > maxEFI:
		return fmt.Errorf("a FAT volume of %d bytes is not a multiple of %d, or larger than the %d that El Torito can say", v.EFI, Sector, maxEFI)
	case v.Tail < 0 || v.Tail > padding:
		return fmt.Errorf("%d bytes at the end are more than the padding of %d there", v.Tail, padding)
	}
	return nil
}

// plain says whether all are d-characters (ECMA-119 7.4.1).
func plain(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" && !strings.ContainsFunc(s, func(r rune) bool { return dCharacter(r) != r })
}

// dCharacter gives the one that stands for r.
func dCharacter(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z':
		return r - 'a' + 'A'
	case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
		return r
	}
	return '_'
}

// identifier is a name as ECMA-119 wants it (7.5, 7.6): one dot at most, and in
// the name of a file always one; 30 characters beside it.
func identifier(name string, folder bool) string {
	base, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && !folder {
		base, ext = name[:i], name[i+1:]
	}
	base, ext = strings.Map(dCharacter, base), strings.Map(dCharacter, ext)
	if folder {
		return base[:min(len(base), 31)]
	}
	ext = ext[:min(len(ext), 8)]
	return base[:min(len(base), 30-len(ext))] + "." + ext
}

// tree builds the folders.
func (p *plan) tree() (*node, error) {
	root := &node{folder: true}
	root.parent = root
	for _, f := range p.Files {
		n, err := root.add(f)
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Path, err)
		}
		if f.Path == p.BIOS && !n.folder {
			p.boot = n
		}
	}
	if p.BIOS != "" && (p.boot == nil || p.boot.bytes < Sector) {
		return nil, fmt.Errorf("what a BIOS starts, %s, is not among the files, or smaller than the %d bytes that are loaded", p.BIOS, Sector)
	}
	return root, nil
}

func (n *node) add(f disk.File) (*node, error) {
	name := strings.TrimSuffix(f.Path, "/")
	switch {
	case !fs.ValidPath(name) || name == ".":
		return nil, errors.New("not a path")
	case f.Size < 0 || f.Size > maxFile:
		return nil, fmt.Errorf("%d bytes; one piece has at most %d", f.Size, int64(maxFile))
	case f.Align&(f.Align-1) != 0 || f.Align < 0:
		return nil, fmt.Errorf("alignment %d is not a power of two", f.Align)
	case f.Size > 0 && f.Open == nil:
		return nil, errors.New("it has a size and no content")
	}
	parts := strings.Split(name, "/")
	if len(parts) >= maxDepth {
		return nil, fmt.Errorf("it lies %d folders deep; ECMA-119 allows %d", len(parts)-1, maxDepth-1)
	}
	for _, part := range parts[:len(parts)-1] {
		next, err := n.kid(part, true)
		if err != nil {
			return nil, err
		}
		n = next
	}
	folder := strings.HasSuffix(f.Path, "/")
	for _, k := range n.kids {
		if k.name == path.Base(name) && !(folder && k.folder) {
			return nil, errors.New("it is there twice")
		}
	}
	last, err := n.kid(path.Base(name), folder)
	if err == nil && !folder {
		last.file, last.bytes = f, f.Size
	}
	return last, err
}

// kid finds an entry of a folder, or makes it.
func (n *node) kid(name string, folder bool) (*node, error) {
	k := &node{name: name, id: identifier(name, folder), parent: n, folder: folder}
	for _, have := range n.kids {
		switch {
		case have.name == name && have.folder == folder:
			return have, nil
		case have.name == name:
			return nil, fmt.Errorf("%s is a file and a folder", name)
		case have.id == k.id:
			return nil, fmt.Errorf("%s and %s have the same short name, %s; call one of them otherwise", have.name, name, k.id)
		}
	}
	if len((&plan{}).entry(k, k.id+";1", 0, nil, k.named())) > maxRecord {
		return nil, fmt.Errorf("%s: the name is too long", name)
	}
	n.kids = append(n.kids, k)
	return k, nil
}

// list puts folders and files into their order: entries by name (ECMA-119 9.3),
// folders by depth, then by parent (6.9.1), which is how they are reached here.
func (p *plan) list(root *node) {
	p.folders = []*node{root}
	for i := 0; i < len(p.folders); i++ {
		n := p.folders[i]
		n.number = i + 1
		slices.SortFunc(n.kids, func(a, b *node) int {
			return strings.Compare(sortable(a.id), sortable(b.id))
		})
		for _, k := range n.kids {
			if k.folder {
				p.folders = append(p.folders, k)
			} else {
				p.files = append(p.files, k)
			}
		}
	}
	slices.SortFunc(p.files, func(a, b *node) int { return strings.Compare(a.file.Path, b.file.Path) })
}

// sortable fills name and extension with blanks, as they are compared.
func sortable(id string) string {
	base, ext, _ := strings.Cut(id, ".")
	return fmt.Sprintf("%-31s%-31s", base, ext)
}

// place gives everything its block.
func (p *plan) place() {
	next := int64(tablesAt)
	take := func(bytes int64) int64 {
		at := next
		next += blocks(bytes)
		return at
	}
	for _, n := range p.folders {
		p.tableSize += int64(len(n.pathRecord(0)))
		n.bytes = int64(len(p.entries(n, 0))) // does not depend on where things lie
	}
	for i := range p.tables {
		p.tables[i] = take(p.tableSize)
	}
	for _, n := range p.folders {
		n.block = take(n.bytes)
	}
	for _, n := range p.folders {
		n.second = take(n.bytes)
	}
	p.more = take(Sector)
	if p.BIOS != "" || p.EFI > 0 {
		p.catalogue = take(Sector)
	}
	p.layout.Files = make(map[string]disk.Extent)
	for _, n := range p.files {
		if align := n.file.Align / Sector; align > 1 {
			next = up(next, align)
		}
		n.block = take(n.bytes)
		p.layout.Files[n.file.Path] = disk.Extent{Offset: n.block * Sector, Size: n.bytes}
	}
	p.layout.Volume = disk.Extent{Offset: partitionAt * Sector, Size: (next - partitionAt) * Sector}
	end := next * Sector
	if p.EFI > 0 {
		p.layout.EFI = disk.Extent{Offset: up(end, efiAlign), Size: p.EFI}
		end = p.layout.EFI.End()
	}
	p.layout.Size = up(end+padding+p.Tail, Sector)
}

func blocks(bytes int64) int64 { return up(bytes, Sector) / Sector }

// up rounds n up to a multiple of m.
func up(n, m int64) int64 { return (n + m - 1) / m * m }
