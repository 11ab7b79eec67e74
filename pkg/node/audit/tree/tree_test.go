package tree

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/node/audit/device"
)

func machine(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"sys/devices/pci0/a/size": "5\n", "sys/devices/pci0/a/empty": "", "sys/devices/pci0/b/size": "7\n", "proc/x": "y"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "sys/block"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"sys/block/sda": "../devices/pci0/a", "sys/block/round": "round"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type once struct{ asked int }

func (o *once) Ask(_ context.Context, q device.Question) ([]byte, error) {
	o.asked++
	if q.Request[0] == 1 {
		return []byte("answer"), nil
	}
	return nil, device.TimedOut(time.Second)
}

// TestRecordAndPlayBack records some looks, and plays them back from the
// archive and from the archive unpacked.
func TestRecordAndPlayBack(t *testing.T) {
	asker := new(once)
	r := NewRecorder(NewLive(machine(t), time.Minute), asker)
	look := func(f interface {
		Root
		device.Asker
	}) string {
		var s strings.Builder
		show := func(b any, err error) {
			var fail *fs.PathError
			switch {
			case err == nil:
				s.WriteString(strings.TrimSpace(toString(b)))
			case errors.As(err, &fail):
				s.WriteString("!" + fail.Err.Error())
			default:
				s.WriteString("!" + err.Error())
			}
			s.WriteString("|")
		}
		for _, name := range []string{"sys/block/sda/size", "sys/block/sda/empty", "sys/block/sda/none", "sys/block/none", "proc/x"} {
			b, err := f.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				b, err = []byte("absent"), nil
			}
			show(b, err)
		}
		list, err := f.ReadDir("sys/block")
		show(list, err)
		to, err := f.ReadLink("sys/block/sda")
		show(to, err)
		_, err = f.Lstat("sys/block/sda/size")
		show("there", err)
		for _, q := range []byte{1, 2, 1} {
			b, err := f.Ask(context.Background(), device.Question{Device: "dev/x", Kind: device.NVMe, Request: []byte{q}, Reply: 9})
			if errors.Is(err, device.ErrTimeout) {
				b = []byte(err.Error())
				err = nil
			}
			show(b, err)
		}
		return s.String()
	}
	want := look(r)
	if !strings.Contains(want, "5||absent|absent|y|") || !strings.Contains(want, "timed out after 1s") || asker.asked != 2 {
		t.Fatalf("%s after %d questions", want, asker.asked)
	}
	var archive bytes.Buffer
	if err := r.Tree().Write(&archive); err != nil {
		t.Fatal(err)
	}
	played, err := Read(bytes.NewReader(archive.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if got := look(played); got != want {
		t.Errorf("%s\n%s", got, want)
	}
	dir := t.TempDir()
	unpack(t, archive.Bytes(), dir)
	played, err = ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := look(played); got != want {
		t.Errorf("unpacked: %s\n%s", got, want)
	}
	if _, err := played.ReadFile("sys/devices/pci0/b/size"); !errors.Is(err, device.ErrNotCaptured) {
		t.Errorf("what nobody read: %v", err)
	}
	if _, err := played.ReadDir("sys/devices"); !errors.Is(err, device.ErrNotCaptured) {
		t.Errorf("what nobody listed: %v", err)
	}
	if _, err := played.ReadFile("sys/block/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not in a list: %v", err)
	}
	if _, err := played.Ask(context.Background(), device.Question{Device: "dev/y", Kind: device.NVMe, Request: []byte{1}}); !errors.Is(err, device.ErrNotCaptured) {
		t.Errorf("what nobody asked: %v", err)
	}
}

func toString(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case string:
		return v
	case []fs.DirEntry:
		var s []string
		for _, d := range v {
			s = append(s, d.Name())
		}
		return strings.Join(s, ",")
	}
	return "?"
}

func unpack(t *testing.T, archive []byte, dir string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewReader(z)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, name)
		default:
			var b []byte
			if b, err = io.ReadAll(in); err == nil {
				err = os.WriteFile(name, b, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlainTar reads a tar that somebody made of a machine's files.
func TestPlainTar(t *testing.T) {
	played, err := Read(bytes.NewReader(packed(t, map[string]string{"a/b": "1", "a/c/d": "2"})))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(played, "a/c/d"); err != nil || string(b) != "2" {
		t.Errorf("%q, %v", b, err)
	}
	list, err := fs.ReadDir(played, "a")
	if err != nil || len(list) != 2 || list[0].Name() != "b" || !list[1].IsDir() {
		t.Errorf("%v, %v", list, err)
	}
	if played.Captured() {
		t.Error("it is no capture")
	}
	var _ fs.ReadLinkFS = played
}

func packed(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		h := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644}
		if to, ok := strings.CutPrefix(text, "->"); ok {
			h = tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
			text = ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBadArchives(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"no gzip":        {[]byte("hello, this is no archive"), "gzip"},
		"cut":            {packed(t, map[string]string{"a": strings.Repeat("x", 4000)})[:40], "unexpected EOF"},
		"a way out":      {packed(t, map[string]string{"../etc/passwd": "x"}), "below the root"},
		"another format": {packed(t, map[string]string{".bee/capture.json": `{"format":9}`}), "format 9"},
		"broken":         {packed(t, map[string]string{".bee/capture.json": `{`}), "description"},
	} {
		if _, err := Read(bytes.NewReader(c.b)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	loop, err := Read(bytes.NewReader(packed(t, map[string]string{"a": "->b", "b": "->a"})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loop.ReadFile("a"); err == nil || !strings.Contains(err.Error(), "links") {
		t.Errorf("a circle of links: %v", err)
	}
}

// TestDeadline reads from a pipe that nobody writes to.
func TestDeadline(t *testing.T) {
	began := time.Now()
	_, err := timed(20*time.Millisecond, "read", "x", func() (int, error) { time.Sleep(time.Minute); return 0, nil })
	if !errors.Is(err, device.ErrTimeout) || !strings.Contains(err.Error(), "timed out after 20ms") || time.Since(began) > 30*time.Second {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(packed(f, map[string]string{"a/b": "1", "l": "->a/b", ".bee/capture.json": `{"format":1,"lists":{"a":["b","c"]},"failures":{"a/c":{"class":"timeout","text":"x"}}}`}))
	f.Add(packed(f, map[string]string{"a/b": "1", "a": "->a"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		tree, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		seen := 0
		fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
			if seen++; seen > 1000 {
				return fs.SkipAll
			}
			tree.ReadFile(name)
			tree.ReadLink(name)
			return nil
		})
	})
}
