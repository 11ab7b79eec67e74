package publish

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// File is one to publish.
type File struct {
	Path    string   // on this machine
	Name    string   // at the target: relative, with slashes
	Variant string   // for the webhook; may be empty
	Arch    string   // for the webhook; may be empty
	SHA256  [32]byte // that the manifest gives; other bytes are not published
}

// Published is a file that is where it belongs.
type Published struct {
	Name    string `json:"name"`
	Variant string `json:"variant,omitempty"`
	Arch    string `json:"arch,omitempty"`
	Size    int64  `json:"size"` // bytes
	SHA256  string `json:"sha256"`
	Address string `json:"address"`
}

// store takes files.
type store interface {
	// put stores the file, which is at its beginning, whole or not at all.
	put(ctx context.Context, u upload) error
	// where is the address of a name.
	where(name string) string
}

// upload is a file on its way.
type upload struct {
	name string
	file *os.File
	size int64
	sum  [32]byte
	said *meter
}

// section is a part of the file, told to the meter as it is read.
func (u upload) section(from, size int64) io.Reader {
	return &metered{io.NewSectionReader(u.file, from, size), u.said, 0}
}

// rank orders files: what others point at, the manifest, the sums, and the
// signatures, which make the rest count.
func rank(name string) int {
	switch base := path.Base(name); {
	case strings.HasSuffix(base, ".sigstore.json"):
		return 3
	case base == "SHA256SUMS":
		return 2
	case base == "build-manifest.json", base == "index.json": // the latter of an OCI layout
		return 1
	}
	return 0
}

// putAll publishes the files in their order.
func putAll(ctx context.Context, s store, files []File, progress io.Writer) ([]Published, error) {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return cmp.Or(rank(a.Name)-rank(b.Name), cmp.Compare(a.Name, b.Name)) })
	for i, f := range sorted {
		if !fs.ValidPath(f.Name) || f.Name == "." || strings.ContainsFunc(f.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
			return nil, fmt.Errorf("publish: %q cannot be the name of a file", f.Name)
		}
		if i > 0 && sorted[i-1].Name == f.Name {
			return nil, fmt.Errorf("publish: two files are called %s", f.Name)
		}
	}
	var done []Published
	for i, f := range sorted {
		m := &meter{out: progress, label: fmt.Sprintf("publish: %d/%d %s", i+1, len(sorted), f.Name)}
		if err := putOne(ctx, s, f, m); err != nil {
			return done, fmt.Errorf("publish %s to %s: %w", f.Name, s.where(f.Name), err)
		}
		done = append(done, Published{f.Name, f.Variant, f.Arch, m.total, hex.EncodeToString(f.SHA256[:]), s.where(f.Name)})
	}
	return done, nil
}

// putOne hashes the file and gives the same open file to the store.
func putOne(ctx context.Context, s store, f File, m *meter) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, ctxReader{ctx, file})
	if err != nil {
		return err
	}
	if [32]byte(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%s has the SHA-256 %x, the manifest says %x; build it again", f.Path, sum.Sum(nil), f.SHA256)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	m.total, m.began = size, time.Now()
	if err := s.put(ctx, upload{f.Name, file, size, f.SHA256, m}); err != nil {
		return err
	}
	m.done()
	return nil
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// dirStore is a folder.
type dirStore string

func (d dirStore) where(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

// put copies into a file beside the final one and renames it.
func (d dirStore) put(ctx context.Context, u upload) (err error) {
	name := d.where(u.name)
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".publish-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, sum), ctxReader{ctx, u.section(0, u.size)})
	if err == nil && [32]byte(sum.Sum(nil)) != u.sum {
		err = errors.New("the file changed while it was copied")
	}
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil // published; the folder may be one that cannot be read
	}
	return errors.Join(f.Sync(), f.Close())
}

// meter tells how an upload goes, a line every two seconds and one at the end.
type meter struct {
	out         io.Writer
	label       string
	total       int64
	began, last time.Time
}

func (m *meter) at(have int64) {
	now := time.Now()
	if m.last.IsZero() {
		m.last = m.began
	}
	if now.Sub(m.last) >= 2*time.Second {
		m.last = now
		fmt.Fprintf(m.out, "%s %d%%\n", m.label, 100*have/max(m.total, 1))
	}
}

func (m *meter) done() {
	took := time.Since(m.began).Seconds()
	fmt.Fprintf(m.out, "%s %.1f MB in %.1f s\n", m.label, float64(m.total)/1e6, took)
}

// metered counts from where its section begins.
type metered struct {
	*io.SectionReader
	m    *meter
	have int64
}

func (r *metered) Read(p []byte) (int, error) {
	n, err := r.SectionReader.Read(p)
	r.have += int64(n)
	_, from, _ := r.Outer()
	r.m.at(from + r.have)
	return n, err
}
