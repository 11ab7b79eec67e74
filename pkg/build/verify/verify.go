// Package verify is what an operator runs before flashing: it holds a folder
// images/<family>/<arch>/ against its own manifest, SHA256SUMS, bill of
// materials, provenance statement and signatures, and tells one line a check.
//
// Without a key, all that can be found is that the files fit each other: who
// changed one of them can have changed the lists too. The report says so.
//
// A parameter block that was changed in place (see manifest.Block) is told and
// is no error: its own checksum must be good, its copies alike, and everything
// around it as it was built.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/provenance"
	"github.com/bee-os/bee/pkg/build/sbom"
)

// BundleSuffix ends the names of signature bundles, which may lie beside the
// files and are in no list.
const BundleSuffix = ".sigstore.json"

// ErrBad is wrapped by Dir's error where a check failed.
var ErrBad = errors.New("the artifact is not what it should be")

// Signature is what a good bundle proves.
type Signature struct {
	By string // whose key or identity; for people

	// Digests are what it vouches for, SHA-256 in 64 hexadecimal digits: that of
	// the signed file, or those of the signed statement's subjects. A file here
	// must have each of them.
	Digests []string

	// Statement is the signed statement itself, if there is one: a file here that
	// has the same bytes, such as the provenance, is vouched for too.
	Statement []byte
}

// Config is what is checked, and with whose help.
type Config struct {
	Dir string // folder with build-manifest.json

	// CheckBundle proves a bundle with the operator's key or identity; its error
	// means that the bundle is not good for that key. Nil: no key is configured, and
	// signatures are not looked at.
	CheckBundle func(ctx context.Context, bundle []byte) (Signature, error)

	// Verity computes fs-verity digests; default manifest.Fsverity.
	Verity manifest.Digest

	// Block reads a changed parameter block and returns what it says in words; its
	// error means that the block's own checksum or form is wrong. Nil: a changed
	// block is an error.
	Block func(block []byte) (parameters string, err error)

	// Inside opens a file inside an output that does not lie there as it is
	// (compressed, or in pieces), or for which the manifest names no place; its
	// error ErrForm means that this form is not known. Default: the function Inside.
	Inside func(ctx context.Context, output io.ReaderAt, o manifest.Output, c manifest.Content) (io.ReadCloser, error)
}

// documents are the files beside the outputs that must be there, SHA256SUMS
// aside, which lists them.
var documents = []string{manifest.FileName, sbom.FileName, provenance.FileName}

// run is one look at a folder.
type run struct {
	Config
	ctx    context.Context
	root   *os.Root
	report report

	files map[string]int64 // regular files and their sizes, bytes
	odd   []string         // everything else that lies there, in words
	texts map[string][]byte
	sums  map[string]string // SHA-256 of the documents and SHA256SUMS
	m     *manifest.Manifest
	found map[string]found // outputs
}

// Dir checks the folder and writes the report to out. Its error wraps ErrBad
// where something is wrong with the artifact; any other error means that the
// checks could not be made.
func Dir(ctx context.Context, c Config, out io.Writer) error {
	if c.Verity == nil {
		c.Verity = manifest.Fsverity
	}
	if c.Inside == nil {
		c.Inside = Inside
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return fmt.Errorf("verify: %w; name the folder of one artifact, images/<family>/<arch>", err)
	}
	defer root.Close()
	r := &run{Config: c, ctx: ctx, root: root, report: report{out: out}, texts: make(map[string][]byte), sums: make(map[string]string), found: make(map[string]found)}
	if err := r.look(); err != nil {
		return fmt.Errorf("verify %s: %w", c.Dir, err)
	}
	if r.m != nil {
		for _, check := range []func(){r.signature, r.manifest, r.sha256sums, r.outputs, r.verity, r.blocks, r.contents, r.sbom, r.provenance, r.folder} {
			check()
			if err := context.Cause(ctx); err != nil {
				return fmt.Errorf("verify %s: %w", c.Dir, err)
			}
		}
	}
	return r.report.verdict(c.Dir)
}

// look lists the folder and reads everything once. What cannot be read is told
// by the check that asks for it.
func (r *run) look() error {
	if err := r.list(); err != nil {
		return err
	}
	for name := range r.files {
		if !r.isText(name) {
			continue
		}
		text, sum, err := r.read(name)
		if err != nil {
			return err
		}
		r.texts[name], r.sums[name] = text, sum
	}
	text, ok := r.texts[manifest.FileName]
	if !ok {
		r.report.fail("manifest", "there is no %s here: this is not the folder of an artifact, or it was taken away", manifest.FileName)
		return nil
	}
	m, err := manifest.Decode(text)
	if err != nil {
		r.report.fail("manifest", "%v", err)
		return nil
	}
	r.m = m
	for _, o := range m.Outputs {
		f, err := r.digest(o)
		if err != nil {
			return err
		}
		r.found[o.Name] = f
	}
	return nil
}

func (r *run) manifest() {
	m := r.m
	commit := m.Source.Commit
	switch {
	case commit == "":
		commit = "of no known commit"
	case !m.Source.Clean:
		commit += " with changes that are not committed"
	}
	r.report.ok("manifest", "bee %s, %s %s for %s, kernel %s, %s; built of %s", m.Version, m.Family, m.Variant, m.Arch, m.Kernel, m.Date.Format("2006-01-02"), commit)
}

// sha256sums holds SHA256SUMS against the manifest's digests and the documents:
// it must be the very text that follows from them.
func (r *run) sha256sums() {
	text, ok := r.texts[manifest.SumsName]
	if !ok {
		r.report.fail(manifest.SumsName, "it is missing")
		return
	}
	var sums []manifest.Sum
	for _, o := range r.m.Outputs {
		sums = append(sums, manifest.Sum{Name: o.Name, SHA256: o.SHA256})
	}
	for _, d := range documents {
		if sum, ok := r.sums[d]; ok {
			sums = append(sums, manifest.Sum{Name: d, SHA256: sum})
		}
	}
	want := manifest.SumsText(sums)
	if line := firstDifference(string(text), string(want)); line != "" {
		r.report.fail(manifest.SumsName, "%s", line)
		return
	}
	r.report.ok(manifest.SumsName, "%d lines, those of the manifest and of the files beside it", len(sums))
}

func (r *run) sbom() {
	text, ok := r.texts[sbom.FileName]
	if !ok {
		r.report.fail("SBOM", "%s is missing", sbom.FileName)
		return
	}
	if err := sbom.Check(text, r.m); err != nil {
		r.report.fail("SBOM", "%v", err)
		return
	}
	r.report.ok("SBOM", "%s names the manifest's %d packages, %d Go modules and %d files", sbom.FileName, len(r.m.Inputs), len(r.m.GoModules), len(r.m.Outputs))
}

func (r *run) provenance() {
	text, ok := r.texts[provenance.FileName]
	if !ok {
		r.report.fail("provenance", "%s is missing", provenance.FileName)
		return
	}
	subjects := []manifest.Sum{{Name: manifest.FileName, SHA256: r.sums[manifest.FileName]}, {Name: sbom.FileName, SHA256: r.sums[sbom.FileName]}}
	if err := provenance.Check(text, r.m, subjects); err != nil {
		r.report.fail("provenance", "%v", err)
		return
	}
	s, err := provenance.Decode(text)
	if err != nil {
		r.report.fail("provenance", "%v", err)
		return
	}
	r.report.ok("provenance", "%s is about these files; builder %s", provenance.FileName, s.Predicate.RunDetails.Builder.ID)
}
