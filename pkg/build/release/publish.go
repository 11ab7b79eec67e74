package release

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/oci"
	"github.com/bee-os/bee/pkg/build/publish"
	"github.com/bee-os/bee/pkg/build/sign"
)

// Publish puts what lies in images/ where BEE_PUBLISH and BEE_PUBLISH_OCI say,
// and tells BEE_WEBHOOK_URL. Everything is verified before the first byte leaves:
// against BEE_COSIGN_PUB, or against the public half of BEE_COSIGN_KEY.
func Publish(ctx context.Context, getenv func(string) string, out io.Writer) error {
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
	r := publish.Release{}
	var pub any
	if c.CosignKey != "" {
		key, err := sign.Load(c.CosignKey, sign.PasswordFromEnv)
		if err != nil {
			return err
		}
		r.Signer, pub = key, key.Public()
	} else if c.Keyless != nil {
		if r.Signer, err = c.Keyless(ctx); err != nil {
			return err
		}
	}
	keyFile := c.CosignKey
	if file := getenv(PublicKeyEnv); file != "" {
		if pub, err = sign.LoadPublic(file); err != nil {
			return err
		}
		keyFile = file
	}
	folders, err := filepath.Glob(filepath.Join(images(c), "*", "*", manifest.FileName))
	if err != nil {
		return err
	}
	if len(folders) == 0 {
		return fmt.Errorf("publish: nothing lies in %s; build something first: go tool mage images", images(c))
	}
	var layouts []string
	for _, f := range folders {
		dir := filepath.Dir(f)
		if err := verifyFolder(ctx, dir, pub, keyFile, out); err != nil {
			return fmt.Errorf("publish: %s is not what it should be, and nothing was sent: %w", dir, err)
		}
		files, m, err := listed(images(c), dir)
		if err != nil {
			return err
		}
		if r.Commit != "" && m.Source.Commit != r.Commit {
			return fmt.Errorf("publish: %s was built of commit %s, and others of %s; build all of one: go tool mage images", dir, m.Source.Commit, r.Commit)
		}
		r.Version, r.Commit = m.Version, m.Source.Commit
		r.Files = append(r.Files, files...)
		if layout := filepath.Join(dir, artifact.OCIDir); m.Family == "oci" {
			layouts = append(layouts, layout)
		}
	}
	if to.Target == "" {
		r.Files = nil
	}
	if to.OCI != "" && len(layouts) > 0 {
		dir, err := os.MkdirTemp(images(c), ".publish-") // beside the layouts, so that their blobs can be linked
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		r.Layout = filepath.Join(dir, "layout")
		if _, err := oci.Join(ctx, layouts, map[string]string{"org.opencontainers.image.version": r.Version}, r.Layout); err != nil {
			return err
		}
	}
	result, err := to.Run(ctx, r)
	if result != nil {
		tell(result, out)
	}
	return err
}

func images(c artifact.Config) string {
	if c.Out != "" {
		return c.Out
	}
	return filepath.Join(c.Root, "images")
}

// listed are the files of an artifact's folder, all of them: verify made sure
// that nothing lies there that no list names.
func listed(root, dir string) ([]publish.File, *manifest.Manifest, error) {
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
		sum, err := manifest.SumFile(context.Background(), name)
		if err != nil {
			return err
		}
		in, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if o, ok := m.Output(filepath.ToSlash(in)); ok && o.SHA256 != sum && o.Block == nil {
			return fmt.Errorf("publish %s: it changed while it was looked at", name)
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
