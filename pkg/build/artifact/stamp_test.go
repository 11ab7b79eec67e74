package artifact

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/authenticode"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/source"
)

// stamped is a checkout, an artifact of it, and what it was asked for.
type stamped struct {
	Config
	out  string
	keys string
	at   source.State
}

// stamp is that of now.
func (s stamped) stamp(t *testing.T) stamp {
	t.Helper()
	st, err := newStamp(s.Config, s.out, []byte(s.keys), s.at)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func newStamped(t *testing.T) stamped {
	dir := t.TempDir()
	s := stamped{Config: Config{Root: filepath.Join(dir, "root"), Cache: filepath.Join(dir, "cache"), Arch: "amd64", Manifest: "x"}, out: filepath.Join(dir, "out"), at: source.State{Commit: "c", Clean: true}}
	for _, n := range []string{"bee.lock", "go.mod", "cmds/a/main.go", "pkg/b/b.go", "initramfs/x.manifest", "vendor-tools/amd64/tool", "key", "cert", "site"} {
		put(t, filepath.Join(s.Root, n), "1")
	}
	put(t, filepath.Join(s.out, "f"), "x")
	s.Vendor = filepath.Join(s.Root, initrd.VendorTools)
	s.CosignKey, s.SecureBoot = filepath.Join(s.Root, "key"), authenticode.Pair{Key: filepath.Join(s.Root, "key"), Cert: filepath.Join(s.Root, "cert")}
	s.ModuleKey, s.ModuleCert = s.SecureBoot.Key, s.SecureBoot.Cert
	s.Add.Files = []initrd.AddedFile{{Source: filepath.Join(s.Root, "site"), Path: "etc/site", Mode: 0o644}}
	return s
}

// TestStamp changes, one by one, what a build depends on.
func TestStamp(t *testing.T) {
	s := newStamped(t)
	if s.stamp(t).fresh(s.out) {
		t.Fatal("fresh before anything was built")
	}
	if err := s.stamp(t).keep(s.out); err != nil {
		t.Fatal(err)
	}
	if !s.stamp(t).fresh(s.out) {
		t.Fatal("nothing changed, and it is not fresh")
	}
	put(t, filepath.Join(s.Root, "pkg/b/b_test.go"), "tests do not count")
	put(t, filepath.Join(s.Root, "README.md"), "nor does what is no input")
	if !s.stamp(t).fresh(s.out) {
		t.Error("a test made it stale")
	}
	t.Run("asked", func(t *testing.T) { stale(t, s) })
	for _, n := range []string{"bee.lock", "cmds/a/main.go", "pkg/b/b.go", "initramfs/x.manifest", "firmware-list/new.list", "templates/grub.cfg",
		"vendor-tools/amd64/tool", "vendor-tools/amd64/more", "key", "cert", "site"} {
		put(t, filepath.Join(s.Root, n), "2")
		if s.stamp(t).fresh(s.out) {
			t.Errorf("%s changed, and it is fresh", n)
		}
		if err := s.stamp(t).keep(s.out); err != nil {
			t.Fatal(err)
		}
		if !s.stamp(t).fresh(s.out) {
			t.Errorf("%s changed and was built, and it is not fresh", n)
		}
	}
	if err := os.Chmod(filepath.Join(s.Root, "vendor-tools/amd64/tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	if s.stamp(t).fresh(s.out) {
		t.Error("a tool can be run now, and it is fresh")
	}
	if err := s.stamp(t).keep(s.out); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func() error{
		"changed": func() error { return os.WriteFile(filepath.Join(s.out, "f"), []byte("tampered"), 0o644) },
		"added":   func() error { return os.WriteFile(filepath.Join(s.out, "g"), nil, 0o644) },
		"removed": func() error { return os.Remove(filepath.Join(s.out, "f")) },
	} {
		if err := s.stamp(t).keep(s.out); err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if s.stamp(t).fresh(s.out) {
			t.Errorf("an output was %s, and it is fresh", what)
		}
		put(t, filepath.Join(s.out, "f"), "x")
	}
}

// stale asks for something else, one thing at a time.
func stale(t *testing.T, s stamped) {
	other := func(change func(*stamped)) stamped {
		o := s
		change(&o)
		return o
	}
	site, another := s.Add.Files[0], put(t, filepath.Join(t.TempDir(), "key"), "another")
	for what, o := range map[string]stamped{
		"keys":        other(func(s *stamped) { s.keys = "k" }),
		"commit":      other(func(s *stamped) { s.at.Commit = "d" }),
		"clean":       other(func(s *stamped) { s.at.Clean = false }),
		"arch":        other(func(s *stamped) { s.Arch = "arm64" }),
		"manifest":    other(func(s *stamped) { s.Manifest = "y" }),
		"date":        other(func(s *stamped) { s.Date = time.Unix(1, 0) }),
		"parameters":  other(func(s *stamped) { s.Parameters = []string{"bee.ip=dhcp"} }),
		"commands":    other(func(s *stamped) { s.Add.Commands = []string{"base64"} }),
		"modules":     other(func(s *stamped) { s.Add.Modules = []string{"base64"} }),
		"firmware":    other(func(s *stamped) { s.Add.Firmware = []string{"base64"} }),
		"NVIDIA":      other(func(s *stamped) { s.NVIDIA = "off" }),
		"flavor":      other(func(s *stamped) { s.NVIDIAFlavor = "open" }),
		"disk":        other(func(s *stamped) { s.DiskSize = 1 << 30 }),
		"ESP":         other(func(s *stamped) { s.ESPSize = 1 << 30 }),
		"vendor":      other(func(s *stamped) { s.Vendor = filepath.Join(s.Root, "cmds") }),
		"no cosign":   other(func(s *stamped) { s.CosignKey = "" }),
		"cosign":      other(func(s *stamped) { s.CosignKey = another }),
		"keyless":     other(func(s *stamped) { s.Keyless = func(context.Context) (sign.Signer, error) { return nil, nil } }),
		"Secure Boot": other(func(s *stamped) { s.SecureBoot = authenticode.Pair{} }),
		"modules' key": other(func(s *stamped) {
			s.ModuleKey, s.ModuleCert = "", ""
		}),
		"no file": other(func(s *stamped) { s.Add.Files = nil }),
		"file's path": other(func(s *stamped) {
			s.Add.Files = []initrd.AddedFile{{Source: site.Source, Path: "etc/other", Mode: site.Mode}}
		}),
		"file's mode": other(func(s *stamped) {
			s.Add.Files = []initrd.AddedFile{{Source: site.Source, Path: site.Path, Mode: 0o755}}
		}),
		"a file twice": other(func(s *stamped) {
			s.Add.Files = []initrd.AddedFile{site, {Source: site.Source, Path: "etc/more", Mode: 0o644}}
		}),
	} {
		if o.stamp(t).fresh(s.out) {
			t.Errorf("another %s, and it is fresh", what)
		}
	}
	if !s.stamp(t).fresh(s.out) {
		t.Error("as before, and it is not fresh")
	}
	s.CosignKey = "/no/such.key"
	if _, err := newStamp(s.Config, s.out, nil, s.at); err == nil {
		t.Error("a key that is not there, and nobody minds")
	}
}

// The folder of makers' programs may be a link, and so may each of them: what
// they lead to counts.
func TestStampFollowsLinks(t *testing.T) {
	s := newStamped(t)
	real := filepath.Join(t.TempDir(), "tools")
	file := put(t, filepath.Join(t.TempDir(), "tool"), "1")
	put(t, filepath.Join(real, "amd64/own"), "1")
	if err := os.Symlink(file, filepath.Join(real, "amd64/tool")); err != nil {
		t.Fatal(err)
	}
	s.Vendor = filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, s.Vendor); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func() error{
		func() error { return os.WriteFile(filepath.Join(real, "amd64/own"), []byte("2"), 0o644) },
		func() error { return os.WriteFile(file, []byte("2"), 0o644) },
		func() error { return os.Chmod(file, 0o755) },
	} {
		if err := s.stamp(t).keep(s.out); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if s.stamp(t).fresh(s.out) {
			t.Error("a tool behind a link changed, and it is fresh")
		}
	}
}
