// Package provenance writes and reads the statement of where an artifact comes
// from: an in-toto Statement v1 (https://in-toto.io/Statement/v1) with a SLSA
// provenance v1 predicate (https://slsa.dev/provenance/v1). Its subjects are the
// artifact's files, so that one signature over the statement covers them all.
//
// The form is small and fixed, so encoding/json is all it takes; the library of
// the in-toto project, which is made from protocol buffers, is the judge in the
// tests. No time but the commit's and no number of an invocation is in it: the
// same build gives the same bytes.
package provenance

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/manifest"
)

// FileName is the statement's name beside the manifest.
const FileName = "provenance.json"

// What the statement says it is.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://slsa.dev/provenance/v1"
	PayloadType   = "application/vnd.in-toto+json" // of a DSSE envelope around it
)

// repository is where bee comes from; BuildType and LocalBuilder are names below
// it. Nothing is fetched from there.
const (
	repository   = "https://github.com/bee-os/bee"
	BuildType    = repository + "/image@v1"
	LocalBuilder = repository + "/local-build@v1" // anybody's machine: says nothing of who built
)

// Statement is the whole file. The field names are the specification's.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is one file that the statement is about.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// Predicate is SLSA's provenance.
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what was built, and of what.
type BuildDefinition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   map[string]string `json:"externalParameters"`
	InternalParameters   map[string]string `json:"internalParameters"`
	ResolvedDependencies []Resource        `json:"resolvedDependencies"`
}

// Resource is one thing that the build took in (in-toto ResourceDescriptor).
type Resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest,omitempty"`
}

// RunDetails is who built.
type RunDetails struct {
	Builder Builder `json:"builder"`
}

// Builder is the machine and what runs it.
type Builder struct {
	ID      string            `json:"id"` // a URI; whoever trusts a signature must know what this stands for
	Version map[string]string `json:"version"`
}

// Config is what a statement is made of.
type Config struct {
	Manifest   *manifest.Manifest // with its outputs
	Documents  []manifest.Sum     // files beside the outputs that are subjects too: the manifest, the SBOM
	Parameters map[string]string  // what the build was asked for, beside family, arch and variant; no secret belongs here
	Builder    string             // URI; default LocalBuilder
}

// Encode gives the file's bytes.
func Encode(c Config) ([]byte, error) {
	m := c.Manifest
	s := Statement{Type: StatementType, PredicateType: PredicateType}
	for _, o := range m.Outputs {
		s.Subject = append(s.Subject, subject(o.Name, o.SHA256))
	}
	for _, d := range c.Documents {
		s.Subject = append(s.Subject, subject(d.Name, d.SHA256))
	}
	slices.SortFunc(s.Subject, func(a, b Subject) int { return strings.Compare(a.Name, b.Name) })
	deps, err := dependencies(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", FileName, err)
	}
	external := map[string]string{"family": m.Family, "arch": m.Arch, "variant": m.Variant, "date": m.Date.Format("2006-01-02T15:04:05Z")}
	for k, v := range c.Parameters {
		if _, ok := external[k]; ok {
			return nil, fmt.Errorf("encode %s: parameter %s is the manifest's to say", FileName, k)
		}
		external[k] = v
	}
	internal := map[string]string{"go": m.Go}
	for _, t := range m.Tools {
		internal["tool:"+t.Name] = t.Version
	}
	if c.Builder == "" {
		c.Builder = LocalBuilder
	}
	s.Predicate = Predicate{
		BuildDefinition: BuildDefinition{BuildType: BuildType, ExternalParameters: external, InternalParameters: internal, ResolvedDependencies: deps},
		RunDetails:      RunDetails{Builder: Builder{ID: c.Builder, Version: map[string]string{"bee": m.Version}}},
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", FileName, err)
	}
	return marshal(s)
}

func marshal(s Statement) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("encode %s: %w", FileName, err)
	}
	return out.Bytes(), nil
}

func subject(name, sha256 string) Subject {
	return Subject{Name: name, Digest: map[string]string{"sha256": sha256}}
}

