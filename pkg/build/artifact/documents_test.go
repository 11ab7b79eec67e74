package artifact

import (
	"os"
	"path/filepath"
	"testing"
)

// TestKept: an answer is found again for its key alone, and a damaged one is
// looked up anew.
func TestKept(t *testing.T) {
	p := &project{Config: Config{Cache: t.TempDir()}}
	asked := 0
	ask := func(key string) {
		t.Helper()
		v, err := kept(p, key, func() ([]string, error) { asked++; return []string{"answer to " + key}, nil })
		if err != nil || len(v) != 1 || v[0] != "answer to "+key {
			t.Errorf("%s: %q, %v", key, v, err)
		}
	}
	ask("a")
	ask("a")
	ask("b")
	if asked != 2 {
		t.Errorf("asked %d times instead of 2", asked)
	}
	files, err := filepath.Glob(filepath.Join(p.Cache, "licences", "*.json"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ask("a")
	if asked != 3 {
		t.Errorf("asked %d times instead of 3", asked)
	}
}
