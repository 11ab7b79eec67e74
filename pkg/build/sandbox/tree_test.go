package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// makeLayer writes files (name → content; "→x" makes a link to x) and returns
// them as a layer.
func makeLayer(t *testing.T, name string, files map[string]string) layer {
	t.Helper()
	dir := t.TempDir()
	for file, text := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "→"); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return layer{name, dir}
}

func TestBuildTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	layers := []layer{
		makeLayer(t, "one", map[string]string{"bin/a": "a", "lib64/ld.so": "→../lib/ld.so", "etc/passwd": "shipped"}),
		makeLayer(t, "two", map[string]string{"usr/bin/b": "b", "lib": "→usr/lib", "usr/lib/ld.so": "ld"}),
	}
	for range 2 { // a second builder that comes late does no harm
		if err := buildTree(t.Context(), dir, layers); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"bin/a": "a", "usr/bin/a": "a", "sbin/../bin/b": "b", "lib64/ld.so": "ld", "etc/passwd": baseFiles["etc/passwd"]} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s is %q, %v; want %q", name, b, err, want)
		}
	}
	if b, err := os.ReadFile(filepath.Join(layers[0].dir, "etc/passwd")); err != nil || string(b) != "shipped" {
		t.Errorf("the store's file became %q, %v", b, err)
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBuildTreeRefuses(t *testing.T) {
	one := makeLayer(t, "one", map[string]string{"bin/x": "1"})
	two := makeLayer(t, "two", map[string]string{"usr/bin/x": "2"})
	dir := filepath.Join(t.TempDir(), "tree")
	err := buildTree(t.Context(), dir, []layer{one, two})
	if err == nil || !strings.Contains(err.Error(), "/usr/bin/x is in one and in two") {
		t.Errorf("conflict gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := buildTree(ctx, dir, []layer{one}); err == nil {
		t.Error("a cancelled build succeeded")
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTreeKey(t *testing.T) {
	a, b := treeKey([]string{"x 1", "y 2"}), treeKey([]string{"y 2", "x 1"})
	if a != b {
		t.Error("the order of entries matters")
	}
	if c := treeKey([]string{"x 1", "y 3"}); a == c {
		t.Error("another version, the same key")
	}
}

// TestMergedTree keeps the links of the usr merge and the merge of paths
// together.
func TestMergedTree(t *testing.T) {
	for _, l := range usrMerge {
		if got := merged(l[0]); got != l[1] {
			t.Errorf("%s moves to %s", l[0], got)
		}
		if got := merged(l[0] + "/a/b"); got != l[1]+"/a/b" {
			t.Errorf("%s/a/b moves to %s", l[0], got)
		}
	}
	for _, p := range []string{"etc", "libexec/x", "usr/bin/x", "binary"} {
		if got := merged(p); got != p {
			t.Errorf("%s moves to %s", p, got)
		}
	}
}
