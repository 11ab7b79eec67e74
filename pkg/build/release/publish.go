package release

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/folderlock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/oci"
	"github.com/bee-os/bee/pkg/build/publish"
	"github.com/bee-os/bee/pkg/build/sign"
)

// Publish puts what lies in images/ where BEE_PUBLISH and BEE_PUBLISH_OCI say,
// and tells BEE_WEBHOOK_URL. Everything is verified before the first byte leaves:
// against BEE_COSIGN_PUB, or against the public half of BEE_COSIGN_KEY.
func Publish(ctx context.Context, getenv func(string) string, out io.Writer) (err error) {
	c, err := artifact.Load(".", getenv)
	if err != nil {
		return err
	}
	to, err := publish.FromEnv(getenv)
	if err != nil {
		return err
	}
	to.Progress = out
	if err := to.Check(); err != nil {
		return err
	}
	var r release
	who, err := readTrusted(getenv)
	if err != nil {
		return err
	}
	if c.CosignKey != "" {
		key, err := sign.Load(c.CosignKey, sign.PasswordFromEnv)
		if err != nil {
			return err
		}
		r.Signer = key
		if who == nil {
			who = &trusted{by: "the key " + c.CosignKey, key: key.Public()}
		}
	} else if c.Keyless != nil {
		if r.Signer, err = c.Keyless(ctx); err != nil {
			return err
		}
	}
	unlock, err := folderlock.Take(ctx, images(c), out) // no build changes what is being sent
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	layouts, err := r.collect(ctx, images(c), who, out)
	if err != nil {
		return err
	}
	if to.Target == "" {
		r.Files = nil
	}
	if to.OCI != "" && len(layouts) > 0 {
		dir := filepath.Join(images(c), ".publish") // beside the layouts, so that their blobs can be linked
		if err := os.RemoveAll(dir); err != nil {   // of one that was killed
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		r.Layout = filepath.Join(dir, "layout")
		if _, err := oci.Join(ctx, layouts, map[string]string{"org.opencontainers.image.version": r.Version}, r.Layout); err != nil {
			return err
		}
	}
	result, err := to.Run(ctx, r.Release)
	if result != nil {
		tell(result, out)
	}
	return err
}

// release is what is sent.
type release struct {
	publish.Release
	from *manifest.Manifest // the first of the folders; all are of one build
}

// collect verifies every folder of artifacts and adds its files. It returns the
// OCI layouts among them.
func (r *release) collect(ctx context.Context, root string, who *trusted, out io.Writer) (layouts []string, err error) {
	folders, err := filepath.Glob(filepath.Join(root, "*", "*", manifest.FileName))
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		dir := filepath.Dir(f)
		if strings.HasPrefix(filepath.Base(dir), ".") {
			continue // of a build that was killed; the next one takes it away
		}
		if err := verifyFolder(ctx, dir, who, out); err != nil {
			return nil, fmt.Errorf("publish: %s is not what it should be, and nothing was sent: %w", dir, err)
		}
		m, err := r.add(ctx, root, dir)
		if err != nil {
			return nil, err
		}
		if m.Family == "oci" {
			layouts = append(layouts, filepath.Join(dir, artifact.OCIDir))
		}
	}
	if r.from == nil {
		return nil, fmt.Errorf("publish: nothing lies in %s; build something first: go tool mage images", root)
	}
	return layouts, nil
}

// add adds the files of one folder, which must be of the same build as those
// before.
func (r *release) add(ctx context.Context, root, dir string) (*manifest.Manifest, error) {
	files, m, err := listed(ctx, root, dir)
	if err != nil {
		return nil, err
	}
	if r.from == nil {
		r.from, r.Version = m, m.Version
		if m.Source.Clean {
			r.Commit = m.Source.Commit // with changes on top, it was not built of that
		}
	}
	if m.Source != r.from.Source || m.Version != r.from.Version {
		return nil, fmt.Errorf("publish: %s was built of %s, and %s/%s of %s; nothing was sent; build all of one: go tool mage images", dir, origin(m), r.from.Family, r.from.Arch, origin(r.from))
	}
	r.Files = append(r.Files, files...)
	return m, nil
}

// origin is what a build was made of, in words.
func origin(m *manifest.Manifest) string {
	words := cmp.Or(m.Source.Commit, "no known commit")
	if !m.Source.Clean {
		words += " with changes that are not committed"
	}
	return "bee " + m.Version + ", " + words
}

func images(c artifact.Config) string {
	if c.Out != "" {
		return c.Out
	}
	return filepath.Join(c.Root, "images")
}

// listed are the files of an artifact's folder, all of them: verify made sure
// that nothing lies there that no list names. A medium whose parameters were
// changed is for one machine, may hold a secret, and nobody signed it: it is not
// sent.
func listed(ctx context.Context, root, dir string) ([]publish.File, *manifest.Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
	if err != nil {
		return nil, nil, err
	}
	m, err := manifest.Decode(text)
	if err != nil {
		return nil, nil, err
	}
	var files []publish.File
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		sum, err := manifest.SumFile(ctx, name)
		if err != nil {
			return err
		}
		in, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if o, ok := m.Output(filepath.ToSlash(in)); ok && o.SHA256 != sum {
			if o.Block != nil {
				return fmt.Errorf("publish %s: its parameter block was changed after it was built; what is published is as it was signed, and a medium with parameters of its own may hold a secret: build it again, and nothing was sent", name)
			}
			return fmt.Errorf("publish %s: it changed while it was looked at; nothing was sent", name)
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f := publish.File{Path: name, Name: filepath.ToSlash(rel), Variant: m.Family, Arch: m.Arch}
		_, err = hex.Decode(f.SHA256[:], []byte(sum))
		files = append(files, f)
		return err
	})
	return files, m, err
}

func tell(r *publish.Result, out io.Writer) {
	if r.Image != nil {
		fmt.Fprintf(out, "image   %s (%s), signed: %v\n", r.Image.Immutable, strings.Join(r.Image.Arches, ", "), r.Image.Signed)
	}
	for _, f := range r.Files {
		fmt.Fprintf(out, "file    %s\n", f.Address)
	}
}
