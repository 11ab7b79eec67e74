package artifact

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/initrd"
)

// The second waits for the first, and says so; it gives up when it is told to.
func TestLockFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	unlock, err := LockFolder(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := &cancelAt{text: "waiting for it", cancel: cancel}
	if _, err := LockFolder(ctx, dir, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("%v\n%s", err, &stop.said)
	}
	free := &cancelAt{text: "waiting for it", cancel: func() {
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}}
	if unlock, err = LockFolder(t.Context(), dir, free); err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("the lock left %v, %v", list, err)
	}
	file := put(t, filepath.Join(t.TempDir(), "file"), "x")
	if _, err := LockFolder(t.Context(), file, io.Discard); err == nil {
		t.Error("a file was locked")
	}
}

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
