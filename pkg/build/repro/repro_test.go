package repro

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/mkuimage/cpio"

	"github.com/bee-os/bee/pkg/build/disk/iso9660"
)

// compared writes two files and returns what Compare says of them.
func compared(t testing.TB, name string, a, b []byte) string {
	t.Helper()
	one, two := t.TempDir(), t.TempDir()
	put(t, one, name, a)
	put(t, two, name, b)
	list, err := Compare(one, two)
	if err != nil {
		t.Fatal(err)
	}
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0].String()
	}
	t.Fatalf("%d differences in one file", len(list))
	return ""
}

func put(t testing.TB, dir, name string, text []byte) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

type entry struct {
	name, text string
	mode       uint64
	mtime      uint64
}

// archive is written by another program's library.
func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := cpio.Newc.Writer(&out)
	for i, e := range entries {
		if e.mode == 0 {
			e.mode = 0o100644
		}
		info := cpio.Info{Name: e.name, Ino: uint64(i), Mode: e.mode, MTime: e.mtime, NLink: 1, FileSize: uint64(len(e.text))}
		if err := w.WriteRecord(cpio.Record{Info: info, ReaderAt: strings.NewReader(e.text)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := cpio.WriteTrailer(w); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), make([]byte, (512-out.Len()%512)%512)...)
}

func packed(t testing.TB, text []byte, level zstd.EncoderLevel) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level))
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(text, nil)
}

