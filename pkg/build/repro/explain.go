package repro

import (
	"fmt"
	"io"
	"os"
)

// maxDepth bounds how far structures are opened inside one another.
const maxDepth = 12

// maxUnpacked bounds what a compressed piece may become, bytes.
const maxUnpacked = 4 << 30

// structure is a form that can say what lies at a byte. explain gives nil where
// it has nothing to say of that byte; then the next one is asked.
type structure struct {
	is      func(v view) bool
	explain func(x *explaining, a, b view, at int64) []string
}

// structures are asked in this order: what is only a beginning, such as the MBR
// of a hybrid ISO, after what knows the whole.
func structures() []structure {
	return []structure{
		{isInitrd, explainInitrd},
		{isGzip, explainGzip},
		{isTar, explainTar},
		{isPE, explainPE},
		{isQcow2, explainQcow2},
		{isISO, explainISO},
		{isFAT, explainFAT},
		{isDisk, explainDisk},
		{isJSON, explainJSON},
		{isText, explainText},
	}
}

// explaining is one explanation on its way inwards.
type explaining struct {
	depth int
	temps []*os.File
}

func (x *explaining) clean() {
	for _, f := range x.temps {
		f.Close() // unlinked already
	}
}

// explain says what lies at the first differing byte of two pieces.
func (x *explaining) explain(a, b view, at int64) []string {
	if x.depth < maxDepth {
		x.depth++
		defer func() { x.depth-- }()
		for _, s := range structures() {
			if s.is(a) && s.is(b) {
				if where := s.explain(x, a, b, at); where != nil {
					return where
				}
			}
		}
	}
	return []string{plain(a, b, at)}
}

// inside compares two pieces that should be the same and explains what is found;
// nil where they are the same.
func (x *explaining) inside(a, b view) []string {
	at, same, err := firstDifference(a, b)
	if err != nil {
		return []string{err.Error()}
	}
	if same {
		return nil
	}
	return append([]string{fmt.Sprintf("byte %d", at)}, x.explain(a, b, at)...)
}

// plain says of bytes without a structure what they are.
func plain(a, b view, at int64) string {
	switch {
	case at >= a.size:
		return fmt.Sprintf("the first ends here, the second has %d bytes more", b.size-a.size)
	case at >= b.size:
		return fmt.Sprintf("the second ends here, the first has %d bytes more", a.size-b.size)
	}
	n := min(8, a.size-at, b.size-at)
	return fmt.Sprintf("% x against % x", a.bytes(at, n), b.bytes(at, n))
}

// unpack writes a stream to a file that has no name any more. It gives what
// could be unpacked, and the error that ended it.
func (x *explaining) unpack(r io.Reader) (view, error) {
	f, err := os.CreateTemp("", "repro-")
	if err != nil {
		return view{}, err
	}
	x.temps = append(x.temps, f)
	if err := os.Remove(f.Name()); err != nil {
		return view{}, err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxUnpacked))
	return view{ReaderAt: f, size: n}, err
}

// unpacked compares the content of two compressed pieces. Where it is the same,
// the compressor made the difference.
func (x *explaining) unpacked(a, b io.Reader) []string {
	left, errLeft := x.unpack(a)
	right, errRight := x.unpack(b)
	switch {
	case errLeft != nil && errRight != nil:
		return []string{"neither can be unpacked: " + errLeft.Error()}
	case errLeft != nil:
		return []string{"the first cannot be unpacked: " + errLeft.Error()}
	case errRight != nil:
		return []string{"the second cannot be unpacked: " + errRight.Error()}
	}
	where := x.inside(left, right)
	if where == nil {
		return []string{"the content is the same, it was compressed in another way (another version, level or number of threads?)"}
	}
	return append([]string{"unpacked"}, where...)
}
