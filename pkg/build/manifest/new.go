package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/verity"
)

// Digest computes the fs-verity digest of size bytes as `fsverity digest` prints
// it: "sha256:" and 64 hexadecimal digits
// (https://docs.kernel.org/filesystems/fsverity.html).
type Digest func(r io.ReaderAt, size int64) (string, error)

// Fsverity is the Digest of pkg/verity.
func Fsverity(r io.ReaderAt, size int64) (string, error) {
	sum, err := verity.Digest(r, size)
	return sum.String(), err
}

// verityPrefix names the one algorithm that is used.
const verityPrefix = "sha256:"

// Config is what a builder knows before it has made the files.
type Config struct {
	Source  Source
	Date    time.Time // made UTC, cut to seconds
	Family  string    // artifact.Family's name
	Arch    string
	Go      string // default: the image's, of BOM
	Tools   []Tool
	BOM     bom.BOM    // of the image inside: version, variant, kernel and RAM come from it
	Inputs  []Input    // see InputOf; also those of the image that BOM names
	Modules []GoModule // see ModuleOf
	Boot    Boot
	PCRs    PCRs
	Parts   []Part
	Verity  Digest // default Fsverity
}

// New makes a manifest without outputs: Add names them. Each input and Go
// module of the BOM must be in the configuration, since that says the licence.
func New(c Config) (*Manifest, error) {
	if c.Verity == nil {
		c.Verity = Fsverity
	}
	if c.Go == "" {
		c.Go = c.BOM.Go
	}
	m := &Manifest{
		Schema: Schema, Name: "bee", Version: c.BOM.Version, Date: c.Date.UTC().Truncate(time.Second), Source: c.Source,
		Family: c.Family, Arch: c.Arch, Variant: c.BOM.Variant, Kernel: c.BOM.Kernel,
		Go: c.Go, Tools: c.Tools, Inputs: c.Inputs, GoModules: c.Modules,
		Boot: c.Boot, RAM: RAM{Budget: c.BOM.RAM.Budget, Estimate: c.BOM.RAM.Unpacked}, PCRs: c.PCRs, Parts: c.Parts,
		verity: c.Verity,
	}
	m.sort()
	if err := m.holds(c.BOM); err != nil {
		return nil, fmt.Errorf("make manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("make manifest: %w", err)
	}
	return m, nil
}

// holds says whether everything that the image was made of is listed.
func (m *Manifest) holds(b bom.BOM) error {
	if b.Arch != m.Arch {
		return fmt.Errorf("the image is for %s, the artifact for %s", b.Arch, m.Arch)
	}
	inputs := make(map[string]bool)
	for _, i := range m.Inputs {
		inputs[i.SHA256] = true
	}
	for _, i := range b.Inputs {
		if !inputs[i.SHA256] {
			return fmt.Errorf("%s %s (%s) is in the image and not among the inputs", i.Name, i.Version, i.Arch)
		}
	}
	modules := make(map[string]bool)
	for _, g := range m.GoModules {
		modules[g.Path+"@"+g.Version] = true
	}
	for _, g := range b.GoMods {
		if !modules[g.Path+"@"+g.Version] {
			return fmt.Errorf("%s@%s is linked into the image and not among the Go modules", g.Path, g.Version)
		}
	}
	return nil
}

// InputOf is the input that an entry of bee.lock stands for. Without roles, the
// entry's groups are its roles.
func InputOf(e lock.Entry, licence, note string, roles ...string) Input {
	if len(roles) == 0 {
		roles = e.Groups
	}
	return Input{Name: e.Name, Version: e.Version, Arch: e.Arch, Suite: e.Suite, SHA256: e.SHA256, Licence: licence, Note: note, Roles: roles}
}

// ModuleOf is the Go module of a bill of materials.
func ModuleOf(g bom.GoMod, licence, note string) GoModule {
	return GoModule{Path: g.Path, Version: g.Version, Sum: g.Sum, Licence: licence, Note: note}
}

// Options say of an output what cannot be seen in the file.
type Options struct {
	Name     string    // in the folder, with slashes; default: the base name of the file
	Role     string    // disk, iso, kernel, initrd, …
	Block    []int64   // offsets of its parameter block, bytes; none: it has no block
	Contents []Content // what is inside; what Offset points at must be that
	SHA256   string    // of the file, where it was computed while the file was written; empty: Add reads it
}

// Add reads the file and lists it as an output. The parameter block that lies
// there now is the original one.
func (m *Manifest) Add(ctx context.Context, file string, o Options) error {
	if o.Name == "" {
		o.Name = filepath.Base(file)
	}
	if m.verity == nil {
		return fmt.Errorf("add %s to the manifest: only one that New made takes outputs", o.Name)
	}
	out, err := m.read(ctx, file, o)
	if err != nil {
		return fmt.Errorf("add %s to the manifest: %w", o.Name, err)
	}
	before := m.Outputs
	m.Outputs = append(slices.Clip(before), out)
	m.sort()
	if err := m.checkOutputs(); err != nil {
		m.Outputs = before
		return fmt.Errorf("add %s to the manifest: %w", o.Name, err)
	}
	return nil
}

func (m *Manifest) read(ctx context.Context, file string, o Options) (Output, error) {
	f, err := os.Open(file)
	if err != nil {
		return Output{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return Output{}, err
	}
	if !fi.Mode().IsRegular() {
		return Output{}, fmt.Errorf("%s is not a regular file", o.Name)
	}
	out := Output{Name: o.Name, Role: o.Role, Size: fi.Size(), Contents: o.Contents}
	if out.Block, err = readBlock(f, o.Block); err != nil {
		return Output{}, err
	}
	var g errgroup.Group // the file is read more than once, and from memory: processors are what it waits for
	g.Go(func() (err error) {
		if o.SHA256 == "" {
			out.SHA256, out.Verity, err = Digests(ctx, f, out.Size, m.verity)
			return err
		}
		out.SHA256 = o.SHA256
		if out.Verity, err = m.verity(cancelled{ctx, f}, out.Size); err != nil {
			return fmt.Errorf("compute fs-verity digest: %w", err)
		}
		return nil
	})
	g.Go(func() error { return checkContents(ctx, f, o.Contents) })
	return out, g.Wait()
}

// checkContents reads what shall lie in a file.
func checkContents(ctx context.Context, f *os.File, contents []Content) error {
	for _, c := range contents {
		if c.Offset == nil {
			continue
		}
		sum, err := sum(ctx, io.NewSectionReader(f, *c.Offset, c.Size))
		if err != nil {
			return err
		}
		if sum != c.SHA256 {
			return fmt.Errorf("at byte %d lies %s, not the %s of %s: the writer of the artifact put something else there", *c.Offset, sum, c.Role, c.SHA256)
		}
	}
	return nil
}

func readBlock(f io.ReaderAt, offsets []int64) (*Block, error) {
	if len(offsets) == 0 {
		return nil, nil
	}
	b := &Block{Offsets: offsets}
	for _, at := range offsets {
		text := make([]byte, BlockSize)
		if _, err := f.ReadAt(text, at); err != nil {
			return nil, fmt.Errorf("read parameter block at byte %d: %w", at, err)
		}
		if b.Original != nil && string(text) != string(b.Original) {
			return nil, fmt.Errorf("read parameter block at byte %d: it differs from the one at byte %d", at, offsets[0])
		}
		b.Original = text
	}
	sum := sha256.Sum256(b.Original)
	b.SHA256 = hex.EncodeToString(sum[:])
	return b, nil
}

// Digests computes the SHA-256, 64 hexadecimal digits, and the fs-verity digest
// of size bytes, both at a time.
func Digests(ctx context.Context, r io.ReaderAt, size int64, digest Digest) (sha, root string, err error) {
	var g errgroup.Group
	r = cancelled{ctx, r}
	g.Go(func() (err error) { sha, err = sum(ctx, io.NewSectionReader(r, 0, size)); return err })
	g.Go(func() (err error) {
		if root, err = digest(r, size); err != nil {
			return fmt.Errorf("compute fs-verity digest: %w", err)
		}
		return nil
	})
	return sha, root, g.Wait()
}

// cancelled ends a long reading when its context ends.
type cancelled struct {
	ctx context.Context
	r   io.ReaderAt
}

func (c cancelled) ReadAt(b []byte, off int64) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.ReadAt(b, off)
}

func sum(ctx context.Context, r *io.SectionReader) (string, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 1<<20))
	if err = errors.Join(err, context.Cause(ctx)); err != nil {
		return "", fmt.Errorf("compute SHA-256: %w", err)
	}
	if n != r.Size() {
		return "", fmt.Errorf("compute SHA-256: %w: %d of %d bytes", io.ErrUnexpectedEOF, n, r.Size())
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
