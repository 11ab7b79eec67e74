package verity_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/disk/judge"
	"github.com/bee-os/bee/pkg/verity"
)

// pattern are size reproducible bytes that no two blocks share.
type pattern struct{ size int64 }

func (p pattern) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		at := off + int64(i)
		if at >= p.size {
			return i, io.EOF
		}
		b[i] = byte(at>>12) ^ byte(at>>20) ^ byte(at)
	}
	return len(b), nil
}

// fsverity digest says the same for files of every shape: empty, one block, one
// level, several, and one byte to each side of where a level begins.
func TestFsverity(t *testing.T) {
	dir := t.TempDir()
	args := []string{"fsverity", "digest"}
	const level = 128 * 4096
	sizes := []int64{0, 1, 4095, 4096, 4097, 8192, level - 1, level, level + 1, level + 4096, 2*level + 4097, 127*level + 5, 128 * level, 128*level + 1, 130*level + 4097}
	for _, size := range sizes {
		name := fmt.Sprint(size)
		text := make([]byte, size)
		if _, err := (pattern{size}).ReadAt(text, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, judge.In+"/"+name)
	}
	lines := strings.Split(strings.TrimSpace(judge.Run(t, dir, args...)), "\n")
	if len(lines) != len(sizes) {
		t.Fatalf("fsverity says %q", lines)
	}
	for i, size := range sizes {
		want, _, _ := strings.Cut(lines[i], " ")
		f, err := os.Open(filepath.Join(dir, fmt.Sprint(size)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := verity.Digest(f, size)
		if err := errors.Join(err, f.Close()); err != nil || got.String() != want {
			t.Errorf("%d bytes: %s, %v; fsverity says %s", size, got, err, want)
		}
	}
}

// Digests that fsverity 1.6 gave once; no tool is needed to hold them.
func TestGolden(t *testing.T) {
	for size, want := range map[int64]string{
		0:            "sha256:3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
		1:            "sha256:b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551",
		4097:         "sha256:4a9eb50b85c6758d29ba6fb9c851354dafce42cd5fd589f749ffeb752a48fc9f",
		128*4096 + 1: "sha256:6dbe13fcb664b254a13ea642965a9a2e608dbaab3fe02cd1fdc9880c6a7a4011",
	} {
		if got, err := verity.Digest(pattern{size}, size); err != nil || got.String() != want {
			t.Errorf("%d bytes: %s, %v; want %s", size, got, err, want)
		}
	}
}

func TestParse(t *testing.T) {
	sum, err := verity.Digest(bytes.NewReader(nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verity.Parse(sum.String()); err != nil || got != sum {
		t.Error(got, err)
	}
	text := sum.String()
	for _, bad := range []string{"", text[7:], text[:70], text + "0", strings.ToUpper(text), "sha512" + text[6:], "sha256:" + strings.ToUpper(text[7:]), text[:70] + "g"} {
		if _, err := verity.Parse(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

type failing struct{}

var errBoom = errors.New("boom")

func (failing) ReadAt(b []byte, off int64) (int, error) {
	if off > 5<<20 {
		return 0, errBoom
	}
	return len(b), nil
}

// A file that is shorter than it was said to be, or cannot be read, has no
// digest.
func TestErrors(t *testing.T) {
	for _, size := range []int64{1, 4096, 5000, 10 << 20} {
		if sum, err := verity.Digest(pattern{size - 1}, size); !errors.Is(err, io.ErrUnexpectedEOF) || sum != (verity.Sum{}) {
			t.Errorf("%d bytes: %s, %v", size, sum, err)
		}
	}
	if _, err := verity.Digest(failing{}, 64<<20); !errors.Is(err, errBoom) {
		t.Error(err)
	}
	if _, err := verity.Digest(nil, -1); err == nil {
		t.Error("a negative size was taken")
	}
}

// BenchmarkDigest is of 1 GiB in the page cache, where VERITY_FILE names none.
func BenchmarkDigest(b *testing.B) {
	name := os.Getenv("VERITY_FILE")
	if name == "" {
		name = filepath.Join(b.TempDir(), "file")
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{}), 1<<30); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(st.Size())
	for b.Loop() {
		if _, err := verity.Digest(f, st.Size()); err != nil {
			b.Fatal(err)
		}
	}
}
