package lock

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const upper = "Archive: debian\nMirrors:\n http://host/debian\n\nSuite: trixie\nArchive: debian\nComponents: main\n\nGroup: g\nArchitectures: amd64\nSuites: trixie\nWant: p\n\n"

const entry = "Package: p\nVersion: 1.0-1\nArchitecture: amd64\nSuite: trixie\nGroups: g\nFilename: pool/main/p/p_1.0-1_amd64.deb\nSize: 5\n" +
	"SHA256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"

// TestOwnLock reads the one that ships and writes it back, byte for byte.
func TestOwnLock(t *testing.T) {
	text, err := os.ReadFile("../../../" + Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Marshal(), text) {
		t.Error("reading and writing changes the file")
	}
	for _, g := range f.Groups {
		for _, arch := range g.Arches {
			if len(f.Group(g.Name, arch)) == 0 {
				t.Errorf("group %s has nothing for %s", g.Name, arch)
			}
		}
	}
	if _, err := f.Get("no-such-package", "amd64"); err == nil || !strings.Contains(err.Error(), "no-such-package") {
		t.Errorf("Get of what is not there: %v", err)
	}
}

func TestParse(t *testing.T) {
	f, err := Parse([]byte(upper + entry))
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.Get("p", "amd64")
	if err != nil || e.Version != "1.0-1" || e.Size != 5 {
		t.Errorf("%+v, %v", e, err)
	}
	if got := f.Group("g", "arm64"); len(got) != 0 {
		t.Errorf("another architecture: %v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, now string }{
		"a short digest":       {strings.Repeat("a", 64), "abc"},
		"a digest in capitals": {strings.Repeat("a", 64), strings.Repeat("A", 64)},
		"a path that climbs":   {"pool/main/p/p_", "pool/../../p_"},
		"an absolute path":     {"pool/main/p/p_", "/pool/p_"},
		"no size":              {"Size: 5\n", ""},
		"a negative size":      {"Size: 5", "Size: -5"},
		"a size that is none":  {"Size: 5", "Size: five"},
		"an unknown suite":     {"Suite: trixie\nGroups", "Suite: sid\nGroups"},
		"an unknown group":     {"Groups: g", "Groups: h"},
		"an unknown field":     {"Version: 1.0-1", "Version: 1.0-1\nOdd: 1"},
		"an unknown archive":   {"Archive: debian\nComponents", "Archive: other\nComponents"},
		"an unknown stanza":    {"Package: p", "Thing: p"},
		"no version":           {"Version: 1.0-1\n", ""},
	} {
		text := strings.Replace(upper+entry, c.old, c.now, 1)
		if text == upper+entry {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if f, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken as %+v", name, f.Entries)
		}
	}
	if _, err := Parse([]byte(upper + entry + "\n" + entry)); err == nil {
		t.Error("a package twice")
	}
}

func TestWriteWholeOrNotAtAll(t *testing.T) {
	name := filepath.Join(t.TempDir(), Name)
	f, err := Parse([]byte(upper + entry))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(name); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f.Entries[0].SHA256 = "short"
	if err := f.Write(name); err == nil {
		t.Error("a broken entry was written")
	}
	if after, err := os.ReadFile(name); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(upper + entry))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(l.Marshal())
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, l.Marshal())
		}
		if !bytes.Equal(again.Marshal(), l.Marshal()) {
			t.Fatal("writing twice differs")
		}
	})
}
