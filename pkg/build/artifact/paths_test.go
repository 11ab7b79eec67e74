package artifact

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/initrd"
)

// No document tells where on this machine something lies, nor holds a key: who
// publishes them would not know.
func TestDocumentsTellNoPaths(t *testing.T) {
	out, secrets := t.TempDir(), t.TempDir()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	site := put(t, filepath.Join(secrets, "site.txt"), "site")
	c := Config{Root: root, Manifest: "thin", Out: out, Families: []string{"uki"}, CosignKey: cosignKey(t), Keys: put(t, filepath.Join(secrets, "keys"), key+"\n"),
		Parameters: []string{"bee.ntp=192.0.2.1"}, ESPSize: 512 << 20, Add: initrd.Additions{Files: []initrd.AddedFile{{Source: site, Path: "etc/site", Mode: 0o644}}}, Progress: io.Discard}
	c.SecureBoot.Key, c.SecureBoot.Cert = pair(t, "firmware's owner")
	if err := Build(t.Context(), c); err != nil {
		unavailable(t, err)
	}
	private, err := os.ReadFile(c.CosignKey)
	if err != nil {
		t.Fatal(err)
	}
	forbidden := []string{root, out, secrets, cache, filepath.Dir(c.CosignKey), filepath.Dir(c.SecureBoot.Key), strings.Split(string(private), "\n")[1]}
	if len(home) > len("/root") {
		forbidden = append(forbidden, home)
	}
	seen := 0
	err = filepath.WalkDir(out, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		for _, f := range forbidden {
			if bytes.Contains(text, []byte(f)) {
				t.Errorf("%s holds %q", name, f)
			}
		}
		seen++
		if strings.HasSuffix(name, "uki/amd64/provenance.json") {
			for _, want := range []string{`"files": "/etc/site"`, `"parameters": "bee.ntp=192.0.2.1"`, `"esp_size": "536870912"`} {
				if !bytes.Contains(text, []byte(want)) {
					t.Errorf("%s lacks %s", name, want)
				}
			}
		}
		return err
	})
	if err != nil || seen < 10 {
		t.Errorf("%d files, %v", seen, err)
	}
}
