package oci

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxDocument bounds a manifest, a configuration and an index, in bytes;
// registries take 4 MiB at most (distribution-spec, Pushing Manifests).
const maxDocument = 4 << 20

// Entry is what a layout's index.json points at: an image, or an index of them.
type Entry struct {
	MediaType string
	Digest    string // sha256:…
	Size      int64  // bytes
	platform  *platform
}

// IsIndex says whether the entry is an index over several images.
func (e Entry) IsIndex() bool { return e.MediaType == mediaIndex }

// Root reads which one image or index a layout holds. A layout with none or
// several is refused.
func Root(dir string) (Entry, error) {
	text, err := readBounded(filepath.Join(dir, layoutFile))
	if err != nil {
		return Entry{}, fmt.Errorf("read OCI layout %s: %w", dir, err)
	}
	var version struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(text, &version); err != nil || version.Version != "1.0.0" {
		return Entry{}, fmt.Errorf("read OCI layout %s: its version is %q, not 1.0.0", dir, version.Version)
	}
	if text, err = readBounded(filepath.Join(dir, indexFile)); err != nil {
		return Entry{}, fmt.Errorf("read OCI layout %s: %w", dir, err)
	}
	i, err := parseIndex(text)
	if err != nil {
		return Entry{}, fmt.Errorf("read OCI layout %s: %w", dir, err)
	}
	if len(i.Manifests) != 1 {
		return Entry{}, fmt.Errorf("read OCI layout %s: it holds %d images where one was expected", dir, len(i.Manifests))
	}
	d := i.Manifests[0]
	return Entry{d.MediaType, d.Digest, d.Size, d.Platform}, nil
}

// Contents are the digests and sizes of what an image boots.
type Contents struct {
	Arch    string
	Release string
	Digest  string              // of the image's manifest
	Files   map[string][32]byte // vmlinuz, initramfs.img → SHA-256
}

// Inspect reads every blob that a layout's root leads to, compares each with its
// digest and size, and returns what the images hold, one for each. Every
// difference and every file that does not belong into an image of bee is an
// error.
func Inspect(ctx context.Context, dir string) ([]Contents, error) {
	root, err := Root(dir)
	if err != nil {
		return nil, err
	}
	list := []descriptor{{MediaType: root.MediaType, Digest: root.Digest, Size: root.Size}}
	if root.IsIndex() {
		var i index
		if err := getJSON(dir, list[0], mediaIndex, &i); err != nil {
			return nil, fmt.Errorf("check OCI layout %s: %w", dir, err)
		}
		list = i.Manifests
	}
	var all []Contents
	for _, d := range list {
		c, err := inspectImage(ctx, dir, d)
		if err != nil {
			return nil, fmt.Errorf("check OCI layout %s: image %s: %w", dir, d.Digest, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func inspectImage(ctx context.Context, dir string, d descriptor) (Contents, error) {
	var m manifest
	if err := getJSON(dir, d, mediaManifest, &m); err != nil {
		return Contents{}, err
	}
	var c imageConfig
	if err := getJSON(dir, m.Config, mediaConfig, &c); err != nil {
		return Contents{}, err
	}
	if len(m.Layers) != 1 || m.Layers[0].MediaType != mediaLayer || len(c.RootFS.DiffIDs) != 1 || c.RootFS.DiffIDs[0] != m.Layers[0].Digest {
		return Contents{}, errors.New("it is not one plain layer, as bee's images are")
	}
	if c.Config.Labels[labelBootc] != "1" {
		return Contents{}, fmt.Errorf("it has no label %s=1", labelBootc)
	}
	f, err := openBlob(dir, m.Layers[0])
	if err != nil {
		return Contents{}, err
	}
	defer f.Close()
	sum := sha256.New()
	whole := io.TeeReader(reader{ctx, f}, sum)
	out := Contents{Arch: c.Architecture, Digest: d.Digest, Files: make(map[string][32]byte)}
	if err := out.readLayer(whole); err != nil {
		return Contents{}, err
	}
	if _, err := io.Copy(io.Discard, whole); err != nil {
		return Contents{}, err
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != m.Layers[0].Digest {
		return Contents{}, fmt.Errorf("the layer is %s, its manifest says %s", got, m.Layers[0].Digest)
	}
	return out, nil
}

// readLayer takes exactly what Write puts into a layer.
func (c *Contents) readLayer(r io.Reader) error {
	const top = "usr/lib/modules/"
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		rest, inside := strings.CutPrefix(h.Name, top)
		version, name, _ := strings.Cut(rest, "/")
		switch {
		case h.Typeflag == tar.TypeDir && (strings.HasPrefix(top, h.Name) || inside && name == "" && release.MatchString(version)):
			if inside && version != "" {
				c.Release = version
			}
			continue
		case h.Typeflag != tar.TypeReg || !inside || version != c.Release || name != "vmlinuz" && name != "initramfs.img":
			return fmt.Errorf("the layer holds %q, which does not belong there", h.Name)
		}
		if _, again := c.Files[name]; again {
			return fmt.Errorf("the layer holds %s twice", name)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, t); err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		c.Files[name] = [32]byte(sum.Sum(nil))
	}
	if len(c.Files) != 2 {
		return errors.New("the layer lacks vmlinuz or initramfs.img")
	}
	return nil
}

// getJSON reads a document and checks it against its descriptor.
func getJSON(dir string, d descriptor, mediaType string, v any) error {
	if d.MediaType != mediaType {
		return fmt.Errorf("%s is of the media type %q, not %s", d.Digest, d.MediaType, mediaType)
	}
	f, err := openBlob(dir, d)
	if err != nil {
		return err
	}
	defer f.Close()
	if d.Size > maxDocument {
		return fmt.Errorf("%s has %d bytes, more than a document", d.Digest, d.Size)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(text); "sha256:"+hex.EncodeToString(sum[:]) != d.Digest {
		return fmt.Errorf("the blob %s has another digest, %x", d.Digest, sum)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("parse %s: %w", d.Digest, err)
	}
	return nil
}

// openBlob opens a blob of the right size.
func openBlob(dir string, d descriptor) (*os.File, error) {
	name, ok := strings.CutPrefix(d.Digest, "sha256:")
	if sum, err := hex.DecodeString(name); !ok || err != nil || len(sum) != 32 || strings.ToLower(name) != name {
		return nil, fmt.Errorf("%q is no SHA-256 digest", d.Digest)
	}
	f, err := os.Open(filepath.Join(dir, blobDir, name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != d.Size) {
		err = fmt.Errorf("the blob %s has %d bytes, its descriptor says %d", d.Digest, info.Size(), d.Size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func parseIndex(text []byte) (index, error) {
	var i index
	if err := json.Unmarshal(text, &i); err != nil {
		return i, fmt.Errorf("parse %s: %w", indexFile, err)
	}
	if i.SchemaVersion != 2 {
		return i, fmt.Errorf("parse %s: its schema version is %d, not 2", indexFile, i.SchemaVersion)
	}
	for _, d := range i.Manifests {
		if d.MediaType != mediaManifest && d.MediaType != mediaIndex {
			return i, fmt.Errorf("parse %s: %q is the media type of no image", indexFile, d.MediaType)
		}
	}
	return i, nil
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("%s is larger than any of its kind", name)
	}
	return text, err
}

func cmpPlatform(a, b platform) int {
	return cmp.Or(cmp.Compare(a.Architecture, b.Architecture), cmp.Compare(a.Variant, b.Variant))
}
