package qcow2

import (
	"bytes"
	"compress/flate"
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

	"github.com/bee-os/bee/pkg/build/disk"
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
		{20*mib - 1, []byte{1}}, {20 * mib, []byte("bee")}, {20*mib + 3, make([]byte, 9)}, {(size / 2) &^ 511, text[:100]}, {size - 512, random(3, 512)},
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

// write makes an image, checking that it comes from the beginning to the end, and
// that its size was known.
func write(t *testing.T, name string, size int64, list []piece) *os.File {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	m, err := NewMap(size)
	if err != nil {
		t.Fatal(err)
	}
	put(t, m, list)
	if err := f.Truncate(m.Size()); err != nil {
		t.Fatal(err)
	}
	h := &disk.Hasher{W: f, H: sha256.New()}
	w, err := m.Writer(h)
	if err != nil {
		t.Fatal(err)
	}
	put(t, w, list)
	if m.Size() < 100*mib {
		got, err := h.Sum(m.Size())
		if err != nil {
			t.Fatal(err)
		}
		if want := sum(t, f, m.Size()); !bytes.Equal(got, want[:]) {
			t.Error("what was hashed is not what is in the file")
		}
	}
	if st, err := f.Stat(); err != nil || st.Size() != m.Size() {
		t.Errorf("the image has %v, %v bytes and not %d", st.Size(), err, m.Size())
	}
	return f
}

func put(t *testing.T, w io.WriterAt, list []piece) {
	t.Helper()
	for _, p := range list {
		if n, err := w.WriteAt(p.data, p.at); err != nil || n != len(p.data) {
			t.Fatal(n, err)
		}
	}
}

func sum(t *testing.T, r io.ReaderAt, size int64) [32]byte {
	t.Helper()
	h := sha256.New()
	if n, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil || n != size {
		t.Fatal(n, err)
	}
	return [32]byte(h.Sum(nil))
}

// qemu-img finds no error and the same content; so does the reader; zeros take no
// place, written or not.
func TestWrite(t *testing.T) {
	for _, size := range []int64{64 * mib, 600*mib + 512, 40 << 30} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			dir := t.TempDir()
			raw := rawFile(t, dir, size, pieces(size))
			f := write(t, filepath.Join(dir, "img.qcow2"), size, pieces(size))
			qemuAgrees(t, dir, size)
			st, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if limit := int64(8 * mib); st.Size() > limit {
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
			var less []piece
			for _, p := range pieces(size) {
				for len(p.data) > 0 { // in small pieces that do not end with clusters
					n := min(len(p.data), 40_001)
					if bytes.ContainsFunc(p.data[:n], func(r rune) bool { return r != 0 }) {
						less = append(less, piece{p.at, p.data[:n]})
					}
					p.at, p.data = p.at+int64(n), p.data[n:]
				}
			}
			again := write(t, filepath.Join(dir, "again.qcow2"), size, less)
			if sum(t, again, st.Size()) != sum(t, f, st.Size()) {
				t.Error("the image differs where zeros are left out")
			}
		})
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

// An image of more clusters than one block counts references of, over several
// tables; most of it are holes.
func TestManyClusters(t *testing.T) {
	const size = (perRefBlock + 100) * clusterSize
	dir := t.TempDir()
	var list []piece
	for i := range int64(size / clusterSize) {
		list = append(list, piece{i*clusterSize + i%1000, []byte{byte(1 + i>>8)}})
	}
	raw := rawFile(t, dir, size, list)
	f := write(t, filepath.Join(dir, "img.qcow2"), size, list)
	if said := judge.Run(t, dir, "qemu-img", "check", judge.In+"/img.qcow2"); !strings.Contains(said, "No errors were found") {
		t.Error(said)
	}
	img, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	buf, want := make([]byte, 2*clusterSize), make([]byte, 2*clusterSize)
	for at := int64(0); at < size-int64(len(buf)); at += 997 * clusterSize {
		if _, err := img.ReadAt(buf, at); err != nil {
			t.Fatal(err)
		}
		if _, err := raw.ReadAt(want, at); err != nil || !bytes.Equal(buf, want) {
			t.Errorf("at %d the image differs, %v", at, err)
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

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func TestErrors(t *testing.T) {
	for _, size := range []int64{0, -512, 511, 1 << 62} {
		if _, err := NewMap(size); err == nil {
			t.Errorf("a size of %d was taken", size)
		}
	}
	m, err := NewMap(mib)
	if err != nil {
		t.Fatal(err)
	}
	put(t, m, []piece{{5, []byte("x")}})
	if _, err := m.Writer(failing{}); !errors.Is(err, errBoom) {
		t.Error(err)
	}
	w, err := m.Writer(discard{})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{-1, mib, mib - 2} {
		for _, to := range []io.WriterAt{m, w} {
			if _, err := to.WriteAt([]byte("abc"), at); err == nil || !strings.Contains(err.Error(), "outside") {
				t.Errorf("bytes at %d of a disk of %d: %v", at, mib, err)
			}
		}
	}
	if _, err := w.WriteAt([]byte("abc"), clusterSize); err == nil || !strings.Contains(err.Error(), "mapped") {
		t.Errorf("what was not mapped: %v", err)
	}
	if n, err := w.WriteAt(make([]byte, mib), 0); err != nil || n != mib {
		t.Errorf("zeros: %d, %v", n, err)
	}
	w.w = failing{}
	if _, err := w.WriteAt([]byte("abc"), 0); !errors.Is(err, errBoom) {
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
