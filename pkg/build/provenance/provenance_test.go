package provenance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/manifest"
)

func sample(t *testing.T) Config {
	t.Helper()
	m, err := manifest.New(manifest.Config{
		Source: manifest.Source{Commit: strings.Repeat("c", 40), Clean: true}, Date: time.Unix(1790000000, 0),
		Family: "iso", Arch: "amd64", Go: "go1.26.8", BOM: bom.BOM{Version: "0.1.0", Variant: "thin", Arch: "amd64"},
		Tools:   []manifest.Tool{{Name: "xorriso", Version: "1.5.6"}},
		Inputs:  []manifest.Input{{Name: "libstdc++6", Version: "14.2.0-19", Arch: "amd64", Suite: "trixie", SHA256: strings.Repeat("a", 64), Licence: "GPL-3.0-only", Roles: []string{"tool"}}},
		Modules: []manifest.GoModule{{Path: "github.com/CycloneDX/x/v2", Version: "v2.0.1+incompatible", Sum: "h1:Khu2En+0gcYPZ2kuIihfswbzxv/mIHXgzPZ018Oty48=", Licence: "MIT"}},
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
	return Config{Manifest: m, Documents: []manifest.Sum{{Name: manifest.FileName, SHA256: strings.Repeat("d", 64)}}, Parameters: map[string]string{"nvidia": "off"}}
}

func encoded(t *testing.T, c Config) []byte {
	t.Helper()
	text, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The in-toto project's own library reads it, knows every field, and finds it
// complete.
func TestByInToto(t *testing.T) {
	text := encoded(t, sample(t))
	var s intoto.Statement
	if err := protojson.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	predicate, err := protojson.Marshal(s.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	var p slsa.Provenance
	if err := protojson.Unmarshal(predicate, &p); err != nil {
		t.Fatal(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	var got []string
	for _, x := range s.Subject {
		got = append(got, x.Name+" "+x.Digest["sha256"][:4])
	}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		for kind, v := range d.Digest {
			got = append(got, d.Uri+" "+kind+" "+v[:4])
		}
	}
	const want = `bee.iso e0e4
build-manifest.json dddd
git+https://github.com/bee-os/bee gitCommit cccc
pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=trixie sha256 aaaa
pkg:golang/github.com/CycloneDX/x/v2@v2.0.1%2Bincompatible dirHash1 2a1b`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("the library reads\n%s\nwant\n%s", g, want)
	}
	if s.PredicateType = ""; s.Validate() == nil {
		t.Error("the library's judgement is always good")
	}
}

func TestSameBytes(t *testing.T) {
	c := sample(t)
	if a, b := string(encoded(t, c)), string(encoded(t, sample(t))); a != b {
		t.Error("two statements of one build differ")
	}
}

func TestUncommitted(t *testing.T) {
	c := sample(t)
	c.Manifest.Source.Clean = false
	if text := string(encoded(t, c)); strings.Contains(text, "gitCommit") {
		t.Error("a changed checkout has the digest of a commit")
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"a parameter of the manifest": func(c *Config) { c.Parameters["arch"] = "arm64" },
		"a builder that is no URI":    func(c *Config) { c.Builder = "me" },
		"a document twice":            func(c *Config) { c.Documents = append(c.Documents, c.Documents...) },
		"a document that climbs":      func(c *Config) { c.Documents[0].Name = "../x" },
		"no outputs":                  func(c *Config) { c.Manifest.Outputs, c.Documents = nil, nil },
		"a checksum of another kind":  func(c *Config) { c.Manifest.GoModules[0].Sum = "h2:abc" },
		"half a checksum":             func(c *Config) { c.Manifest.GoModules[0].Sum = "h1:abc=" },
	} {
		c := sample(t)
		spoil(&c)
		if _, err := Encode(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestCheck(t *testing.T) {
	c := sample(t)
	text := string(encoded(t, c))
	if err := Check([]byte(text), c.Manifest, c.Documents); err != nil {
		t.Error(err)
	}
	iso := c.Manifest.Outputs[0].SHA256
	for name, s := range map[string]struct{ old, now, says string }{
		"another file":       {iso, strings.Repeat("0", 64), "another SHA-256 for bee.iso"},
		"a file more":        {`"bee.iso"`, `"aaa.iso"`, "aaa.iso"},
		"another commit":     {strings.Repeat("c", 40), strings.Repeat("0", 40), "gitCommit"},
		"another input":      {strings.Repeat("a", 64), strings.Repeat("0", 64), "sha256"},
		"another module":     {"v2.0.1", "v2.0.2", "uri"},
		"another machine":    {`"arch": "amd64"`, `"arch": "arm64"`, "arch"},
		"another toolchain":  {`"go1.26.8"`, `"go1.2"`, "go1.2"},
		"an unknown field":   {`"runDetails"`, `"runs"`, "unknown field"},
		"another predicate":  {PredicateType, PredicateType + "0", "not a statement"},
		"a document is gone": {`"name": "build-manifest.json"`, `"name": "build-manifest.jsom"`, "jsom"},
	} {
		bad := strings.Replace(text, s.old, s.now, 1)
		if bad == text {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if err := Check([]byte(bad), c.Manifest, c.Documents); err == nil || !strings.Contains(err.Error(), s.says) {
			t.Errorf("%s: %v; want something with %q", name, err, s.says)
		}
	}
	if err := Check([]byte(text), c.Manifest, append(c.Documents, manifest.Sum{Name: "sbom.cdx.json", SHA256: strings.Repeat("1", 64)})); err == nil || !strings.Contains(err.Error(), "says nothing of sbom") {
		t.Errorf("a document that it does not name: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"_type":"` + StatementType + `","subject":[{"name":"a","digest":{"sha256":"` + strings.Repeat("a", 64) + `"}}],"predicateType":"` + PredicateType +
		`","predicate":{"buildDefinition":{"buildType":"` + BuildType + `"},"runDetails":{"builder":{"id":"a:b"}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Decode(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}
