// Package sbom writes and reads the software bill of materials that lies beside
// an artifact, in CycloneDX 1.6 JSON (ECMA-424). It is filled from what the
// build took in, exactly, not from a look at the result.
//
// CycloneDX and not SPDX 2.3, because it has a place of its own for package
// URLs, digests, licence expressions and for what was used to build but is not
// in the result; and because its official JSON schema, with the SPDX licence
// ids, comes with the project's Go library, so that the tests can ask it. The
// library (OWASP's own) needs nothing but the standard one.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// FileName is the bill's name beside the manifest.
const FileName = "sbom.cdx.json"

// Licence of bee itself and of Go's standard library, which is linked into it.
const bsd = "BSD-3-Clause"

// Names of properties. CycloneDX wants a namespace before them.
const (
	propertyRole = "bee:role"
	propertyNote = "bee:licence-note"
	propertySum  = "bee:go.sum"
)

// Encode gives the file's bytes for an artifact and the image inside it, of
// which the files that are not ours are listed too.
func Encode(m *manifest.Manifest, b bom.BOM) ([]byte, error) {
	artifact := artifactOf(m)
	inputs := components(m)
	files := blobs(b)
	all := slices.Concat(inputs, files)
	slices.SortFunc(all, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	for i := 1; i < len(all); i++ {
		if all[i].BOMRef == all[i-1].BOMRef {
			return nil, fmt.Errorf("encode %s: %s twice", FileName, all[i].BOMRef)
		}
	}
	doc := cdx.NewBOM()
	doc.SpecVersion = cdx.SpecVersion1_6
	doc.SerialNumber = serial(m)
	doc.Metadata = &cdx.Metadata{
		Timestamp:  m.Date.Format("2006-01-02T15:04:05Z"),
		Lifecycles: &[]cdx.Lifecycle{{Phase: cdx.LifecyclePhaseBuild}},
		Tools:      &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "bee", Version: m.Version}}},
		Component:  &artifact,
	}
	doc.Components = &all
	doc.Dependencies = dependencies(artifact.BOMRef, all)
	var out bytes.Buffer
	e := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON)
	e.SetPretty(true).SetEscapeHTML(false)
	if err := e.EncodeVersion(doc, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("encode %s: %w", FileName, err)
	}
	return out.Bytes(), nil
}

// artifactOf is what the bill is about, with the outputs as its parts.
func artifactOf(m *manifest.Manifest) cdx.Component {
	c := cdx.Component{
		BOMRef: "artifact", Type: cdx.ComponentTypeOS, Name: "bee-" + m.Family + "-" + m.Variant + "-" + m.Arch, Version: m.Version,
		Licenses: licences(bsd),
	}
	if m.Source.Commit != "" {
		notes := ""
		if !m.Source.Clean {
			notes = "with changes that are not committed"
		}
		c.Pedigree = &cdx.Pedigree{Commits: &[]cdx.Commit{{UID: m.Source.Commit}}, Notes: notes}
	}
	var outputs []cdx.Component
	for _, o := range m.Outputs {
		outputs = append(outputs, cdx.Component{
			BOMRef: "output:" + o.Name, Type: cdx.ComponentTypeFile, Name: o.Name, Hashes: sha256Hash(o.SHA256), Properties: properties(propertyRole, o.Role)})
	}
	if outputs != nil {
		c.Components = &outputs
	}
	return c
}

// components are the pinned packages and the Go modules.
func components(m *manifest.Manifest) []cdx.Component {
	var list []cdx.Component
	for _, i := range m.Inputs {
		c := cdx.Component{
			BOMRef: i.PURL(), Type: typeOf(i.Roles), Name: i.Name, Version: i.Version, PackageURL: i.PURL(), Scope: cdx.ScopeRequired,
			Hashes: sha256Hash(i.SHA256), Licenses: licences(i.Licence),
		}
		if onlyTool(i.Roles) {
			c.Scope = cdx.ScopeExcluded // used to build, not part of the result
		}
		var pairs []string
		for _, r := range i.Roles {
			pairs = append(pairs, propertyRole, r)
		}
		c.Properties = properties(append(pairs, propertyNote, i.Note)...)
		list = append(list, c)
	}
	for _, g := range slices.Concat([]manifest.GoModule{{Path: "std", Version: strings.TrimPrefix(m.Go, "go"), Licence: bsd}}, m.GoModules) {
		list = append(list, cdx.Component{
			BOMRef: g.PURL(), Type: cdx.ComponentTypeLibrary, Name: g.Path, Version: g.Version, PackageURL: g.PURL(), Scope: cdx.ScopeRequired,
			Licenses: licences(g.Licence), Properties: properties(propertySum, g.Sum, propertyNote, g.Note)})
	}
	return list
}

