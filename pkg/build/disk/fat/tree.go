package fat

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/disk"
)

// node is a file or folder of a volume to be written.
type node struct {
	file     disk.File // of a folder only the path
	dir      bool
	name     string
	short    shortName
	parent   *node
	children []*node // sorted by name
	byFold   map[string]*node

	first, count int64 // clusters; a file without content has none
}

// tree makes folders of the paths of the files.
func (v Volume) tree() (*node, error) {
	root := &node{dir: true, byFold: map[string]*node{}}
	for _, f := range v.Files {
		if err := root.add(f); err != nil {
			return nil, fmt.Errorf("lay out FAT volume: %s: %w", f.Path, err)
		}
	}
	root.settle()
	for n := range root.folders() {
		if count := n.entries(v.Label != ""); count > maxEntries {
			return nil, fmt.Errorf("lay out FAT volume: folder %q has %d entries; %d fit: spread its files over more folders", n.path(), count, maxEntries)
		}
	}
	return root, nil
}

// add puts a file below the root.
func (n *node) add(f disk.File) error {
	name, dir := strings.CutSuffix(f.Path, "/")
	switch {
	case !fs.ValidPath(name) || name == ".":
		return errors.New("it is not a path with single slashes, relative to the volume's root")
	case f.Size < 0 || f.Size > maxFile:
		return fmt.Errorf("a file of %d bytes does not fit FAT, which ends at %d", f.Size, int64(maxFile))
	case f.Size > 0 && (dir || f.Open == nil):
		return errors.New("it has a size and no content")
	case f.Align < 0 || f.Align&(f.Align-1) != 0 || f.Align > 1<<30:
		return fmt.Errorf("alignment %d is not a power of two up to 1 GiB", f.Align)
	}
	if parent := path.Dir(name); parent != "." {
		for part := range strings.SplitSeq(parent, "/") {
			next, err := n.child(part, true)
			if err != nil {
				return err
			}
			n = next
		}
	}
	if n.byFold[fold(path.Base(name))] != nil && !dir {
		return errors.New("the name is taken; FAT makes no difference between small letters and capitals")
	}
	leaf, err := n.child(path.Base(name), dir)
	if err == nil && !dir {
		leaf.file = f
	}
	return err
}

// child finds or makes an entry of a folder.
func (n *node) child(name string, dir bool) (*node, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if have := n.byFold[fold(name)]; have != nil {
		switch {
		case !have.dir:
			return nil, fmt.Errorf("%s is a file", have.path())
		case have.name != name:
			return nil, fmt.Errorf("folder %s is there; FAT makes no difference between small letters and capitals", have.path())
		}
		return have, nil
	}
	c := &node{name: name, dir: dir, parent: n}
	if dir {
		c.byFold = map[string]*node{}
	}
	n.byFold[fold(name)] = c
	n.children = append(n.children, c)
	return c, nil
}

func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	return path.Join(n.parent.path(), n.name)
}

// settle sorts the folders and gives out 8.3 names: first to the names that are
// of that form, so that no alias takes theirs.
func (n *node) settle() {
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	names := newAliases()
	var rest []*node
	for _, c := range n.children {
		if s, ok := exactShort(c.name); ok {
			c.short = s
			names.taken[s] = true
		} else {
			rest = append(rest, c)
		}
		c.settle()
	}
	for _, c := range rest {
		c.short = names.alias(c.name)
	}
}

// long says whether an entry needs a long name beside the short one.
func (n *node) long() bool { return n.short.String() != n.name }

// entries is the number of directory entries in a folder: of a root with a
// label, one more.
func (n *node) entries(label bool) int64 {
	count := int64(2) // . and ..
	if n.parent == nil {
		count = 0
		if label {
			count = 1
		}
	}
	for _, c := range n.children {
		count += c.slots()
	}
	return count
}

// folders are a folder and all below it.
func (n *node) folders() iter.Seq[*node] {
	return func(yield func(*node) bool) { n.each(yield) }
}

func (n *node) each(yield func(*node) bool) bool {
	if !yield(n) {
		return false
	}
	for _, c := range n.children {
		if c.dir && !c.each(yield) {
			return false
		}
	}
	return true
}

// files are the files of a folder and of all below it, in the order in which
// they lie on the disk.
func (n *node) files() iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for d := range n.folders() {
			for _, c := range d.children {
				if !c.dir && !yield(c) {
					return
				}
			}
		}
	}
}
