package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/bee-os/bee/pkg/build/disk"
)

// plan is a volume whose every byte has its place.
type plan struct {
	v    Volume
	g    geometry
	at   stamp
	root *node
	used int64 // clusters
	end  int64 // the cluster after the last one that is used
}

func (v Volume) plan() (*plan, error) {
	root, err := v.tree()
	if err != nil {
		return nil, err
	}
	p := &plan{v: v, root: root}
	if p.at, err = makeStamp(v.Time); err != nil {
		return nil, fmt.Errorf("lay out FAT volume: %w", err)
	}
	if err := checkLabel(v.Label); err != nil {
		return nil, fmt.Errorf("lay out FAT volume: label %q: %w", v.Label, err)
	}
	if p.g, err = pick(v.Size, v.bits(), root.entries(v.Label != "")); err != nil {
		return nil, fmt.Errorf("lay out FAT volume: %w", err)
	}
	if p.used, p.end, err = assign(root, p.g, v.Label != ""); err != nil {
		return nil, fmt.Errorf("lay out FAT volume: %w", err)
	}
	return p, nil
}

// checkLabel says what no label can be.
func checkLabel(s string) error {
	switch {
	case len(s) > len(shortName{}):
		return errors.New("it has more than 11 characters")
	case strings.HasPrefix(s, " ") || strings.HasSuffix(s, " "):
		return errors.New("it begins or ends with a blank")
	case strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && notShort(r) }):
		return errors.New("only capitals, digits, blanks and " + shortSigns + " can stand there")
	}
	return nil
}

// label is the label as an entry has it.
func (p *plan) label() shortName {
	var s shortName
	copy(s[:], fmt.Sprintf("%-11s", p.v.Label))
	return s
}

// assigner gives out clusters in rising order.
type assigner struct {
	g    geometry
	next int64
	used int64
}

// assign gives clusters to folders and, after them, to files, and returns how
// many are used and the one after the last.
func assign(root *node, g geometry, label bool) (used, end int64, err error) {
	a := &assigner{g: g, next: 2}
	for n := range root.folders() {
		if n.parent == nil && g.bits == 16 {
			continue // FAT16's root has a place of its own
		}
		if err := a.take(n, max(1, n.entries(label))*entrySize); err != nil {
			return 0, 0, err
		}
	}
	for n := range root.files() {
		if n.file.Size == 0 {
			continue
		}
		if err := a.take(n, n.file.Size); err != nil {
			return 0, 0, err
		}
	}
	return a.used, a.next, nil
}

// take gives a node the next clusters that its alignment allows.
func (a *assigner) take(n *node, size int64) error {
	first := a.next
	if off := a.g.offset(first); n.file.Align > a.g.clusterSize() {
		first += (up(off, n.file.Align) - off) / a.g.clusterSize()
	}
	count := up(size, a.g.clusterSize()) / a.g.clusterSize()
	if free := a.g.clusters + 2 - first; count > free {
		kind := "file"
		if n.dir {
			kind = "folder"
		}
		return fmt.Errorf("%s %s of %d bytes does not fit: %d bytes are left for it in a volume of %d; make the volume larger",
			kind, n.path(), size, max(0, free)*a.g.clusterSize(), a.g.sectors*sectorSize)
	}
	n.first, n.count = first, count
	a.next, a.used = first+count, a.used+count
	return nil
}

// layout says where the files lie.
func (p *plan) layout() Layout {
	l := Layout{Cluster: p.g.clusterSize(), Free: (p.g.clusters - p.used) * p.g.clusterSize(), Files: map[string]disk.Extent{}}
	for n := range p.root.files() {
		e := disk.Extent{Size: n.file.Size}
		if n.count > 0 {
			e.Offset = p.g.offset(n.first)
		}
		l.Files[n.file.Path] = e
	}
	return l
}

// table encodes the FAT, up to the last cluster that is used.
func (p *plan) table() []byte {
	width := int64(p.g.bits / 8)
	out := make([]byte, p.end*width)
	const last = 0x0fffffff // FAT16 takes the low half
	put := func(cluster, value int64) {
		if width == 2 {
			binary.LittleEndian.PutUint16(out[cluster*2:], uint16(value))
		} else {
			binary.LittleEndian.PutUint32(out[cluster*4:], uint32(value))
		}
	}
	chain := func(n *node) {
		for i := range n.count {
			put(n.first+i, n.first+i+1)
		}
		if n.count > 0 {
			put(n.first+n.count-1, last)
		}
	}
	put(0, last&^0xff|media)
	put(1, last) // cleanly unmounted, no error seen
	for n := range p.root.folders() {
		chain(n)
	}
	for n := range p.root.files() {
		chain(n)
	}
	return out
}
