package initrd

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/u-root/mkuimage/cpio"

	"github.com/bee-os/bee/pkg/kmod"
)

var date = time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)

func sample(t *testing.T) segment {
	t.Helper()
	var s segment
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []node{
		{path: "bin", mode: typeDir | 0o755},
		{path: "bin/bb", mode: typeFile | 0o755, source: file},
		link("bin/ls", "bb"),
		{path: "a/b/c", mode: typeFile | 0o4750, gid: 27, text: []byte("hi")},
		{path: "dev/console", mode: typeChar | 0o600, major: 5, minor: 1},
	} {
		if err := s.add(n); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestArchive(t *testing.T) {
	s := sample(t)
	var b bytes.Buffer
	if err := s.write(&b, date); err != nil {
		t.Fatal(err)
	}
	if b.Len()%512 != 0 {
		t.Errorf("%d bytes: the next segment must begin at a multiple of 512", b.Len())
	}
	records, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(b.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		if r.MTime != uint64(date.Unix()) {
			t.Errorf("%s has the time %d", r.Name, r.MTime)
		}
		got = append(got, r.Name)
	}
	if d := cmp.Diff([]string{"bin", "bin/bb", "bin/ls", "a", "a/b", "a/b/c", "dev", "dev/console"}, got); d != "" {
		t.Error(d)
	}
	if r := records[5]; r.Mode != typeFile|0o4750 || r.GID != 27 || r.FileSize != 2 {
		t.Errorf("a/b/c: %+v", r.Info)
	}
	if r := records[7]; r.Rmajor != 5 || r.Rminor != 1 {
		t.Errorf("dev/console: %+v", r.Info)
	}
	if want := int64(8*inode + 2*page + page); s.ram() != want {
		t.Errorf("ram = %d, want %d", s.ram(), want)
	}
}

func TestAddRefuses(t *testing.T) {
	s := sample(t)
	for _, p := range []string{"/abs", "../up", "a/../b", "bin/bb", "a//b", ""} {
		if err := s.add(node{path: p, mode: typeFile | 0o644, text: []byte("x")}); err == nil {
			t.Errorf("add(%q) took it", p)
		}
	}
	if err := s.add(node{path: "bin", mode: typeDir | 0o755}); err != nil {
		t.Errorf("a folder twice: %v", err)
	}
	if err := s.add(node{path: "x", mode: typeFile, source: "/no/such"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a source that is not there: %v", err)
	}
}

func TestImageIsTheSameTwiceAndWholeOrNotThere(t *testing.T) {
	var images [2][]byte
	for i := range images {
		raw, packed := sample(t), sample(t)
		packed.zstd = true
		name := filepath.Join(t.TempDir(), "img")
		if err := writeImage(name, []segment{raw, {}, packed}, date); err != nil {
			t.Fatal(err)
		}
		var err error
		if images[i], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two images of the same content differ")
	}
	// The second segment begins where the first, padded, ends.
	var first bytes.Buffer
	s := sample(t)
	if err := s.write(&first, date); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(images[0][first.Len():]))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if rest, err := io.ReadAll(z); err != nil || !bytes.Equal(rest, first.Bytes()) {
		t.Errorf("the compressed segment: %d bytes, %v", len(rest), err)
	}
	broken := sample(t)
	broken.nodes[1].source = "/no/such"
	name := filepath.Join(t.TempDir(), "img")
	if err := writeImage(name, []segment{broken}, date); err == nil {
		t.Error("a missing source was written")
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestModprobeIsNotAmongTheCommands: /sbin is /bin, and at /sbin/modprobe the kernel
// would start it before PID 1, again and again.
func TestModprobeIsNotAmongTheCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	var b tree
	if err := b.addPrograms(programs{busybox: file, init: file, sudo: file}, []string{"ls", "modprobe"}); err != nil {
		t.Fatal(err)
	}
	if b.seen["bin/modprobe"] || !b.seen[kmod.ModprobePath] || !b.seen["bin/ls"] {
		t.Errorf("the image has %v", b.seen)
	}
}
