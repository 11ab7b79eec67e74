package fat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/judge"
)

var when = time.Date(2025, 11, 21, 13, 37, 42, 0, time.UTC)

// random are reproducible bytes.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	if _, err := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b); err != nil {
		panic(err)
	}
	return b
}

// sample has every kind of name and file.
func sample() Volume {
	v := Volume{Size: 300 * mib, Label: "BEE ESP", Serial: 0xbee0cafe, Time: when, Hidden: 4096}
	v.Files = []disk.File{
		disk.Bytes("EFI/BOOT/BOOTX64.EFI", random(1, 950_001)), // no long name
		disk.Bytes("EFI/BOOT/grub.cfg", []byte("set timeout=1\n")),
		disk.Bytes("EFI/BOOT/fbx64.efi", random(2, 4096)),
		disk.Bytes("EFI/debian/grub.cfg", random(3, 4097)),
		disk.Bytes("bee/initrd.img", random(4, 20_000_000)),
		disk.Bytes("bee/kernel-6.12.107+deb13-amd64", random(5, 511)),
		disk.Bytes("bee/kernel-6.12.107+deb13-amd64.config", random(6, 512)),
		disk.Bytes("bee/KERNEL~1.107", random(7, 1)), // takes the name that an alias would have
		disk.Bytes("bee/an empty file", nil),
		disk.Bytes("bee/.hidden", []byte("h")),
		disk.Bytes("bee/exactly13char", []byte("13")),
		disk.Bytes("bee/Ünïcödé 🐝.txt", []byte("bee")),
		disk.Bytes("bee/"+strings.Repeat("long", 63)+"abc", []byte("255")),
		{Path: "empty/folder/"},
	}
	params := disk.Bytes("bee/params.txt", random(8, 1024))
	params.Align = 1 << 20
	v.Files = append(v.Files, params)
	for i := range 300 {
		v.Files = append(v.Files, disk.Bytes(fmt.Sprintf("many/a file with number %d.text", i), fmt.Append(nil, i)))
	}
	return v
}

// create writes a volume to a new file.
func create(t testing.TB, v Volume) (*os.File, Layout) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "fat.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(v.Size); err != nil {
		t.Fatal(err)
	}
	l, err := v.Write(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return f, l
}

// fsck asks fsck.fat, which must find nothing.
func fsck(t *testing.T, f *os.File) string {
	t.Helper()
	said := judge.Run(t, filepath.Dir(f.Name()), "fsck.fat", "-n", "-v", judge.In+"/fat.img")
	if regexp.MustCompile(`(?i)warn|error|wrong|differ|dirty|invalid|bad|reclaim|leaving|orphan|free cluster summary (wrong|uninit)`).MatchString(said) || !strings.Contains(said, "files, ") {
		t.Errorf("fsck.fat says:\n%s", said)
	}
	return said
}