func zipped(t testing.TB, text []byte, at time.Time, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	z.ModTime = at
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func tarred(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode), Size: int64(len(e.text)), ModTime: time.Unix(int64(e.mtime), 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Each row makes one kind of difference and says what the words must be.
func TestWords(t *testing.T) {
	bom := `{"schema":1,"inputs":[{"name":"linux","sha256":"aa"},{"name":"shim"}]}`
	other := strings.Replace(bom, `"aa"`, `"bb"`, 1)
	micro := archive(t, entry{name: "kernel/x86/microcode/GenuineIntel.bin", text: "\x01\x02\x03\x04"})
	programs := []entry{{name: "bin", mode: 0o040755}, {name: "bin/bb", text: strings.Repeat("busybox\x00", 5000)}, {name: "etc/bee/bom.json", text: bom}}
	changed := func(i int, f func(*entry)) []entry {
		list := append([]entry{}, programs...)
		f(&list[i])
		return list
	}
	long := bytes.Repeat([]byte("all work and no play "), 20000)
	initrd := func(list []entry) []byte {
		return join(micro, packed(t, archive(t, list...), zstd.SpeedDefault), make([]byte, 100), archive(t, entry{name: "lib/a.ko.xz", text: "\xfd7zXZ"}))
	}
	rest := archive(t, entry{name: "lib/a.ko.xz", text: "\xfd7zXY"})
	now := time.Unix(1790000000, 0)
	for name, c := range map[string]struct {
		file string
		a, b []byte
		want []string
	}{
		"nothing":             {"x", []byte("same"), []byte("same"), nil},
		"bytes":               {"x", []byte("\x00abc\x01def"), []byte("\x00abd\x01def"), []string{"x: byte 3 (0x3)", "63 01 64 65 66 against 64 01"}},
		"a longer file":       {"x", []byte("\x00abc"), []byte("\x00abcde"), []string{"byte 4", "the first ends here, the second has 2 bytes more"}},
		"an empty file":       {"x", nil, []byte("\x00"), []string{"byte 0", "the first ends here"}},
		"text":                {"SHA256SUMS", []byte("aa  x\nbb  y\n"), []byte("aa  x\nbc  y\n"), []string{"line 2", `"bb  y" in the first and "bc  y" in the second`}},
		"text and more lines": {"SHA256SUMS", []byte("aa  x\n"), []byte("aa  x\nbb  y\n"), []string{"line 2", `"" in the first and "bb  y"`}},
		"a JSON value":        {"bom.json", []byte(bom), []byte(other), []string{"JSON: inputs[0].sha256", `"aa" in the first and "bb" in the second`}},
		"a JSON key":          {"bom.json", []byte(bom), []byte(strings.Replace(bom, `,"sha256":"aa"`, "", 1)), []string{"JSON: inputs[0].sha256", "only the first has it"}},
		"a JSON list":         {"bom.json", []byte(bom), []byte(strings.Replace(bom, `,{"name":"shim"}`, "", 1)), []string{"JSON: inputs[1]", "2 elements, the second 1"}},
		"JSON blanks":         {"bom.json", []byte(bom), []byte(strings.Replace(bom, `,`, `, `, 1)), []string{"written in another way"}},
		"microcode":           {"initrd.img", initrd(programs), bytes.Replace(initrd(programs), []byte("\x01\x02\x03\x04"), []byte("\x01\x02\x03\x05"), 1), []string{"archive 1 of 3 (cpio, from byte 0)", "GenuineIntel.bin", "content", "byte 3"}},
		"a mode":              {"initrd.img", initrd(programs), initrd(changed(1, func(e *entry) { e.mode = 0o100755 })), []string{"archive 2 of 3 (zstd", "unpacked", `member "bin/bb"`, "mode is 0100644 in the first and 0100755"}},
		"an mtime":            {"initrd.img", initrd(programs), initrd(changed(0, func(e *entry) { e.mtime = 7 })), []string{`member "bin"`, "mtime is 0 in the first and 7 in the second"}},
		"a size":              {"initrd.img", initrd(programs), initrd(changed(1, func(e *entry) { e.text += "x" })), []string{`member "bin/bb"`, "filesize is 40000 in the first and 40001", "content", "byte 40000"}},
		"a member's JSON":     {"initrd.img", initrd(programs), initrd(changed(2, func(e *entry) { e.text = other })), []string{`member "etc/bee/bom.json"`, "content", "JSON: inputs[0].sha256"}},
		"a member's name":     {"initrd.img", initrd(programs), initrd(changed(1, func(e *entry) { e.name = "bin/bc" })), []string{`after member "bin" comes "bin/bb" in the first and "bin/bc"`}},
		"a member more":       {"initrd.img", archive(t, programs...), archive(t, programs[:2]...), []string{`after member "bin/bb"`, `"etc/bee/bom.json"`, `"TRAILER!!!"`}},
		"the last archive":    {"initrd.img", initrd(programs), join(initrd(programs)[:len(initrd(programs))-len(rest)], rest), []string{"archive 3 of 3 (cpio", `member "lib/a.ko.xz"`, "content", "byte 4"}},
		"an archive less":     {"initrd.img", initrd(programs), micro, []string{"archive 2 of 3 begins elsewhere"}},
		"another level":       {"x.zst", packed(t, long, zstd.SpeedFastest), packed(t, long, zstd.SpeedBestCompression), []string{"zstd", "the content is the same, it was compressed in another way"}},
		"zstd content":        {"x.zst", packed(t, []byte("one\n"), zstd.SpeedDefault), packed(t, []byte("two\n"), zstd.SpeedDefault), []string{"zstd", "block 1", "unpacked", "line 1"}},
		"a cut stream":        {"x.zst", packed(t, long, zstd.SpeedDefault), packed(t, long, zstd.SpeedDefault)[:40], []string{"the second cannot be unpacked"}},
		"a gzip time":         {"x.gz", zipped(t, long, now, 6), zipped(t, long, time.Time{}, 6), []string{"gzip", "time in the header is 2026-09-21T14:13:20Z in the first and none", "the content is the same"}},
		"a gzip level":        {"x.gz", zipped(t, long, now, 1), zipped(t, long, now, 9), []string{"gzip", "the content is the same"}},
		"gzip content":        {"x.gz", zipped(t, []byte(bom), now, 6), zipped(t, []byte(other), now, 6), []string{"gzip", "unpacked", "JSON: inputs[0].sha256"}},
		"a layer's mtime":     {"layer", zipped(t, tarred(t, entry{name: "usr/a", text: "a", mtime: 1}), now, 6), zipped(t, tarred(t, entry{name: "usr/a", text: "a", mtime: 2}), now, 6), []string{"gzip", `tar: member "usr/a"`, "mtime is 1970-01-01T00:00:01Z in the first and 1970-01-01T00:00:02Z"}},
		"a layer's content":   {"layer", tarred(t, entry{name: "usr/a", text: "a"}), tarred(t, entry{name: "usr/a", text: "b"}), []string{`tar: member "usr/a"`, "content", "line 1"}},
		"a layer's file":      {"layer", tarred(t, entry{name: "usr/a", text: "a"}), tarred(t, entry{name: "usr/b", text: "a"}), []string{`comes "usr/a" in the first and "usr/b"`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := compared(t, c.file, c.a, c.b)
			if c.want == nil && got != "" {
				t.Errorf("the same, and it says %q", got)
			}
			rest := got
			for _, w := range c.want {
				_, after, ok := strings.Cut(rest, w)
				if !ok {
					t.Errorf("no %q, in this order, in %q", w, got)
				}
				rest = after
			}
		})
	}
}

func TestFolders(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	put(t, a, "same", []byte("x"))
	put(t, b, "same", []byte("x"))
	put(t, a, "oci/only", []byte("x"))
	put(t, b, "more", nil)
	put(t, a, "z", []byte("1"))
	put(t, b, "z", []byte("2"))
	list, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		got = append(got, d.String())
	}
	const want = `more: only the second build made it
oci/only: only the first build made it
z: byte 0 (0x0): line 1: "1" in the first and "2" in the second`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("%s\nwant\n%s", g, want)
	}
	if _, err := Compare(a, filepath.Join(b, "none")); err == nil {
		t.Error("a folder that is not there")
	}
	if err := os.Symlink("same", filepath.Join(a, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := Compare(a, b); err == nil || !strings.Contains(err.Error(), "link is not a regular file") {
		t.Errorf("a link: %v", err)
	}
}

// Nothing that is left in a temporary folder, whatever was unpacked.
func TestLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	one := packed(t, []byte("one"), zstd.SpeedDefault)
	if got := compared(t, "x", one, packed(t, []byte("two"), zstd.SpeedDefault)); !strings.Contains(got, "unpacked") {
		t.Error(got)
	}
	left, err := filepath.Glob(filepath.Join(dir, "repro-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%q, %v", left, err)
	}
}

// FuzzExplain reads damaged structures: it must end, and say something.
func FuzzExplain(f *testing.F) {
	f.Add(archive(f, entry{name: "a", text: "b"}), 100, byte(1))
	f.Add(packed(f, []byte("text"), zstd.SpeedDefault), 8, byte(1))
	f.Add(tarred(f, entry{name: "a", text: "b"}), 100, byte(1))
	f.Add(zipped(f, []byte("text"), time.Time{}, 6), 4, byte(1))
	f.Add([]byte(`{"a":[1,2]}`), 6, byte(1))
	iso := make([]byte, 20*iso9660.Sector)
	copy(iso[iso9660.System:], "\x01CD001")
	copy(iso[iso9660.System+iso9660.Sector:], "\xffCD001")
	copy(iso[iso9660.System+156:], "\x22\x00\x12\x00\x00\x00\x00\x00\x00\x00\x00\x08")
	f.Add(iso, 18*iso9660.Sector, byte(1))
	f.Fuzz(func(t *testing.T, text []byte, at int, with byte) {
		if len(text) == 0 || with == 0 || at < 0 {
			return
		}
		other := bytes.Clone(text)
		other[at%len(other)] ^= with
		if got := compared(t, "x", text, other); got == "" {
			t.Error("nothing was said")
		}
	})
}
