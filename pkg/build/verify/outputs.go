package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bee-os/bee/pkg/build/manifest"
)

// found is what an output is in truth.
type found struct {
	missing bool
	size    int64  // bytes
	sha256  string // with the original parameter block put back
	verity  string // likewise
	block   block
	inside  []content
}

// block is what lies where the parameter block should.
type block struct {
	changed    bool
	parameters string
	err        error
}

// content is what lies where a file inside should.
type content struct {
	sum     string
	skipped bool
	err     error
}

// overlay reads an output as it was built: the original block stands at each of
// its places, whatever lies there now.
type overlay struct {
	io.ReaderAt
	b *manifest.Block
}

func (o overlay) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.ReaderAt.ReadAt(p, off)
	if o.b == nil {
		return n, err
	}
	for _, at := range o.b.Offsets {
		from, to := max(off, at), min(off+int64(n), at+manifest.BlockSize)
		if from < to {
			copy(p[from-off:to-off], o.b.Original[from-at:to-at])
		}
	}
	return n, err
}

// digest reads one output.
func (r *run) digest(o manifest.Output) (found, error) {
	size, ok := r.files[o.Name]
	if !ok {
		return found{missing: true}, nil
	}
	f, err := r.root.Open(o.Name)
	if err != nil {
		return found{}, err
	}
	defer f.Close()
	got := found{size: size}
	if size != o.Size {
		return got, nil // nothing more can be said; the offsets may lie outside
	}
	view := overlay{f, o.Block}
	if o.Block != nil {
		got.block = r.readBlock(f, o.Block)
	}
	if got.sha256, got.verity, err = manifest.Digests(r.ctx, view, size, r.Verity); err != nil {
		return found{}, fmt.Errorf("read %s: %w", o.Name, err)
	}
	for _, c := range o.Contents {
		got.inside = append(got.inside, r.readContent(view, o, c))
	}
	return got, nil
}

// readBlock looks at every copy of the parameter block.
func (r *run) readBlock(f *os.File, b *manifest.Block) block {
	var first []byte
	for _, at := range b.Offsets {
		text := make([]byte, manifest.BlockSize)
		if _, err := f.ReadAt(text, at); err != nil {
			return block{err: err}
		}
		if first != nil && !bytes.Equal(text, first) {
			return block{changed: true, err: fmt.Errorf("the copy at byte %d is not the one at byte %d: one way to boot would take other parameters than another", at, b.Offsets[0])}
		}
		first = text
	}
	if bytes.Equal(first, b.Original) {
		return block{}
	}
	if r.Block == nil {
		return block{changed: true, err: errors.New("it was changed, and this program cannot read it")}
	}
	parameters, err := r.Block(first)
	return block{changed: true, parameters: parameters, err: err}
}

// readContent computes the digest of a file inside an output.
func (r *run) readContent(view io.ReaderAt, o manifest.Output, c manifest.Content) content {
	var in io.Reader
	switch {
	case c.Offset != nil:
		in = io.NewSectionReader(view, *c.Offset, c.Size)
	default:
		f, err := r.Inside(r.ctx, view, o, c)
		if errors.Is(err, ErrForm) {
			return content{skipped: true}
		}
		if err != nil {
			return content{err: err}
		}
		defer f.Close()
		in = f
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(in, c.Size+1))
	if err != nil {
		return content{err: err}
	}
	if n != c.Size {
		return content{err: fmt.Errorf("it is not of %d bytes", c.Size)}
	}
	return content{sum: hex.EncodeToString(h.Sum(nil))}
}

// whole calls f for each output that is there in its full size; outputs has told
// of the others.
func (r *run) whole(f func(o manifest.Output, got found)) {
	for _, o := range r.m.Outputs {
		if got := r.found[o.Name]; !got.missing && got.size == o.Size {
			f(o, got)
		}
	}
}

// outputs holds sizes and SHA-256 against the manifest.
func (r *run) outputs() {
	for _, o := range r.m.Outputs {
		got := r.found[o.Name]
		switch {
		case got.missing:
			r.report.fail("sha256", "%s: it is not here", o.Name)
		case got.size != o.Size:
			r.report.fail("sha256", "%s: %d bytes, the manifest says %d", o.Name, got.size, o.Size)
		case got.sha256 != o.SHA256:
			r.report.fail("sha256", "%s: %s, the manifest says %s", o.Name, got.sha256, o.SHA256)
		case got.block.changed:
			r.report.ok("sha256", "%s: %s, with the original parameter block put back", o.Name, o.SHA256)
		default:
			r.report.ok("sha256", "%s: %s", o.Name, o.SHA256)
		}
	}
}

func (r *run) verity() {
	r.whole(func(o manifest.Output, got found) {
		if got.verity != o.Verity {
			r.report.fail("fs-verity", "%s: %s, the manifest says %s", o.Name, got.verity, o.Verity)
			return
		}
		r.report.ok("fs-verity", "%s: %s", o.Name, o.Verity)
	})
}

// blocks tells of parameter blocks that were changed.
func (r *run) blocks() {
	r.whole(func(o manifest.Output, got found) {
		switch {
		case o.Block == nil:
		case got.block.err != nil:
			r.report.fail("parameters", "%s: %v", o.Name, got.block.err)
		case got.block.changed:
			r.report.note("parameters", "%s: the block was changed in place, nobody signed that; it now says: %s", o.Name, strings.TrimSpace(got.block.parameters))
		default:
			r.report.ok("parameters", "%s: the block is as it was built", o.Name)
		}
	})
}

// contents tells of kernels and initrds inside outputs.
func (r *run) contents() {
	r.whole(func(o manifest.Output, got found) {
		for i, c := range o.Contents {
			switch in := got.inside[i]; {
			case in.skipped:
				r.report.note("inside", "%s: %s (%s) was not taken out and compared; the SHA-256 of %s covers it", o.Name, c.Path, c.Role, o.Name)
			case in.err != nil:
				r.report.fail("inside", "%s: %s (%s): %v", o.Name, c.Path, c.Role, in.err)
			case in.sum != c.SHA256:
				r.report.fail("inside", "%s: %s (%s): %s, the manifest says %s", o.Name, c.Path, c.Role, in.sum, c.SHA256)
			default:
				r.report.ok("inside", "%s: %s is the %s of the manifest", o.Name, c.Path, c.Role)
			}
		}
	})
}
