package sbom

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	packageurl "github.com/package-url/packageurl-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/manifest"
)

func sample(t *testing.T) (*manifest.Manifest, bom.BOM) {
	t.Helper()
	b := bom.BOM{Version: "0.1.0", Variant: "thin", Arch: "amd64", Firmware: []bom.Blob{{Path: "a/b.bin.xz", Size: 3, SHA256: strings.Repeat("f", 64)}},
		NVIDIA: &bom.NVIDIA{Modules: []bom.Blob{{Path: "nvidia.ko", SHA256: strings.Repeat("9", 64)}}},
		Compat: []bom.Blob{{Path: "lib/libc.so.6", SHA256: strings.Repeat("8", 64)}}, Vendor: []bom.Blob{{Path: "storcli64", SHA256: strings.Repeat("7", 64)}}}
	m, err := manifest.New(manifest.Config{
		Source: manifest.Source{Commit: strings.Repeat("c", 40)}, Date: time.Unix(1790000000, 0), Family: "iso", Arch: "amd64", Go: "go1.26.8", BOM: b,
		Inputs: []manifest.Input{
			{Name: "linux-image-x", Version: "6.12.107-1", Arch: "amd64", Suite: "trixie", SHA256: strings.Repeat("a", 64), Licence: "GPL-2.0-only", Roles: []string{"kernel"}},
			{Name: "libstdc++6", Version: "1:14.2.0~1+b1", Arch: "amd64", Suite: "trixie", SHA256: strings.Repeat("b", 64), Licence: "GPL-3.0-or-later WITH GCC-exception-3.1", Roles: []string{"tools-image"}},
			{Name: "firmware-x", Version: "1", Arch: "all", SHA256: strings.Repeat("d", 64), Licence: "LicenseRef-Debian-firmware-x", Note: "read the file", Roles: []string{"firmware"}},
		},
		Modules: []manifest.GoModule{{Path: "golang.org/x/sys", Version: "v0.49.0", Sum: "h1:x", Licence: "BSD-3-Clause"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bee.iso")
	if err := os.WriteFile(file, []byte("iso"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(t.Context(), file, manifest.Options{Role: "iso"}); err != nil {
		t.Fatal(err)
	}
	return m, b
}

func encoded(t *testing.T) (string, *manifest.Manifest) {
	t.Helper()
	m, b := sample(t)
	text, err := Encode(m, b)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), m
}

// official compiles the project's schema, which lies in its module.
func official(t *testing.T) func(string) error {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	for id, file := range map[string]string{
		"http://cyclonedx.org/schema/bom-1.6.schema.json":  "bom-1.6.schema.json",
		"http://cyclonedx.org/schema/spdx.schema.json":     "spdx.schema.json",
		"http://cyclonedx.org/schema/jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(id, doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// The official schema takes it, and takes nothing that is not CycloneDX.
func TestOfficialSchema(t *testing.T) {
	valid := official(t)
	text, _ := encoded(t)
	if err := valid(text); err != nil {
		t.Error(err)
	}
	for name, s := range map[string][2]string{
		"a licence that SPDX does not list": {`"id": "GPL-2.0-only"`, `"id": "GPL-2"`},
		"a digest that is none":             {strings.Repeat("a", 64), "abc"},
		"a type of its own":                 {`"type": "firmware"`, `"type": "blob"`},
		"a scope of its own":                {`"scope": "excluded"`, `"scope": "tool"`},
		"a serial number that is none":      {"urn:uuid:", "urn:x:"},
	} {
		bad := strings.Replace(text, s[0], s[1], 1)
		if bad == text {
			t.Fatalf("%s: nothing to spoil", name)
		}
		if err := valid(bad); err == nil {
			t.Errorf("%s: the schema lets it pass", name)
		}
	}
}

// Another reader finds names, versions and what the artifact is made of.
func TestContent(t *testing.T) {
	text, _ := encoded(t)
	var doc cdx.BOM
	if err := cdx.NewBOMDecoder(strings.NewReader(text), cdx.BOMFileFormatJSON).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	var purls []string
	for _, c := range *doc.Components {
		if c.PackageURL == "" {
			continue
		}
		p, err := packageurl.FromString(c.PackageURL)
		if err != nil {
			t.Error(err)
		}
		if name := strings.TrimPrefix(p.Namespace+"/"+p.Name, "debian/"); strings.TrimPrefix(name, "/") != c.Name || p.Version != c.Version {
			t.Errorf("%s is of %s %s", c.PackageURL, c.Name, c.Version)
		}
		purls = append(purls, c.PackageURL)
	}
	const want = `pkg:deb/debian/firmware-x@1?arch=all
pkg:deb/debian/libstdc%2B%2B6@1:14.2.0~1%2Bb1?arch=amd64&distro=trixie
pkg:deb/debian/linux-image-x@6.12.107-1?arch=amd64&distro=trixie
pkg:golang/golang.org/x/sys@v0.49.0
pkg:golang/std@1.26.8`
	if got := strings.Join(purls, "\n"); got != want {
		t.Errorf("package URLs\n%s\nwant\n%s", got, want)
	}
	holds := strings.Join(*(*doc.Dependencies)[0].Dependencies, " ")
	for ref, in := range map[string]bool{"linux-image-x": true, "libstdc": false, "file:lib/firmware/a/b.bin.xz": true, "golang.org/x/sys": true,
		"file:usr/local/lib/nvidia/nvidia.ko": true, "file:usr/lib/bee/compat/lib/libc.so.6": true, "file:usr/libexec/vendor/storcli64": true} {
		if strings.Contains(holds, ref) != in {
			t.Errorf("%s in the artifact: want %v", ref, in)
		}
	}
}

func TestSameBytes(t *testing.T) {
	a, _ := encoded(t)
	b, _ := encoded(t)
	if a != b {
		t.Error("two bills of one build differ")
	}
}

func TestCheck(t *testing.T) {
	text, m := encoded(t)
	if err := Check([]byte(text), m); err != nil {
		t.Error(err)
	}
	for name, s := range map[string]struct{ old, now, says string }{
		"another digest":          {strings.Repeat("a", 64), strings.Repeat("0", 64), "linux-image-x"},
		"another licence":         {`"GPL-2.0-only"`, `"MIT"`, "linux-image-x"},
		"another file":            {m.Outputs[0].SHA256, strings.Repeat("0", 64), "output:bee.iso"},
		"another version":         {`"version": "v0.49.0"`, `"version": "v0.50.0"`, "golang.org/x/sys"},
		"a component of its own":  {`"bom-ref": "output:bee.iso"`, `"bom-ref": "output:cow.iso"`, "lacks output:bee.iso"},
		"another form":            {`"specVersion": "1.6"`, `"specVersion": "1.5"`, "1.6"},
		"another kind of file":    {`"bomFormat": "CycloneDX"`, `"bomFormat": "SPDX"`, "CycloneDX"},
		"a firmware under a name": {`"bom-ref": "file:lib`, `"bom-ref": "pkg:lib`, "the manifest has not"},
	} {
		bad := strings.Replace(text, s.old, s.now, 1)
		if bad == text {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if err := Check([]byte(bad), m); err == nil || !strings.Contains(err.Error(), s.says) {
			t.Errorf("%s: %v; want something with %q", name, err, s.says)
		}
	}
}

func TestEncodeRefusesTwice(t *testing.T) {
	m, b := sample(t)
	b.Firmware = append(b.Firmware, b.Firmware...)
	if _, err := Encode(m, b); err == nil {
		t.Error("a file stands there twice")
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"type":"file","name":"a"}},"components":[]}`))
	m := &manifest.Manifest{Family: "iso", Arch: "amd64", Variant: "thin", Version: "1", Go: "go1.26"}
	f.Fuzz(func(t *testing.T, text []byte) {
		if Check(text, m) == nil && !bytes.Contains(text, []byte("pkg:golang/std@1.26")) && !bytes.Contains(text, []byte(`\`)) {
			t.Error("a bill without the standard library was taken")
		}
	})
}