// dependencies are the checkout, the pinned packages and the Go modules, in
// that order.
func dependencies(m *manifest.Manifest) ([]Resource, error) {
	source := Resource{Name: "source", URI: "git+" + repository}
	if m.Source.Commit != "" && m.Source.Clean {
		// A digest says what was built; with changes on top, the commit's would lie.
		source.Digest = map[string]string{"gitCommit": m.Source.Commit}
	}
	list := []Resource{source}
	for _, i := range m.Inputs {
		list = append(list, Resource{Name: i.Name, URI: i.PURL(), Digest: map[string]string{"sha256": i.SHA256}})
	}
	for _, g := range m.GoModules {
		r := Resource{Name: g.Path, URI: g.PURL()}
		if g.Sum != "" {
			sum, err := dirHash(g.Sum)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.Path, err)
			}
			r.Digest = map[string]string{"dirHash1": sum}
		}
		list = append(list, r)
	}
	return list, nil
}

// dirHash is a checksum of go.sum as in-toto's digest set wants it, in
// hexadecimal (spec/v1/digest_set.md).
func dirHash(sum string) (string, error) {
	text, ok := strings.CutPrefix(sum, "h1:")
	if !ok {
		return "", fmt.Errorf("checksum %q is not of the kind h1", sum)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 32 {
		return "", fmt.Errorf("checksum %q is not base64 of 32 bytes", sum)
	}
	return hex.EncodeToString(b), nil
}

func (s Statement) check() error {
	if s.Type != StatementType || s.PredicateType != PredicateType || s.Predicate.BuildDefinition.BuildType != BuildType {
		return fmt.Errorf("%q, %q, %q: not a statement of how bee was built", s.Type, s.PredicateType, s.Predicate.BuildDefinition.BuildType)
	}
	if len(s.Subject) == 0 {
		return errors.New("it is about no file")
	}
	for i, x := range s.Subject {
		if err := manifest.CheckName(x.Name); err != nil {
			return err
		}
		if len(x.Digest["sha256"]) != 64 {
			return fmt.Errorf("subject %s has no SHA-256", x.Name)
		}
		if i > 0 && x.Name <= s.Subject[i-1].Name {
			return fmt.Errorf("subject %s is not after %s, or the same", x.Name, s.Subject[i-1].Name)
		}
	}
	if !strings.Contains(s.Predicate.RunDetails.Builder.ID, ":") {
		return fmt.Errorf("builder %q is not a URI", s.Predicate.RunDetails.Builder.ID)
	}
	return nil
}

// Decode reads a statement that Encode wrote.
func Decode(text []byte) (Statement, error) {
	var s Statement
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Statement{}, fmt.Errorf("decode %s: %w", FileName, err)
	}
	if err := s.check(); err != nil {
		return Statement{}, fmt.Errorf("decode %s: %w", FileName, err)
	}
	return s, nil
}

// Check holds a statement against the manifest and the documents: it must be
// about those files, and of that source and those inputs.
func Check(text []byte, m *manifest.Manifest, documents []manifest.Sum) error {
	have, err := Decode(text)
	if err != nil {
		return err
	}
	b := have.Predicate.BuildDefinition
	c := Config{Manifest: m, Documents: documents, Builder: have.Predicate.RunDetails.Builder.ID, Parameters: map[string]string{}}
	for k, v := range b.ExternalParameters {
		if !slices.Contains([]string{"family", "arch", "variant", "date"}, k) {
			c.Parameters[k] = v
		}
	}
	should, err := Encode(c)
	if err != nil {
		return err
	}
	want, err := Decode(should)
	if err != nil {
		return err
	}
	return have.differs(want)
}

// differs names the first thing in which the statement is not what it should be.
func (s Statement) differs(want Statement) error {
	for i := range max(len(s.Subject), len(want.Subject)) {
		switch {
		case i >= len(s.Subject) || i < len(want.Subject) && want.Subject[i].Name < s.Subject[i].Name:
			return fmt.Errorf("check %s: it says nothing of %s", FileName, want.Subject[i].Name)
		case i >= len(want.Subject) || s.Subject[i].Name < want.Subject[i].Name:
			return fmt.Errorf("check %s: it speaks of %s, which is not of this build", FileName, s.Subject[i].Name)
		case s.Subject[i].Digest["sha256"] != want.Subject[i].Digest["sha256"]:
			return fmt.Errorf("check %s: it has another SHA-256 for %s", FileName, s.Subject[i].Name)
		}
	}
	a, err := marshal(s)
	if err != nil {
		return err
	}
	b, err := marshal(want)
	if err != nil {
		return err
	}
	la, lb := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return fmt.Errorf("check %s: it says %s, the manifest says %s", FileName, strings.TrimSpace(la[i]), strings.TrimSpace(lb[i]))
		}
	}
	if len(la) != len(lb) {
		return fmt.Errorf("check %s: its inputs are not those of the manifest", FileName)
	}
	return nil
}
