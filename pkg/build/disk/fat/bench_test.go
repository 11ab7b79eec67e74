package fat

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/bee-os/bee/pkg/build/disk"
)

// BenchmarkWrite assembles a volume of half a gigabyte from a file in the
// page cache, and hashes it; BenchmarkCopyAndHash is what it is held against: the same bytes
// copied to a file and hashed.
func BenchmarkWrite(b *testing.B) {
	v, _ := benchVolume(b)
	out := filepath.Join(b.TempDir(), "fat.img")
	b.SetBytes(v.Files[0].Size)
	for b.Loop() {
		f := fresh(b, out, v.Size)
		h := &disk.Hasher{W: f, H: sha256.New()}
		if _, err := v.Write(b.Context(), h); err != nil {
			b.Fatal(err)
		}
		if _, err := h.Sum(v.Size); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopyAndHash is the bar.
func BenchmarkCopyAndHash(b *testing.B) {
	v, in := benchVolume(b)
	out := filepath.Join(b.TempDir(), "copy")
	b.SetBytes(v.Files[0].Size)
	buf := make([]byte, mib)
	for b.Loop() {
		f := fresh(b, out, v.Size)
		src, err := os.Open(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, sha256.New())}, struct{ io.Reader }{src}, buf); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		if err := src.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchVolume(b *testing.B) (Volume, string) {
	b.Helper()
	in := filepath.Join(b.TempDir(), "in")
	chunk := random(1, mib)
	f, err := os.Create(in)
	if err != nil {
		b.Fatal(err)
	}
	for range 512 {
		if _, err := f.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	file, err := disk.FromHost("big", in)
	if err != nil {
		b.Fatal(err)
	}
	return Volume{Size: 520 * mib, Time: when, Files: []disk.File{file}}, in
}

func fresh(b *testing.B, name string, size int64) *os.File {
	b.Helper()
	f, err := os.Create(name)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		b.Fatal(err)
	}
	return f
}
