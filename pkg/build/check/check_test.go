package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFuzzTargets(t *testing.T) {
	const list = "FuzzA\nFuzzB\nok  \tbee/pkg/x\t0.01s\n?   \tbee/cmds/y\t[no test files]\nok  \tbee/pkg/z\t0.02s\nFuzzC\nok  \tbee/pkg/w\t0.01s\n"
	got := fuzzTargets(strings.NewReader(list))
	want := []fuzzTarget{{"bee/pkg/x", "FuzzA"}, {"bee/pkg/x", "FuzzB"}, {"bee/pkg/w", "FuzzC"}}
	if !slices.Equal(got, want) {
		t.Fatalf("fuzzTargets = %v, want %v", got, want)
	}
}

func TestFuzzTime(t *testing.T) {
	for each, good := range map[string]bool{"60s": true, "10000x": true, "0x": false, "x": false, "-1x": false, "10": false, "0s": false, "-2s": false, "soon": false} {
		if err := checkFuzzTime(each); (err == nil) != good {
			t.Errorf("FUZZTIME=%s: %v", each, err)
		}
	}
}

func TestVulnDB(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a copy")
	if _, err := vulnDB(dir); err == nil || !strings.Contains(err.Error(), "BEE_VULNDB") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "index"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := vulnDB(dir); err == nil || !strings.Contains(err.Error(), "index/db.json") {
		t.Errorf("a folder without a database: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index/db.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := vulnDB(dir); err != nil || got != "file://"+strings.ReplaceAll(dir, " ", "%20") {
		t.Errorf("a folder: %q, %v", got, err)
	}
	if got, err := vulnDB("https://vuln.example.org"); err != nil || got != "https://vuln.example.org" {
		t.Errorf("a URL: %q, %v", got, err)
	}
}
