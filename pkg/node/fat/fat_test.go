package fat_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/node/fat"
)

// run runs tools that make file systems, one after the other, in a folder that
// they see as /out.
func run(t *testing.T, dir string, commands ...[]string) {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", "tools-judge")
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range commands {
		var out strings.Builder
		cmd, err := b.Command(t.Context(), sandbox.Step{Args: args, Rw: []sandbox.Bind{{Host: dir, Path: "/out"}}, Stdout: &out, Stderr: &out})
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out.String())
		}
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestReadsWhatMtoolsWrote reads files that mcopy put onto what mkfs.vfat made,
// in pieces, with long and short names.
func TestReadsWhatMtoolsWrote(t *testing.T) {
	for _, bits := range []string{"12", "16", "32"} {
		t.Run(bits, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string][]byte{
				"meta-data": []byte("instance-id: x\n"), "SHORT.TXT": []byte("short"), "empty": nil,
				"big file with a long name of more than twenty-six characters.bin": noise(200_001),
			}
			image := make([]byte, map[string]int{"12": 2 << 20, "16": 16 << 20, "32": 64 << 20}[bits])
			if err := os.WriteFile(filepath.Join(dir, "disk"), image, 0o600); err != nil {
				t.Fatal(err)
			}
			commands := [][]string{{"mkfs.vfat", "-F", bits, "-n", "CIDATA", "/out/disk"}}
			// A hole in the middle makes what follows lie in two pieces.
			for i, name := range []string{"filler1", "filler2"} {
				if err := os.WriteFile(filepath.Join(dir, name), noise(60_000+i), 0o600); err != nil {
					t.Fatal(err)
				}
				commands = append(commands, []string{"mcopy", "-i", "/out/disk", "/out/" + name, "::"})
			}
			commands = append(commands, []string{"mdel", "-i", "/out/disk", "::filler1"}, []string{"mmd", "-i", "/out/disk", "::folder"})
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
				commands = append(commands, []string{"mcopy", "-i", "/out/disk", "/out/" + name, "::"})
			}
			run(t, dir, append(commands, []string{"fsck.fat", "-n", "/out/disk"})...)
			f, err := os.Open(filepath.Join(dir, "disk"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			v, err := fat.Open(f)
			if err != nil {
				t.Fatal(err)
			}
			if label, err := v.Label(); err != nil || label != "CIDATA" {
				t.Errorf("label %q, %v", label, err)
			}
			for name, text := range files {
				for _, name := range []string{name, strings.ToUpper(name)} {
					if got, err := v.ReadFile(name, 1<<20); err != nil || !bytes.Equal(got, text) {
						t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(text))
					}
				}
			}
			for _, name := range []string{"filler1", "folder", "CIDATA", "user-data", ""} {
				if _, err := v.ReadFile(name, 1<<20); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%q: %v, want ErrNotExist", name, err)
				}
			}
			if _, err := v.ReadFile("filler2", 60_000); err == nil || !strings.Contains(err.Error(), "60001 bytes, at most 60000") {
				t.Errorf("a file that is too long: %v", err)
			}
		})
	}
}

func TestNone(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 511), make([]byte, 4096), noise(4096)} {
		if _, err := fat.Open(bytes.NewReader(b)); !errors.Is(err, fat.ErrNone) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

// small is a FAT12 of 64 sectors with two files, made by hand so that the
// fuzzer has something short to begin with.
func small() []byte {
	b := make([]byte, 64*512)
	copy(b, "\xeb\x3c\x90mkfs.fat\x00\x02\x01\x01\x00\x01\x10\x00\x40\x00\xf8\x01\x00")
	b[510], b[511] = 0x55, 0xaa
	copy(b[512:], "\xf8\xff\xff\x03\xf0\xff") // 2 → 3 → end
	root := b[1024:]
	copy(root, "CIDATA     \x08")
	copy(root[32:], "\x41m\x00e\x00t\x00a\x00-\x00\x0f\x00\x00d\x00a\x00t\x00a\x00\x00\x00\xff\xff\x00\x00\xff\xff\xff\xff")
	copy(root[64:], "META-D~1   \x20")
	var sum byte
	for _, c := range root[64:75] {
		sum = (sum>>1 | sum<<7) + c
	}
	root[32+13] = sum
	root[64+26], root[64+28], root[64+29] = 2, 0x58, 2 // 600 bytes
	copy(b[1024+512:], "hello")
	return b
}

func TestSmall(t *testing.T) {
	v, err := fat.Open(bytes.NewReader(small()))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := v.ReadFile("meta-data", 1000); err != nil || len(b) != 600 || string(b[:5]) != "hello" {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for what, change := range map[string]func(b []byte){
		"a chain that goes round and ends too early": func(b []byte) { copy(b[512:], "\xf8\xff\xff\xff\xff\xff") },
		"a chain that leaves the volume":             func(b []byte) { copy(b[512:], "\xf8\xff\xff\x00\xf9\xff") },
		"a chain into free space":                    func(b []byte) { copy(b[512:], "\xf8\xff\xff\x00\x00\x00") },
		"a first cluster of 0":                       func(b []byte) { b[1024+64+26] = 0 },
	} {
		b := small()
		change(b)
		v, err := fat.Open(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.ReadFile("meta-data", 1000); err == nil {
			t.Errorf("%s: %d bytes were read", what, len(got))
		}
	}
	// A name whose checksum is another entry's is not this file's.
	b := small()
	b[1024+32+13]++
	if v, err = fat.Open(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ReadFile("meta-data", 1000); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a foreign long name: %v", err)
	}
	if _, err := v.ReadFile("meta-d~1", 1000); err != nil {
		t.Errorf("the short name: %v", err)
	}
}

func FuzzVolume(f *testing.F) {
	f.Add(small())
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := fat.Open(bytes.NewReader(b))
		if err != nil {
			return
		}
		if _, err := v.Label(); err != nil {
			return
		}
		if got, err := v.ReadFile("meta-data", 4096); err == nil && len(got) > 4096 {
			t.Errorf("%d bytes were read", len(got))
		}
	})
}
