package iso9660_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/node/iso9660"
)

// tools opens a group of tools that make or judge file systems.
func tools(t *testing.T, group string) *sandbox.Sandbox {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", group)
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// longRockRidge needs more room than a directory record has: it goes on in a
// continuation area.
var longRockRidge = strings.Repeat("a long name ", 20)

// TestReadsWhatToolsWrote reads what genisoimage and xorriso made, with each of
// the ways to name a file.
func TestReadsWhatToolsWrote(t *testing.T) {
	files := map[string][]byte{
		"meta-data": []byte("instance-id: x\n"), "user-data": bytes.Repeat([]byte("#cloud-config\n"), 1000), "empty": {},
		longRockRidge: []byte("long"),
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree", "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "tree", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		group string
		args  []string
		names map[string]string // in files → on the medium
	}{
		{"rock ridge and joliet", "tools-judge", []string{"genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-o"}, map[string]string{longRockRidge: longRockRidge}},
		{"rock ridge", "tools-judge", []string{"genisoimage", "-quiet", "-volid", "cidata", "-rock", "-o"}, map[string]string{longRockRidge: longRockRidge}},
		{"joliet", "tools-judge", []string{"genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-o"}, nil},
		{"xorriso", "tools-judge", []string{"xorriso", "-as", "genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-o"}, map[string]string{longRockRidge: longRockRidge}},
		{"plain", "tools-judge", []string{"genisoimage", "-quiet", "-volid", "cidata", "-o"}, map[string]string{"meta-data": "META_DAT", "user-data": "USER_DAT", "empty": "EMPTY"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			cmd, err := tools(t, c.group).Command(t.Context(), sandbox.Step{Args: append(c.args, "/out/iso", "/out/tree"), Rw: []sandbox.Bind{{Host: dir, Path: "/out"}}, Stdout: &out, Stderr: &out})
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %v: %s", c.args, err, out.String())
			}
			f, err := os.Open(filepath.Join(dir, "iso"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			v, err := iso9660.Open(f)
			if err != nil {
				t.Fatal(err)
			}
			if label, err := v.Label(); err != nil || label != "cidata" {
				t.Errorf("label %q, %v", label, err)
			}
			for name, text := range files {
				on, ok := c.names[name]
				if !ok {
					on = name
				}
				if name == longRockRidge && !ok {
					continue // no other way holds it whole
				}
				if got, err := v.ReadFile(on, 1<<20); err != nil || !bytes.Equal(got, text) {
					t.Errorf("%s: %d bytes, %v; want %d", on, len(got), err, len(text))
				}
			}
			for _, name := range []string{"folder", "FOLDER", "vendor-data", ".", "..", ""} {
				if _, err := v.ReadFile(name, 1<<20); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%q: %v, want ErrNotExist", name, err)
				}
			}
			if name := "user-data"; c.names["user-data"] == "" {
				if _, err := v.ReadFile(name, 13_999); err == nil || !strings.Contains(err.Error(), "14000 bytes, at most 13999") {
					t.Errorf("a file that is too long: %v", err)
				}
			}
		})
	}
}

func TestNone(t *testing.T) {
	for _, n := range []int{0, 100, 32 << 10, 40 << 10} {
		if _, err := iso9660.Open(bytes.NewReader(make([]byte, n))); !errors.Is(err, iso9660.ErrNone) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// record is a directory record with a Rock Ridge part.
func record(start, size int, name string, use ...byte) []byte {
	b := make([]byte, 33, 255)
	binary.LittleEndian.PutUint32(b[2:], uint32(start))
	binary.LittleEndian.PutUint32(b[10:], uint32(size))
	b[32] = byte(len(name))
	b = append(b, name...)
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	b = append(b, use...)
	b[0] = byte(len(b))
	return b
}

// small is a volume of 20 sectors, made by hand: the fuzzer begins with it.
func small(use ...byte) []byte {
	b := make([]byte, 20*2048)
	d := b[16*2048:]
	copy(d, "\x01CD001\x01")
	copy(d[40:], "cidata                          ")
	binary.LittleEndian.PutUint16(d[128:], 2048)
	copy(d[156:], record(18, 2048, "\x00"))
	copy(b[17*2048:], "\xffCD001\x01")
	dot := record(18, 2048, "\x00", 'S', 'P', 7, 1, 0xbe, 0xef, 0)
	dot[25] = 2
	copy(b[18*2048:], dot)
	copy(b[18*2048+len(dot):], record(19, 5, "USER.;1", use...))
	copy(b[19*2048:], "hello")
	return b
}

func TestSmall(t *testing.T) {
	for what, c := range map[string]struct {
		use  []byte
		name string
		fail string // in the error; empty: it is read
	}{
		"plain":                 {nil, "USER", ""},
		"rock ridge":            {[]byte("NM\x06\x01\x00u"), "u", ""},
		"in two parts":          {[]byte("NM\x06\x01\x01uNM\x06\x01\x00v"), "uv", ""},
		"an entry of no length": {[]byte("NM\x00\x01\x00u"), "USER", ""},
		"an entry too long":     {[]byte("NM\xff\x01\x00u"), "USER", ""},
		"for ever":              {[]byte("CE\x1c\x01\x12\x00\x00\x00\x00\x00\x00\x12\x28\x00\x00\x00\x00\x00\x00\x28\x20\x00\x00\x00\x00\x00\x00\x20"), "u", "does not exist"},
		"outside":               {[]byte("CE\x1c\x01\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00\x00\x00\x00\x20"), "u", "continuation area"},
		"huge":                  {[]byte("CE\x1c\x01\x12\x00\x00\x00\x00\x00\x00\x12\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"), "u", "continuation area"},
	} {
		v, err := iso9660.Open(bytes.NewReader(small(c.use...)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := v.ReadFile(c.name, 100)
		if c.fail == "" && (err != nil || string(b) != "hello") || c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)) {
			t.Errorf("%s: %q, %v", what, b, err)
		}
	}
}

func TestBroken(t *testing.T) {
	for what, c := range map[string]struct {
		change func(b []byte)
		fail   string
	}{
		"blocks of 512":     {func(b []byte) { b[16*2048+129] = 2 }, "blocks of 512"},
		"a huge root":       {func(b []byte) { b[16*2048+156+13] = 1 }, "at most 1048576"},
		"root outside":      {func(b []byte) { b[16*2048+156+4] = 1 }, "EOF"},
		"a short record":    {func(b []byte) { b[18*2048] = 33 }, "broken at byte 0"},
		"a name too long":   {func(b []byte) { b[18*2048+32] = 200 }, "broken at byte 0"},
		"split into pieces": {func(b []byte) { b[18*2048+42+25] = 0x80 }, "one piece"},
		"data outside":      {func(b []byte) { b[18*2048+42+4] = 1 }, "EOF"},
	} {
		b := small()
		c.change(b)
		v, err := iso9660.Open(bytes.NewReader(b))
		if err == nil {
			_, err = v.ReadFile("USER", 100)
		}
		if err == nil || !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%s: %v, want %q", what, err, c.fail)
		}
	}
}

func FuzzVolume(f *testing.F) {
	f.Add(small())
	f.Add(small([]byte("NM\x06\x01\x00u")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := iso9660.Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, name := range []string{"u", "USER"} {
			if got, err := v.ReadFile(name, 4096); err == nil && len(got) > 4096 {
				t.Errorf("%d bytes were read", len(got))
			}
		}
	})
}