// blobs are the files in the image that are not ours and stand in no package's
// list: firmware by file, makers' programs, the compat root.
func blobs(b bom.BOM) []cdx.Component {
	var list []cdx.Component
	add := func(dir, role string, kind cdx.ComponentType, blobs []bom.Blob) {
		for _, f := range blobs {
			name := dir + "/" + f.Path
			list = append(list, cdx.Component{
				BOMRef: "file:" + name, Type: kind, Name: name, Scope: cdx.ScopeRequired, Hashes: sha256Hash(f.SHA256), Properties: properties(propertyRole, role)})
		}
	}
	add("lib/firmware", "firmware", cdx.ComponentTypeFirmware, b.Firmware)
	add(bom.VendorDir, "vendor-tool", cdx.ComponentTypeFile, b.Vendor)
	add(bom.CompatDir, "compat", cdx.ComponentTypeFile, b.Compat)
	if b.NVIDIA != nil {
		add(bom.DriverDir, "driver", cdx.ComponentTypeDeviceDriver, b.NVIDIA.Modules)
	}
	return list
}

// typeOf is CycloneDX's word for what a package with those roles is.
func typeOf(roles []string) cdx.ComponentType {
	for _, r := range roles {
		switch r {
		case "kernel":
			return cdx.ComponentTypeOS
		case "firmware", "microcode":
			return cdx.ComponentTypeFirmware
		case "data":
			return cdx.ComponentTypeData
		}
	}
	return cdx.ComponentTypeApplication
}

// onlyTool says whether a package was used by the build and went nowhere: it has
// that role, or only groups of bee.lock whose names begin so, and is not in the
// image.
func onlyTool(roles []string) bool {
	if slices.Contains(roles, manifest.RoleImage) {
		return false
	}
	return slices.Contains(roles, manifest.RoleTool) || !slices.ContainsFunc(roles, func(r string) bool { return !strings.HasPrefix(r, "tools-") })
}

// licences writes an SPDX expression. A single id is one that SPDX lists.
func licences(expression string) *cdx.Licenses {
	if strings.ContainsAny(expression, " ()") || strings.HasPrefix(expression, "LicenseRef-") {
		return &cdx.Licenses{{Expression: expression}}
	}
	return &cdx.Licenses{{License: &cdx.License{ID: expression}}}
}

func sha256Hash(sum string) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
}

// properties makes a list of names and values; an empty value is left out.
func properties(pairs ...string) *[]cdx.Property {
	var list []cdx.Property
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, cdx.Property{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	if list == nil {
		return nil
	}
	return &list
}

// dependencies say that the artifact holds what is not excluded.
func dependencies(artifact string, all []cdx.Component) *[]cdx.Dependency {
	holds := []string{}
	list := []cdx.Dependency{{Ref: artifact, Dependencies: &holds}}
	for _, c := range all {
		if c.Scope != cdx.ScopeExcluded {
			holds = append(holds, c.BOMRef)
		}
		list = append(list, cdx.Dependency{Ref: c.BOMRef})
	}
	return &list
}

// serial is a UUID of version 8 (RFC 9562 section 5.8) made of what makes the
// artifact this one.
func serial(m *manifest.Manifest) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %s %s\n", m.Family, m.Arch, m.Variant, m.Source.Commit, m.Date)
	for _, o := range m.Outputs {
		fmt.Fprintf(h, "%s %s\n", o.SHA256, o.Name)
	}
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Check holds a bill against the manifest: each input, Go module and output of
// one is in the other, with the same digest and licence.
func Check(text []byte, m *manifest.Manifest) error {
	have, err := listed(text)
	if err != nil {
		return fmt.Errorf("check %s: %w", FileName, err)
	}
	want := make(map[string]line)
	artifact := artifactOf(m)
	collect(want, components(m))
	collect(want, []cdx.Component{artifact})
	for _, ref := range slices.Sorted(maps.Keys(want)) {
		h, ok := have[ref]
		w := want[ref]
		switch {
		case !ok:
			return fmt.Errorf("check %s: it lacks %s", FileName, ref)
		case h != w:
			return fmt.Errorf("check %s: of %s it says %v, the manifest says %v", FileName, ref, h, w)
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[ref]; !ok && !strings.HasPrefix(ref, "file:") {
			return fmt.Errorf("check %s: it has %s, the manifest has not", FileName, ref)
		}
	}
	return nil
}

// line is what of a component must agree.
type line struct{ version, hash, licence string }

func (l line) String() string { return strings.TrimSpace(l.version + " " + l.hash + " " + l.licence) }

func listed(text []byte) (map[string]line, error) {
	var doc cdx.BOM
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode: something follows the bill")
	}
	if doc.BOMFormat != cdx.BOMFormat || doc.SpecVersion != cdx.SpecVersion1_6 || doc.Metadata == nil || doc.Metadata.Component == nil || doc.Components == nil {
		return nil, errors.New("decode: this is not a CycloneDX 1.6 bill of an artifact")
	}
	have := make(map[string]line)
	collect(have, []cdx.Component{*doc.Metadata.Component})
	collect(have, *doc.Components)
	return have, nil
}

func collect(into map[string]line, list []cdx.Component) {
	for _, c := range list {
		l := line{version: c.Version}
		if c.Hashes != nil {
			for _, h := range *c.Hashes {
				l.hash += string(h.Algorithm) + ":" + h.Value
			}
		}
		if c.Licenses != nil {
			for _, x := range *c.Licenses {
				l.licence += x.Expression
				if x.License != nil {
					l.licence += x.License.ID
				}
			}
		}
		into[c.BOMRef] = l
		if c.Components != nil {
			collect(into, *c.Components)
		}
	}
}