// content is what a File holds.
func content(t *testing.T, f disk.File) []byte {
	t.Helper()
	if f.Open == nil {
		return nil
	}
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// both are the two kinds of the sample.
func both() []Volume {
	v16 := sample()
	v16.Bits, v16.Size = 16, 64*mib
	v1k := sample()
	v1k.Size = 80 * mib // clusters of 1 KiB
	return []Volume{sample(), v16, v1k}
}

// fsck.fat finds nothing, and mtools copies out what went in.
func TestWrite(t *testing.T) {
	for _, v := range both() {
		t.Run(fmt.Sprintf("FAT%d of %d MiB", v.bits(), v.Size/mib), func(t *testing.T) {
			f, layout := create(t, v)
			said := fsck(t, f)
			if want := fmt.Sprintf("%10d bytes per cluster", layout.Cluster); !strings.Contains(said, want) {
				t.Errorf("fsck.fat does not see %q:\n%s", want, said)
			}
			copiedOut(t, f, v)
			for _, w := range v.Files {
				at, ok := layout.Files[w.Path]
				if ok == strings.HasSuffix(w.Path, "/") {
					t.Errorf("%s is in the layout: %v", w.Path, ok)
				}
				b := make([]byte, at.Size)
				if _, err := f.ReadAt(b, at.Offset); ok && (err != nil || !bytes.Equal(b, content(t, w))) {
					t.Errorf("%s is not at %+v: %v", w.Path, at, err)
				}
				if w.Align > 0 && at.Offset%w.Align != 0 {
					t.Errorf("%s is at %d, which is no multiple of %d", w.Path, at.Offset, w.Align)
				}
			}
		})
	}
}

// copiedOut holds what mtools copies out of an image against the volume.
func copiedOut(t *testing.T, f *os.File, v Volume) {
	t.Helper()
	dir := filepath.Dir(f.Name())
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if said := judge.Run(t, dir, "mcopy", "-s", "-Q", "-m", "-i", judge.In+"/fat.img", "::/", judge.In+"/out/"); said != "" {
		t.Errorf("mcopy says %q", said)
	}
	seen := 0
	err := filepath.WalkDir(out, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			seen++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range v.Files {
		name := filepath.Join(out, ascii(w.Path))
		if strings.HasSuffix(w.Path, "/") {
			if st, err := os.Stat(name); err != nil || !st.IsDir() {
				t.Errorf("%s: %v", w.Path, err)
			}
			seen++
			continue
		}
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, content(t, w)) {
			t.Errorf("%s differs: %d bytes, %v", w.Path, len(got), err)
		}
		if st, err := os.Stat(name); err == nil && !st.ModTime().Equal(when) {
			t.Errorf("%s is of %s", w.Path, st.ModTime().UTC())
		}
	}
	if seen != len(v.Files) {
		t.Errorf("mcopy found %d files, want %d", seen, len(v.Files))
	}
}

// What mtools say of the volume and of the names is what was meant.
func TestInfo(t *testing.T) {
	for _, v := range both() {
		f, _ := create(t, v)
		dir := filepath.Dir(f.Name())
		info := judge.Run(t, dir, "minfo", "-i", judge.In+"/fat.img", "::")
		for _, want := range []string{
			fmt.Sprintf("big size: %d sectors", v.Size/sectorSize), "hidden sectors: 4096", "serial number: BEE0CAFE", `disk label="BEE ESP    "`,
			fmt.Sprintf(`disk type="FAT%d   "`, v.bits()), "media descriptor byte: 0xf8", "sectors per track: 32", "heads: 64",
		} {
			if !strings.Contains(info, want) {
				t.Errorf("minfo does not say %q:\n%s", want, info)
			}
		}
		list := judge.Run(t, dir, "mdir", "-i", judge.In+"/fat.img", "::/bee", "::/EFI/BOOT")
		for _, want := range []string{
			"Volume in drive : is BEE ESP", "Volume Serial Number is BEE0-CAFE", `KERNEL~2 107 .*kernel-6.12.107\+deb13-amd64\n`, `KERNEL~1 CON .*amd64.config`,
			`KERNEL~1 107 .*1 2025-11-21`, `BOOTX64  EFI .*950001 2025-11-21  13:37 *\n`, `(?i)grub     cfg .*14 2025-11-21  13:37`, "HIDDEN~1", "EXACTL~1", `ANEMPT~1 .* 0 2025`,
		} {
			if !regexp.MustCompile(want).MatchString(list) {
				t.Errorf("mdir does not say %q:\n%s", want, list)
			}
		}
	}
}

// The order of the files changes nothing, and a second writing neither.
func TestReproducible(t *testing.T) {
	v := sample()
	v.Bits, v.Size = 16, 64*mib
	f, _ := create(t, v)
	a, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(v.Files)
	v.Time = v.Time.In(time.FixedZone("elsewhere", 9*3600))
	g, _ := create(t, v)
	b, err := os.ReadFile(g.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the bytes differ")
	}
}

// The smallest volume that is promised holds the files, and one a MiB smaller
// does not.
func TestMinSize(t *testing.T) {
	few := sample()
	few.Files = few.Files[:3]
	big := sample()
	big.Files = append(big.Files, disk.Bytes("big", make([]byte, 300*mib)))
	small := few
	small.Bits = 16
	all := sample()
	all.Bits = 16
	for i, v := range []Volume{few, big, small, all, sample()} {
		size, err := v.MinSize()
		if err != nil || size%mib != 0 {
			t.Fatal(size, err)
		}
		t.Logf("volume %d: FAT%d needs %d MiB", i, v.bits(), size/mib)
		v.Size = size
		f, _ := create(t, v)
		fsck(t, f)
		v.Size -= mib
		if _, err := v.Plan(); err == nil {
			t.Errorf("volume %d: %d bytes are enough, and MinSize is more", i, v.Size)
		}
	}
}

// A volume that every cluster of is used.
func TestFull(t *testing.T) {
	v := Volume{Size: 8 * mib, Bits: 16, Time: when}
	l, err := v.Plan()
	if err != nil {
		t.Fatal(err)
	}
	v.Files = []disk.File{disk.Bytes("all", random(9, int(l.Free)))}
	f, l := create(t, v)
	if fsck(t, f); l.Free != 0 {
		t.Errorf("%d bytes are free", l.Free)
	}
	v.Files = []disk.File{disk.Bytes("dir/all", random(9, int(l.Files["all"].Size)))}
	if _, err := v.Plan(); err == nil || !strings.Contains(err.Error(), "file dir/all of") || !strings.Contains(err.Error(), fmt.Sprint(8*mib)) {
		t.Error(err)
	}
}

func TestBadVolumes(t *testing.T) {
	file := func(path string) []disk.File { return []disk.File{disk.Bytes(path, []byte("x"))} }
	for _, c := range []struct {
		name string
		v    Volume
		want string
	}{
		{"size", Volume{Size: 64*mib + 1}, "multiple"},
		{"small", Volume{Size: 32 * mib}, "or FAT16"},
		{"small 16", Volume{Size: mib, Bits: 16}, "larger"},
		{"large 16", Volume{Size: 4 << 30, Bits: 16}, "at most"},
		{"12", Volume{Size: mib, Bits: 12}, "FAT12 is not written"},
		{"time", Volume{Time: time.Unix(0, 0)}, "1970"},
		{"label", Volume{Label: "small"}, "capitals"},
		{"long label", Volume{Label: "TWELVE CHARS"}, "11"},
		{"absolute", Volume{Files: file("/x")}, "/x"},
		{"up", Volume{Files: file("a/../x")}, "a/../x"},
		{"signs", Volume{Files: file("a:b")}, "a:b"},
		{"blank", Volume{Files: file("a /b")}, "blank"},
		{"UTF-8", Volume{Files: file("a\xff")}, "is not"},
		{"long", Volume{Files: file(strings.Repeat("x", 256))}, "longer than 255"},
		{"twice", Volume{Files: append(file("a/B"), file("a/b")...)}, "taken"},
		{"file as folder", Volume{Files: append(file("a"), file("a/b")...)}, "a is a file"},
		{"folder as file", Volume{Files: append(file("a/b"), file("a")...)}, "taken"},
		{"folder in capitals", Volume{Files: append(file("a/b"), file("A/c")...)}, "folder a is there"},
		{"huge", Volume{Files: []disk.File{{Path: "f", Size: 1 << 32, Open: file("x")[0].Open}}}, "4294967295"},
		{"no content", Volume{Files: []disk.File{{Path: "f", Size: 1}}}, "no content"},
		{"alignment", Volume{Files: []disk.File{{Path: "f", Align: 3}}}, "power of two"},
	} {
		if c.v.Size == 0 {
			c.v.Size = 64 * mib
		}
		if c.v.Time.IsZero() {
			c.v.Time = when
		}
		if _, err := c.v.Write(t.Context(), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want something about %q", c.name, err, c.want)
		}
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error)           { return 0, f.error }
func (f failing) Close() error                       { return nil }
func (f failing) WriteAt([]byte, int64) (int, error) { return 0, f.error }

// Sources that are not what they were said to be, a disk that is full, and an
// end that is asked for.
func TestBadSources(t *testing.T) {
	boom := failing{errors.New("boom")}
	v := Volume{Size: 8 * mib, Bits: 16, Time: when}
	for want, f := range map[string]disk.File{
		"longer than the 3":  {Path: "x", Size: 3, Open: disk.Bytes("", []byte("four")).Open},
		"4 of the 5 bytes":   {Path: "x", Size: 5, Open: disk.Bytes("", []byte("four")).Open},
		"file x: boom":       {Path: "x", Size: 5, Open: func() (io.ReadCloser, error) { return boom, nil }},
		"file x: not opened": {Path: "x", Size: 5, Open: func() (io.ReadCloser, error) { return nil, errors.New("not opened") }},
	} {
		v.Files = []disk.File{f}
		if _, err := v.Write(t.Context(), io.NewOffsetWriter(discard{}, 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want something about %q", err, want)
		}
	}
	v.Files = nil
	if _, err := v.Write(t.Context(), boom); !errors.Is(err, boom.error) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(boom.error)
	if _, err := v.Write(ctx, discard{}); !errors.Is(err, boom.error) {
		t.Error(err)
	}
	if _, err := disk.FromHost("x", t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Error(err)
	}
	if _, err := disk.FromHost("x", filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// ascii is how mtools write a name without a locale: an underscore for each
// UTF-16 unit that is not ASCII.
func ascii(name string) string {
	var s strings.Builder
	for _, u := range utf16.Encode([]rune(name)) {
		if u > 0x7e {
			u = '_'
		}
		s.WriteByte(byte(u))
	}
	return s.String()
}
