package qcow2

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/disk/judge"
)

const mib = 1 << 20

// random are reproducible bytes.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{seed}).Read(b); err != nil {
		panic(err)
	}
	return b
}

// piece is something in a raw image.
type piece struct {
	at   int64
	data []byte
}

// pieces are what no compression helps, what it helps much and a little, zeros
// that are written, and the last bytes.
func pieces(size int64) []piece {
	text := []byte(strings.Repeat("what is said often is said shortly\n", 40_000))
	mixed := append(random(2, 40_000), text[:400_000]...)
	return []piece{
		{0, random(1, 3*mib+5)}, {8 * mib, text}, {12*mib + 512, mixed}, {16 * mib, make([]byte, 2*mib)},
		{20*mib - 1, []byte{1}}, {(size / 2) &^ 511, text[:100]}, {size - 512, random(3, 512)},
	}
}

// rawFile writes a sparse raw image.
func rawFile(t *testing.T, dir string, size int64, list []piece) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "raw.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if _, err := f.WriteAt(p.data, p.at); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// onlyReader hides what else a file can do.
type onlyReader struct{ io.ReaderAt }

func write(t *testing.T, name string, raw io.ReaderAt, size int64, o Options) *os.File {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	n, err := Write(t.Context(), f, raw, size, o)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != n {
		t.Errorf("the image has %v, %v bytes and not %d", st.Size(), err, n)
	}
	return f
}

func sum(t *testing.T, r io.ReaderAt, size int64) [32]byte {
	t.Helper()
	h := sha256.New()
	if n, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil || n != size {
		t.Fatal(n, err)
	}
	return [32]byte(h.Sum(nil))
}

// qemu-img finds no error, the same content, and what was asked for; so does
// the reader; and holes that are known change no byte.
func TestWrite(t *testing.T) {
	for _, size := range []int64{64 * mib, 600*mib + 512, 40 << 30} {
		for _, o := range []Options{{}, {Compress: true}} {
			t.Run(fmt.Sprintf("%d %v", size, o.Compress), func(t *testing.T) {
				dir := t.TempDir()
				raw := rawFile(t, dir, size, pieces(size))
				f := write(t, filepath.Join(dir, "img.qcow2"), raw, size, o)
				qemuAgrees(t, dir, size)
				st, err := f.Stat()
				if err != nil {
					t.Fatal(err)
				}
				if limit := map[bool]int64{false: 8 * mib, true: 5 * mib}[o.Compress]; st.Size() > limit {
					t.Errorf("the image has %d bytes, more than %d", st.Size(), limit)
				}
				if size > 100*mib { // qemu-img has read it all
					return
				}
				img, err := Open(f)
				if err != nil || img.Size() != size {
					t.Fatal(img, err)
				}
				if sum(t, img, size) != sum(t, raw, size) {
					t.Error("what is read differs from what was written")
				}
				again := write(t, filepath.Join(dir, "again.qcow2"), onlyReader{raw}, size, o)
				if sum(t, again, st.Size()) != sum(t, f, st.Size()) {
					t.Error("the image differs where holes are not known")
				}
			})
		}
	}
}

func qemuAgrees(t *testing.T, dir string, size int64) {
	t.Helper()
	img := judge.In + "/img.qcow2"
	if said := judge.Run(t, dir, "qemu-img", "check", img); !strings.Contains(said, "No errors were found on the image.") || strings.Contains(strings.ToLower(said), "leak") {
		t.Errorf("qemu-img check: %s", said)
	}
	if said := judge.Run(t, dir, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", judge.In+"/raw.img", img); !strings.Contains(said, "identical") {
		t.Errorf("qemu-img compare: %s", said)
	}
	var info struct {
		Size        int64  `json:"virtual-size"`
		ClusterSize int64  `json:"cluster-size"`
		Format      string `json:"format"`
		Dirty       bool   `json:"dirty-flag"`
		Specific    struct {
			Data struct {
				Compat  string
				Corrupt bool
				Type    string `json:"compression-type"`
			}
		} `json:"format-specific"`
	}
	said := judge.Run(t, dir, "qemu-img", "info", "--output=json", img)
	if err := json.Unmarshal([]byte(said), &info); err != nil {
		t.Fatal(err)
	}
	if d := info.Specific.Data; info.Size != size || info.ClusterSize != clusterSize || info.Format != "qcow2" || info.Dirty || d.Compat != "1.1" || d.Corrupt || d.Type != "zlib" {
		t.Errorf("qemu-img info: %s", said)
	}
}

// An image of more clusters than one block counts references of. Its content
// is on no disk.
func TestManyClusters(t *testing.T) {
	const size = (perRefBlock + 100) * clusterSize
	dir := t.TempDir()
	write(t, filepath.Join(dir, "img.qcow2"), striped{}, size, Options{Compress: true})
	if said := judge.Run(t, dir, "qemu-img", "check", judge.In+"/img.qcow2"); !strings.Contains(said, "No errors were found") {
		t.Error(said)
	}
}

