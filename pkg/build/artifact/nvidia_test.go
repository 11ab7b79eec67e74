package artifact

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/lock"
)

func TestWantsNVIDIA(t *testing.T) {
	asks, not := initrd.Variant{NVIDIA: true}, initrd.Variant{}
	for _, c := range []struct {
		said, arch string
		v          initrd.Variant
		want       bool
	}{
		{"", "amd64", asks, true}, {"", "amd64", not, false}, {"", "arm64", asks, false},
		{"on", "amd64", not, true}, {"off", "amd64", asks, false},
	} {
		if got, err := (Config{NVIDIA: c.said, Arch: c.arch}).wantsNVIDIA(c.v); got != c.want || err != nil {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	if _, err := (Config{NVIDIA: "yes"}).wantsNVIDIA(not); err == nil || !strings.Contains(err.Error(), "on or off") {
		t.Error(err)
	}
}

// The gpu manifest asks for the driver, the others do not.
func TestManifestsThatAskForNVIDIA(t *testing.T) {
	for name, want := range map[string]bool{"thin": false, "server": false, "gpu": true} {
		v, err := initrd.ReadVariant(os.DirFS("../../../initramfs"), name)
		if err != nil {
			t.Fatal(err)
		}
		if v.NVIDIA != want || v.NVIDIABudget == 0 {
			t.Errorf("%s: NVIDIA %v, budget %d", name, v.NVIDIA, v.NVIDIABudget)
		}
	}
}

// A maker's program that was linked against glibc brings its libraries along,
// and no driver; a script brings nothing.
func TestVendorProgramsBringTheirLibraries(t *testing.T) {
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	store := debian.NewStore(f)
	e, err := l.Get("pciutils", "amd64") // any program of Debian's
	if err != nil {
		t.Fatal(err)
	}
	tree, err := store.Tree(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	tools := filepath.Join(root, initrd.VendorTools, "amd64")
	for _, dir := range []string{tools, filepath.Join(root, "initramfs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	manifest, err := os.ReadFile("../../../initramfs/thin.manifest")
	if err != nil {
		t.Fatal(err)
	}
	script := []byte("#!/bin/sh\n")
	for name, text := range map[string][]byte{filepath.Join(root, "initramfs/thin.manifest"): manifest, filepath.Join(tools, "sas3ircu"): script} {
		if err := os.WriteFile(name, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{Root: root, Arch: "amd64", Manifest: "thin", Progress: io.Discard}
	x, err := c.extra(t.Context(), l, store, nil)
	if err != nil || len(x.Compat) > 0 {
		t.Errorf("a script alone: %v, %v", x.Compat, err)
	}

	// setpci needs libpci, libkmod and what those need: not all of it is in the
	// compat root's packages, which the error says; mawk needs glibc alone.
	text, err := os.ReadFile(filepath.Join(tree, "usr/bin/setpci"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tools, "storcli64"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := c.extra(t.Context(), l, store, nil); err == nil || !strings.Contains(err.Error(), "storcli64 needs the library libpci.so.3") {
		t.Errorf("a library that nobody has: %v", err)
	}
	if e, err = l.Get("mawk", "amd64"); err != nil {
		t.Fatal(err)
	}
	if tree, err = store.Tree(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(filepath.Join(tree, "usr/bin/mawk")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tools, "storcli64"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	x, err = c.extra(t.Context(), l, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range x.Compat {
		names = append(names, strings.TrimPrefix(f.Path, bom.CompatDir+"/"))
	}
	for _, want := range []string{"lib/ld-linux-x86-64.so.2", "lib/libc.so.6", "lib/libm.so.6"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not there: %q", want, names)
		}
	}
	if slices.Contains(names, "bin/storcli64") || x.Driver != nil {
		t.Errorf("more than libraries: %q, %v", names, x.Driver)
	}
}
