package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/bee-os/bee/pkg/build/oci"
	"github.com/bee-os/bee/pkg/build/sign"
)

// Registry speaks to registries (distribution-spec v1.1). Who it is there comes
// from Docker's or Podman's configuration and their credential helpers, as `docker
// login` left them; $DOCKER_CONFIG names another folder.
type Registry struct {
	PlainHTTP bool // also without TLS to another machine
	Progress  io.Writer

	waits *remote.Backoff // nil: four tries in 15 s
}

// Image is one in a registry.
type Image struct {
	Ref       string   `json:"ref"`       // registry/repository:tag
	Digest    string   `json:"digest"`    // of the image or the index, sha256:…
	Immutable string   `json:"immutable"` // registry/repository@sha256:…
	Arches    []string `json:"arches"`
	Signed    bool     `json:"signed"`
}

// parseTag wants registry, repository and tag written out.
func parseTag(ref string) (name.Tag, error) {
	t, err := name.NewTag(ref, name.StrictValidation)
	if err != nil {
		return t, fmt.Errorf("publish: BEE_PUBLISH_OCI is %q; it must be registry/repository:tag: %w", ref, err)
	}
	return t, nil
}

func (r Registry) options(ctx context.Context) []remote.Option {
	waits := remote.Backoff{Duration: time.Second, Factor: 3, Jitter: 0.1, Steps: 4}
	if r.waits != nil {
		waits = *r.waits
	}
	return []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		// The library tries plain HTTP with every private address; the transport does not.
		remote.WithTransport(newTransport(r.PlainHTTP)), remote.WithRetryBackoff(waits),
	}
}

// insecure lets the library speak HTTP where PlainHTTP does.
func (r Registry) insecure() []name.Option {
	if r.PlainHTTP {
		return []name.Option{name.StrictValidation, name.Insecure}
	}
	return []name.Option{name.StrictValidation}
}

func (r Registry) say(format string, args ...any) {
	if r.Progress != nil {
		fmt.Fprintf(r.Progress, "publish: "+format+"\n", args...)
	}
}

// Push checks every digest of an OCI layout, pushes what it holds by digest,
// signs that if there is a signer, and only then lets the tag ref,
// "registry/repository:tag", point there.
func (r Registry) Push(ctx context.Context, dir, ref string, signer sign.Signer) (*Image, error) {
	tag, err := name.NewTag(ref, r.insecure()...)
	if err != nil {
		return nil, fmt.Errorf("publish: BEE_PUBLISH_OCI is %q; it must be registry/repository:tag: %w", ref, err)
	}
	contents, err := oci.Inspect(ctx, dir)
	if err != nil {
		return nil, err
	}
	what, digest, err := open(dir)
	if err != nil {
		return nil, err
	}
	out := &Image{Ref: ref, Digest: digest.String(), Immutable: tag.Context().Digest(digest.String()).String(), Signed: signer != nil}
	for _, c := range contents {
		out.Arches = append(out.Arches, c.Arch)
	}
	options := r.options(ctx)
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return nil, fmt.Errorf("push %s: %w", ref, err)
	}
	r.say("push %s", out.Immutable)
	if err := pusher.Push(ctx, tag.Context().Digest(out.Digest), what); err != nil {
		return nil, r.explain("push", ref, err)
	}
	if signer != nil {
		signed := []string{out.Digest}
		for _, c := range contents {
			if c.Digest != out.Digest {
				signed = append(signed, c.Digest)
			}
		}
		for _, d := range signed {
			if err := r.sign(ctx, pusher, tag.Context().Digest(d), signer); err != nil {
				return nil, r.explain("push the signature of", ref, err)
			}
		}
	}
	if err := pusher.Push(ctx, tag, what); err != nil {
		return nil, r.explain("tag", ref, err)
	}
	got, err := remote.Head(tag, options...)
	if err != nil {
		return nil, r.explain("look at", ref, err)
	}
	if got.Digest != digest {
		return nil, fmt.Errorf("push %s: the registry has %s under this name, pushed was %s; does somebody else push there?", ref, got.Digest, digest)
	}
	r.say("%s is %s", ref, out.Digest)
	return out, nil
}