// striped has one byte in each cluster.
type striped struct{}

func (striped) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for i := up(off, clusterSize) - off; i < int64(len(p)); i += clusterSize {
		p[i] = byte(1 + (off+i)>>16)
	}
	return len(p), nil
}

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// QEMU inflates with a window of 4 KiB: what repeats only further back than
// that does not get smaller.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		every int
		want  bool
	}{{2 << 10, true}, {8 << 10, false}} {
		m := &maker{}
		if err := m.packers(Options{Compress: true}); err != nil {
			t.Fatal(err)
		}
		got, err := m.workers[0].pack(bytes.Repeat(random(9, c.every), clusterSize/c.every))
		if err != nil || got.compressed != c.want {
			t.Errorf("what repeats every %d bytes: compressed %v, %v", c.every, got.compressed, err)
		}
	}
}

// Images that qemu-img made are read, with other cluster sizes and its own
// compression; those that need more are refused.
func TestOpenForeign(t *testing.T) {
	const size = 70 * mib
	dir := t.TempDir()
	raw := rawFile(t, dir, size, pieces(size))
	want := sum(t, raw, size)
	for _, args := range [][]string{{}, {"-c"}, {"-c", "-o", "cluster_size=4096"}, {"-o", "compat=0.10"}, {"-S", "0", "-o", "cluster_size=2M"}} {
		judge.Run(t, dir, append(append([]string{"qemu-img", "convert", "-f", "raw", "-O", "qcow2"}, args...), judge.In+"/raw.img", judge.In+"/foreign")...)
		b, err := os.ReadFile(filepath.Join(dir, "foreign"))
		if err != nil {
			t.Fatal(err)
		}
		img, err := Open(bytes.NewReader(b))
		if err != nil {
			t.Fatal(args, err)
		}
		if img.Size() != size || sum(t, img, size) != want {
			t.Errorf("%q differs", args)
		}
	}
	for want, args := range map[string][]string{
		"features": {"-o", "compression_type=zstd"}, "backing": {"-b", judge.In + "/raw.img", "-F", "raw"},
	} {
		judge.Run(t, dir, append(append([]string{"qemu-img", "create", "-f", "qcow2"}, args...), judge.In+"/more", "70M")...)
		f, err := os.Open(filepath.Join(dir, "more"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want something about %q", err, want)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

type failing struct{}

var errBoom = errors.New("boom")

func (failing) WriteAt([]byte, int64) (int, error) { return 0, errBoom }
func (failing) ReadAt([]byte, int64) (int, error)  { return 0, errBoom }

func TestErrors(t *testing.T) {
	for _, size := range []int64{0, -512, 511, 1 << 62} {
		if _, err := Write(t.Context(), discard{}, striped{}, size, Options{}); err == nil {
			t.Errorf("a size of %d was taken", size)
		}
	}
	if _, err := Write(t.Context(), failing{}, striped{}, mib, Options{}); !errors.Is(err, errBoom) {
		t.Error(err)
	}
	if _, err := Write(t.Context(), discard{}, failing{}, mib, Options{}); !errors.Is(err, errBoom) {
		t.Error(err)
	}
	if _, err := Write(t.Context(), discard{}, bytes.NewReader(make([]byte, mib-1)), mib, Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBoom)
	if _, err := Write(ctx, discard{}, striped{}, mib, Options{}); !errors.Is(err, errBoom) {
		t.Error(err)
	}
	if _, err := Open(strings.NewReader("short")); err == nil {
		t.Error("a short image was opened")
	}
}

// tiny is an image with clusters of 512 bytes: one as it is, one compressed,
// one of zeros. An image that was written here is too large to be fuzzed well.
func tiny(f *testing.F) []byte {
	f.Helper()
	h := header{bits: 9, size: 4 * 512, tableSize: 1, table: 512, refTable: 2048, refCluster: 1}
	b := h.encode()[:512]
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, 6)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("bee "), 128)); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	b = append(b, words([]uint64{1024 | flagCopied})[:8]...)
	b = append(b[:520:520], make([]byte, 504)...)
	second := append(words([]uint64{1536 | flagCopied, 2048 | flagCompressed, flagZero, 0})[:32], make([]byte, 480)...)
	b = append(b, second...)
	b = append(b, random(7, 512)...)
	return append(b, deflated.Bytes()...)
}

// Foreign bytes make errors, never a panic, and bounded work.
func FuzzOpen(f *testing.F) {
	seed := tiny(f)
	img, err := Open(bytes.NewReader(seed))
	if err != nil {
		f.Fatal(err)
	}
	got := make([]byte, 4*512)
	if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, slices.Concat(random(7, 512), bytes.Repeat([]byte("bee "), 128), make([]byte, 1024))) {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		buf := make([]byte, 1500)
		for _, off := range []int64{0, 1, 1100, img.Size() / 2, img.Size() - 1, img.Size()} {
			if n, err := img.ReadAt(buf, off); err == nil && n != len(buf) {
				t.Errorf("%d bytes at %d and no error", n, off)
			}
		}
	})
}
