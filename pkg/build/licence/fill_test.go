package licence

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/sbom"
)

// Every module that bee requires has a licence that SPDX lists, and is of a
// kind that may be linked into a program under BSD-3-Clause.
func TestOwnModules(t *testing.T) {
	text, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	var mods []bom.GoMod
	for _, r := range mod.Require {
		if !r.Indirect {
			mods = append(mods, bom.GoMod{Path: r.Mod.Path, Version: r.Mod.Version})
		}
	}
	found, err := Modules(ModuleCache(os.Getenv), mods)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range found {
		valid(t, g.Licence)
		if g.Note != "" || strings.Contains(g.Licence, "LicenseRef") || strings.Contains(g.Licence, "GPL") {
			t.Errorf("%s: %s (%s)", g.Path, g.Licence, g.Note)
		}
	}
}

// From bee.lock and a bill of materials to a manifest and an SBOM: what is in
// the image is required, what only built it is excluded.
func TestFill(t *testing.T) {
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	get := func(name string) lock.Entry {
		e, err := l.Get(name, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	inImage, tool := get("zlib1g"), get("grep")
	b := bom.BOM{Version: "0.1.0", Variant: "thin", Arch: "amd64", Inputs: []bom.Input{{Name: inImage.Name, Version: inImage.Version, Arch: inImage.Arch, SHA256: inImage.SHA256}}}
	used, err := Used(l, b)
	if err != nil || len(used) != 1 || used[0].Name != "zlib1g" {
		t.Fatalf("%v, %v", used, err)
	}
	store := debian.NewStore(f)
	one, err := Inputs(t.Context(), l, store, "amd64", used, manifest.RoleImage)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Inputs(t.Context(), l, store, "amd64", []lock.Entry{tool}, manifest.RoleTool)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.New(manifest.Config{Date: time.Unix(1790000000, 0), Family: "iso", Arch: "amd64", Go: "go1.26", BOM: b, Inputs: slices.Concat(one, two)})
	if err != nil {
		t.Fatal(err)
	}
	bill, err := sbom.Encode(m, b)
	if err != nil {
		t.Fatal(err)
	}
	for name, scope := range map[string]string{"zlib1g": "required", "grep": "excluded"} {
		_, rest, ok := strings.Cut(string(bill), `"name": "`+name+`"`)
		if at, want := strings.Index(rest, `"scope": "`), strings.Index(rest, `"scope": "`+scope); !ok || at != want {
			t.Errorf("%s is not %s", name, scope)
		}
	}
	b.Inputs[0].SHA256 = strings.Repeat("0", 64)
	if _, err := Used(l, b); err == nil || !strings.Contains(err.Error(), "zlib1g") {
		t.Errorf("an input that is not pinned: %v", err)
	}
}
