package artifact

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl operator@example"

func TestReadKeys(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys")
	short := "ssh-rsa " + base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x07ssh-dss"))
	for text, says := range map[string]string{
		key:                          "",
		"# mine\n\n" + key + "\n":    "",
		"from=\"10.0.0.0/8\" " + key: "",
		"":                           "no key in it",
		"# nothing\n":                "no key in it",
		key + "\nnonsense\n":         "line 2",
		"ssh-dss AAAA\n":             "line 1",
		"ssh-ed25519 !!!!\n":         "line 1",
		short:                        "line 1",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n": "private key",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readKeys(name)
		switch {
		case says == "" && (err != nil || !bytes.HasSuffix(got, []byte("\n"))):
			t.Errorf("%q: %v", text, err)
		case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%q: %v, want an error with %q", text, err, says)
		}
	}
	if _, err := readKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "BEE_AUTHORIZED_KEYS") {
		t.Errorf("a file that is not there: %v", err)
	}
	if got, err := readKeys(""); got != nil || err != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
}

func FuzzIsKey(f *testing.F) {
	f.Add(key)
	f.Fuzz(func(t *testing.T, line string) { isKey(line) })
}

func TestBuildNamesWhatIsWrong(t *testing.T) {
	for says, c := range map[string]Config{
		"ARCH is one of: amd64": {Root: "../../..", Arch: "sparc"},
		"bee.lock":              {Root: t.TempDir()},
		"BEE_AUTHORIZED_KEYS":   {Root: "../../..", Keys: "/no/such", Cache: t.TempDir()},
	} {
		if err := Build(context.Background(), c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want an error with %q", c, err, says)
		}
	}
}

func TestExplainNoSpace(t *testing.T) {
	err := explain(&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, Config{Cache: "/c"})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "BEE_CACHE") {
		t.Error(err)
	}
}

func TestLoad(t *testing.T) {
	env := map[string]string{"ARCH": "arm64", "MANIFEST": "thin", "VARIANT": "iso,uki", "BEE_AUTHORIZED_KEYS": "k", "SOURCE_DATE_EPOCH": "86400", "BEE_PARAMETERS": "bee.ntp=192.0.2.1"}
	load := func() (Config, error) { return Load("../../..", func(k string) string { return env[k] }) }
	c, err := load()
	if err != nil || c.Arch != "arm64" || c.Manifest != "thin" || c.Keys != "k" || !c.Date.Equal(time.Unix(86400, 0)) ||
		!slices.Equal(c.Families, []string{"iso", "uki"}) || !slices.Equal(c.Parameters, []string{"bee.ntp=192.0.2.1"}) {
		t.Errorf("%+v, %v", c, err)
	}
	for name, bad := range map[string]string{"ARCH": "arm46", "VARIANT": "isso", "MANIFEST": "sever", "SOURCE_DATE_EPOCH": "today"} {
		was := env[name]
		env[name] = bad
		if _, err := load(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, bad, err)
		}
		env[name] = was
	}
}

// TestFamilies: each family is made for an architecture that there is, and no two
// have one name.
func TestFamilies(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range Families {
		if seen[f.Name] || f.Summary == "" || len(f.Arches) == 0 || f.Build == nil {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
		for _, a := range f.Arches {
			if !slices.Contains(Arches, a) {
				t.Errorf("%s is made for %s", f.Name, a)
			}
		}
	}
	for arch, names := range Media {
		for _, n := range names {
			if !slices.Contains(FamiliesFor(arch), n) {
				t.Errorf("%s is no family for %s", n, arch)
			}
		}
	}
	for says, c := range map[string]Config{
		"do you mean iso?": {Root: "../../..", Families: []string{"isso"}},
		"is not made for":  {Root: "../../..", Families: []string{"disk-image-rpi4"}},
	} {
		if err := Build(t.Context(), c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", c.Families, err)
		}
	}
}