// open reads the one image or index of a layout.
func open(dir string) (remote.Taggable, v1.Hash, error) {
	root, err := oci.Root(dir)
	if err != nil {
		return nil, v1.Hash{}, err
	}
	digest, err := v1.NewHash(root.Digest)
	if err != nil {
		return nil, digest, err
	}
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, digest, fmt.Errorf("read OCI layout %s: %w", dir, err)
	}
	if root.IsIndex() {
		i, err := outer.ImageIndex(digest)
		return i, digest, err
	}
	i, err := outer.Image(digest)
	return i, digest, err
}

// Resolve returns the digest that a reference stands for, and the reference with
// that digest in the place of a tag.
func (r Registry) Resolve(ctx context.Context, ref string) (digest, immutable string, err error) {
	n, err := name.ParseReference(ref, r.insecure()...)
	if err != nil {
		return "", "", fmt.Errorf("resolve %s: %w", ref, err)
	}
	d, err := remote.Head(n, r.options(ctx)...)
	if err != nil {
		return "", "", r.explain("resolve", ref, err)
	}
	return d.Digest.String(), n.Context().Digest(d.Digest.String()).String(), nil
}

// Pull downloads what a reference stands for into the folder out, which must not
// be there yet, as an OCI layout of which every digest was checked. It comes
// whole or not at all. The digest is that of the image or index.
func (r Registry) Pull(ctx context.Context, ref, out string) (digest string, err error) {
	n, err := name.ParseReference(ref, r.insecure()...)
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", ref, err)
	}
	if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("pull %s: %s is there already", ref, out)
	}
	d, err := remote.Get(n, r.options(ctx)...)
	if err != nil {
		return "", r.explain("pull", ref, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+"-")
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", ref, err)
	}
	defer func() {
		if e := os.RemoveAll(tmp); err == nil {
			err = e
		}
	}()
	path, err := layout.Write(tmp, empty.Index)
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", ref, err)
	}
	if err := appendTo(path, d); err != nil {
		return "", r.explain("pull", ref, err)
	}
	if _, err := oci.Inspect(ctx, tmp); err != nil {
		return "", fmt.Errorf("pull %s: it is no image of bee: %w", ref, err)
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, out)); err != nil {
		return "", fmt.Errorf("pull %s: %w", ref, err)
	}
	return d.Digest.String(), nil
}

func appendTo(path layout.Path, d *remote.Descriptor) error {
	if d.MediaType.IsIndex() {
		i, err := d.ImageIndex()
		if err != nil {
			return err
		}
		return path.AppendIndex(i)
	}
	i, err := d.Image()
	if err != nil {
		return err
	}
	return path.AppendImage(i)
}

// explain adds to a registry's refusal what to do about it.
func (r Registry) explain(what, ref string, err error) error {
	var e *transport.Error
	refused := errors.As(err, &e) && (e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden)
	if e != nil {
		for _, d := range e.Errors {
			refused = refused || d.Code == transport.UnauthorizedErrorCode || d.Code == transport.DeniedErrorCode
		}
	}
	host := ref
	if n, e := name.ParseReference(ref, r.insecure()...); e == nil {
		host = n.Context().RegistryStr()
	}
	switch {
	case refused:
		return fmt.Errorf("%s %s: the registry refuses; log in there (docker login %s, or podman login with REGISTRY_AUTH_FILE) as somebody who may, and look whether the repository exists: %w", what, ref, host, err)
	case errors.Is(err, errPlain):
		return fmt.Errorf("%s %s: %w", what, ref, err)
	}
	return fmt.Errorf("%s %s: %w", what, ref, err)
}
