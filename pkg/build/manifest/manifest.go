// Package manifest is build-manifest.json, which lies in each folder
// images/<family>/<arch>/ and says of the artifact there what it was made of,
// what it is, how it boots, and what the integrity of each of its parts rests
// on. SHA256SUMS beside it is for sha256sum(1).
//
// The same build gives the same bytes: lists are sorted, the only time is the
// build's date (SOURCE_DATE_EPOCH), and no path of the building machine is in
// it. schema.json is the published form (JSON Schema 2020-12).
package manifest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// FileName is the manifest's name in its folder.
const FileName = "build-manifest.json"

// Schema is the version of the file's form. A reader refuses a newer one.
const Schema = 1

// JSONSchema is the published schema of the file, which the tests make from the
// types and hold against them.
//
//go:embed schema.json
var JSONSchema string

// Manifest is the whole file. Fill it with New and Add, not by hand: Encode
// refuses one that breaks the rules.
type Manifest struct {
	Schema  int       `json:"schema"`
	Name    string    `json:"name"`    // "bee"
	Version string    `json:"version"` // bee's own
	Date    time.Time `json:"date"`    // of the build, UTC, whole seconds; SOURCE_DATE_EPOCH where that is set
	Source  Source    `json:"source"`

	Family  string `json:"family"`  // kind of artifact: iso, raw, qcow2
	Arch    string `json:"arch"`    // as Go calls it
	Variant string `json:"variant"` // initramfs/<variant>.manifest
	Kernel  string `json:"kernel"`  // release, as uname -r says

	Go    string `json:"go"`    // toolchain: go1.26.8
	Tools []Tool `json:"tools"` // programs that the build ran

	Inputs    []Input    `json:"inputs"`     // pinned packages
	GoModules []GoModule `json:"go_modules"` // linked into the programs

	Boot  Boot   `json:"boot"`
	RAM   RAM    `json:"ram"`
	PCRs  PCRs   `json:"pcrs,omitempty"`
	Parts []Part `json:"parts"`

	Outputs []Output `json:"outputs"`

	verity Digest
}

// Source is the checkout that was built.
type Source struct {
	Commit string `json:"commit"` // git's, 40 or 64 hexadecimal digits; empty: not known
	Clean  bool   `json:"clean"`  // no change that is not committed
}

// Tool is one program that the build ran.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Roles that say whether a package is in the artifact. A package may have both.
const (
	RoleImage = "image" // its files are in it
	RoleTool  = "tool"  // it was run to build it
)

// Input is one pinned Debian package.
type Input struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Arch    string   `json:"arch"` // as Debian calls it; all fits every architecture
	Suite   string   `json:"suite,omitempty"`
	SHA256  string   `json:"sha256"`  // of the package file
	Licence string   `json:"licence"` // SPDX expression
	Note    string   `json:"licence_note,omitempty"`
	Roles   []string `json:"roles"` // RoleImage, RoleTool, and what it is: kernel, bootloader, firmware, microcode, data, …
}

// GoModule is one Go module that is linked into the image's programs.
type GoModule struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"` // as in go.sum: h1:…
	Licence string `json:"licence"`       // SPDX expression
	Note    string `json:"licence_note,omitempty"`
}

// Boot is how the artifact starts.
type Boot struct {
	CommandLine string `json:"command_line"`
	Editable    bool   `json:"editable"` // without a new build
	How         string `json:"how"`      // where it can be changed, or why it cannot; a sentence
}

// RAM is what the unpacked image takes, bytes.
type RAM struct {
	Budget   int64 `json:"budget"`   // what the variant allows
	Estimate int64 `json:"estimate"` // files rounded up to pages, and what a name costs
}

// PCRs are the values of the TPM that a boot is predicted to give: bank (sha256,
// …), then number of the register, then hexadecimal digits.
type PCRs map[string]map[string]string

// Part is one part of the artifact and what its integrity rests on.
type Part struct {
	Name      string `json:"name"` // kernel, initrd, command line, boot loader, …
	Integrity []Rest `json:"integrity"`
}

// Means is a way in which a change of a part is noticed.
type Means string

// The means. Nothing stands alone.
const (
	Signed   Means = "signed"   // Who signs; a changed part is refused
	Measured Means = "measured" // Who is the PCR: a changed part gives another value there
	Hashed   Means = "hashed"   // Who is where the digest stands
	Nothing  Means = "nothing"  // at boot nobody notices; Who says why
)

// Rest is one thing that a part's integrity rests on.
type Rest struct {
	Means Means  `json:"means"`
	Who   string `json:"who"` // Microsoft UEFI CA 2023; PCR 11; SHA256SUMS
}

// Output is one file of the artifact.
type Output struct {
	Name     string    `json:"name"` // relative, with slashes
	Role     string    `json:"role"` // disk, iso, kernel, initrd, bom, …
	Size     int64     `json:"size"` // bytes
	SHA256   string    `json:"sha256"`
	Verity   string    `json:"fsverity"` // as `fsverity digest` prints it: sha256:…
	Block    *Block    `json:"parameter_block,omitempty"`
	Contents []Content `json:"contents,omitempty"`
}

// BlockSize is the size of a parameter block, bytes.
const BlockSize = 1024

// Block is a parameter block that an operator may change in place. The SHA-256
// and the fs-verity digest of the output are those with the original block at
// each offset.
type Block struct {
	Offsets  []int64 `json:"offsets"`  // bytes, rising; the block stands at each of them
	SHA256   string  `json:"sha256"`   // of Original
	Original []byte  `json:"original"` // BlockSize bytes, base64 in the file
}

// Content is a file inside an output.
type Content struct {
	Role   string `json:"role"`             // kernel, initrd, uki
	Path   string `json:"path"`             // inside the output; for people
	Offset *int64 `json:"offset,omitempty"` // byte of the output where it starts, where it lies in one piece and as it is
	Size   int64  `json:"size"`             // bytes
	SHA256 string `json:"sha256"`
}

// Output returns the output of that name.
func (m *Manifest) Output(name string) (Output, bool) {
	for _, o := range m.Outputs {
		if o.Name == name {
			return o, true
		}
	}
	return Output{}, false
}

// Encode gives the file's bytes. It sorts the lists and refuses a manifest that
// Decode would not take.
func (m *Manifest) Encode() ([]byte, error) {
	m.sort()
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", FileName, err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("encode %s: %w", FileName, err)
	}
	return out.Bytes(), nil
}

// Decode reads a manifest. It refuses a newer schema, a field it does not know,
// names that leave the folder, and whatever else breaks the rules of the form:
// what it returns can be worked with.
func Decode(text []byte) (*Manifest, error) {
	var head struct{ Schema int }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("decode %s: %w", FileName, err)
	}
	if head.Schema < 1 || head.Schema > Schema {
		return nil, fmt.Errorf("decode %s: schema %d; this program knows 1 to %d: use the bee that made the artifact, or a newer one", FileName, head.Schema, Schema)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("decode %s: %w", FileName, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("decode %s: something follows the manifest", FileName)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("decode %s: %w", FileName, err)
	}
	return m, nil
}
