// Package oci writes kernel and initrd as a container image in the layout that
// bootc and ostree look for: one layer with
//
//	/usr/lib/modules/RELEASE/{vmlinuz,initramfs.img}
//
// nothing in /boot, and the label containers.bootc=1. It is the image's layout
// and no more: there is no root file system in it, and `bootc install`, which
// wants one with systemd and bootupd, has not been tried.
//
// What is written is an OCI image layout (image-spec v1.1, image-layout.md), the
// same bytes for the same input. The layer is a plain tar: the kernel and most
// of the initrd are compressed already, a second compression takes time and
// saves about nothing, and with none of them the layer's digest is that of its
// content, which no other version of a compressor can change.
package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Media types of image-spec v1.1, media-types.md.
const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// Files of an image layout.
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
	blobDir    = "blobs/sha256"
	layoutText = `{"imageLayoutVersion":"1.0.0"}`
)

// Annotations that Write sets itself (image-spec, annotations.md).
const (
	annotationCreated = "org.opencontainers.image.created"
	annotationVersion = "org.opencontainers.image.version"
	labelBootc        = "containers.bootc"
)

// arches are what is written, as GOARCH names them; arm64's variant is v8
// (image-spec, image-index.md, Platform Variants).
var arches = []string{"amd64", "arm64"}

// release is the name of a folder in /usr/lib/modules.
var release = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,79}$`)

// Config is one image.
type Config struct {
	Kernel, Initrd string            // files
	Release        string            // of the kernel, as uname -r: 6.12.107+deb13-amd64
	Arch           string            // amd64 or arm64
	Date           time.Time         // of the build; whole seconds
	Annotations    map[string]string // of the manifest, and the image's labels: org.opencontainers.image.version, …revision, …
}

// descriptor points at a blob (image-spec, descriptor.md).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// manifest is an image's (image-spec, manifest.md).
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// index lists manifests (image-spec, image-index.md).
type index struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []descriptor      `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// imageConfig is what runs and of which layers (image-spec, config.md).
type imageConfig struct {
	Created string `json:"created"`
	platform
	Config  runConfig `json:"config"`
	RootFS  rootFS    `json:"rootfs"`
	History []history `json:"history"`
}

type runConfig struct {
	Labels map[string]string `json:"Labels"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type history struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// Write writes the image as a layout into the folder out and returns the digest
// of its manifest, "sha256:…". A layout that is there already is replaced when
// the new one is whole; any other folder in that place is an error.
func Write(ctx context.Context, c Config, out string) (digest string, err error) {
	if err := c.check(); err != nil {
		return "", fmt.Errorf("write OCI image %s: %w", out, err)
	}
	err = replace(out, func(tmp string) error {
		m, err := c.image(ctx, tmp)
		if err != nil {
			return err
		}
		digest = m.Digest
		return finish(tmp, m)
	})
	if err != nil {
		return "", fmt.Errorf("write OCI image %s: %w", out, err)
	}
	return digest, nil
}

func (c Config) check() error {
	switch {
	case !slices.Contains(arches, c.Arch):
		return fmt.Errorf("the architecture %q is none of %q", c.Arch, arches)
	case !release.MatchString(c.Release):
		return fmt.Errorf("%q is no kernel release", c.Release)
	case c.Date.IsZero():
		return errors.New("no build date is given")
	}
	return nil
}

// image writes the blobs of the image and returns the descriptor of its
// manifest.
func (c Config) image(ctx context.Context, dir string) (descriptor, error) {
	layer, err := c.layer(ctx, dir)
	if err != nil {
		return descriptor{}, err
	}
	created := c.Date.UTC().Format(time.RFC3339)
	labels := maps.Clone(c.Annotations)
	if labels == nil {
		labels = make(map[string]string)
	}
	labels[annotationCreated] = created
	annotations := maps.Clone(labels)
	labels[labelBootc] = "1"
	p := platform{Architecture: c.Arch, OS: "linux"}
	if c.Arch == "arm64" {
		p.Variant = "v8"
	}
	config, err := putJSON(dir, mediaConfig, imageConfig{
		Created: created, platform: p,
		Config:  runConfig{labels},
		RootFS:  rootFS{"layers", []string{layer.Digest}}, // the layer is not compressed
		History: []history{{created, "bee"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	m, err := putJSON(dir, mediaManifest, manifest{2, mediaManifest, config, []descriptor{layer}, annotations})
	m.Platform = &p
	return m, err
}

// finish writes what makes a folder of blobs a layout.
func finish(dir string, d descriptor) error {
	text, err := json.Marshal(index{2, mediaIndex, []descriptor{d}, nil})
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, indexFile), text); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, layoutFile), []byte(layoutText))
}

// Join writes a layout with one index over the images of several layouts, one an
// architecture, and returns the index's digest. The blobs are hard links where
// the file system lets them be. A layout in place of out is replaced, as Write
// does.
func Join(ctx context.Context, layouts []string, annotations map[string]string, out string) (digest string, err error) {
	err = replace(out, func(tmp string) error {
		all := index{SchemaVersion: 2, MediaType: mediaIndex, Annotations: annotations}
		for _, dir := range layouts {
			d, err := Root(dir)
			if err != nil {
				return err
			}
			if d.platform == nil || d.MediaType != mediaManifest {
				return fmt.Errorf("%s is not the layout of one image", dir)
			}
			if err := link(ctx, dir, tmp); err != nil {
				return err
			}
			all.Manifests = append(all.Manifests, descriptor{d.MediaType, d.Digest, d.Size, nil, d.platform})
		}
		slices.SortFunc(all.Manifests, func(a, b descriptor) int { return cmpPlatform(*a.Platform, *b.Platform) })
		for i := 1; i < len(all.Manifests); i++ {
			if *all.Manifests[i].Platform == *all.Manifests[i-1].Platform {
				return fmt.Errorf("two images are for %s", all.Manifests[i].Platform.Architecture)
			}
		}
		d, err := putJSON(tmp, mediaIndex, all)
		if err != nil {
			return err
		}
		digest = d.Digest
		return finish(tmp, d)
	})
	if err != nil {
		return "", fmt.Errorf("write OCI index %s: %w", out, err)
	}
	return digest, nil
}

// replace makes a folder whole or not at all: fill writes into a new one beside
// it, which takes its name when everything is on the disk.
func replace(out string, fill func(tmp string) error) (err error) {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(out, layoutFile)); err != nil {
			return errors.New("the folder is there and is no OCI layout; move it away")
		}
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if e := os.RemoveAll(tmp); err == nil {
			err = e
		}
	}()
	fresh := filepath.Join(tmp, "new")
	if err := os.MkdirAll(filepath.Join(fresh, blobDir), 0o755); err != nil {
		return err
	}
	if err := fill(fresh); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(fresh, blobDir), fresh} {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	if err := os.Rename(out, filepath.Join(tmp, "old")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, out); err != nil {
		return err
	}
	return syncDir(filepath.Dir(out))
}
