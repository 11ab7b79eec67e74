package publish

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/bee-os/bee/pkg/build/sign"
)

// maxPayload bounds a signature's payload, in bytes.
const maxPayload = 64 << 10

// ErrUnsigned says that an image has no signature that the key made.
var ErrUnsigned = errors.New("no signature of this key")

// emptyJSON is the content of image-spec's empty descriptor (manifest.md,
// Guidance for an Empty Descriptor).
const (
	emptyJSON  = "{}"
	mediaEmpty = "application/vnd.oci.empty.v1+json"
)

// sigTag is where cosign looks for an image's signatures (cosign,
// specs/SIGNATURE_SPEC.md, Tag-based Discovery).
func sigTag(d name.Digest) name.Tag {
	return d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1) + ".sig")
}

// sign pushes both forms that cosign knows: the tag sha256-….sig, which every
// version verifies, and the bundle that refers to the image, which cosign 3
// looks for first.
func (r Registry) sign(ctx context.Context, p *remote.Pusher, d name.Digest, signer sign.Signer) error {
	r.say("sign %s", d)
	s, err := signer.Image(ctx, d.Context().Name(), d.DigestStr())
	if err != nil {
		return err
	}
	if err := r.pushTagged(ctx, p, d, s); err != nil {
		return err
	}
	statement, err := sign.ImageStatement(d.DigestStr())
	if err != nil {
		return err
	}
	bundle, err := signer.Statement(ctx, statement)
	if err != nil {
		return err
	}
	return r.pushBundle(ctx, p, d, bundle)
}

// pushTagged adds the signature to those that are there, unless it is one of
// them: somebody else's signature stays.
func (r Registry) pushTagged(ctx context.Context, p *remote.Pusher, d name.Digest, s *sign.ImageSignature) error {
	tag := sigTag(d)
	base, err := remote.Image(tag, r.options(ctx)...)
	var e *transport.Error
	switch {
	case errors.As(err, &e) && e.StatusCode == http.StatusNotFound:
		base = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	case err != nil:
		return err
	default:
		m, err := base.Manifest()
		if err != nil {
			return err
		}
		for _, l := range m.Layers {
			if l.MediaType == sign.ImageMediaType && maps.Equal(l.Annotations, s.Annotations) {
				return nil
			}
		}
	}
	image, err := mutate.Append(base, mutate.Addendum{Layer: static.NewLayer(s.Payload, sign.ImageMediaType), Annotations: s.Annotations})
	if err != nil {
		return err
	}
	return p.Push(ctx, tag, image)
}

// document is a manifest or index that is pushed as it is.
type document struct {
	text []byte
	kind types.MediaType
}

func (d document) RawManifest() ([]byte, error)        { return d.text, nil }
func (d document) MediaType() (types.MediaType, error) { return d.kind, nil }

// pushBundle pushes a bundle as a referrer (distribution-spec v1.1, Pushing
// Manifests with Subject; where the registry knows no referrers, the library
// keeps the list under the fallback tag).
func (r Registry) pushBundle(ctx context.Context, p *remote.Pusher, d name.Digest, bundle []byte) error {
	subject, err := remote.Head(d, r.options(ctx)...)
	if err != nil {
		return err
	}
	config := static.NewLayer([]byte(emptyJSON), mediaEmpty)
	layer := static.NewLayer(bundle, sign.MediaType)
	var list [2]v1.Descriptor
	for i, l := range []v1.Layer{config, layer} {
		if err := p.Upload(ctx, d.Context(), l); err != nil {
			return err
		}
		if list[i], err = describe(l); err != nil {
			return err
		}
	}
	text, err := json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     types.MediaType   `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        v1.Descriptor     `json:"config"`
		Layers        []v1.Descriptor   `json:"layers"`
		Annotations   map[string]string `json:"annotations"`
		Subject       v1.Descriptor     `json:"subject"`
	}{
		2, types.OCIManifestSchema1, sign.MediaType, list[0], list[1:],
		map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": sign.PredicateSign},
		v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest},
	})
	if err != nil {
		return err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return p.Push(ctx, d.Context().Digest(digest.String()), document{text, types.OCIManifestSchema1})
}

func describe(l v1.Layer) (v1.Descriptor, error) {
	digest, err := l.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := l.Size()
	if err != nil {
		return v1.Descriptor{}, err
	}
	kind, err := l.MediaType()
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size}, err
}

// Verify checks that the key of pub signed what a reference stands for and
// returns its digest, by which alone it is then to be pulled. It looks at the
// signatures under cosign's tag. An image without one of this key gives an error
// that wraps ErrUnsigned. For keyless signatures see Bundles.
func (r Registry) Verify(ctx context.Context, ref string, pub crypto.PublicKey) (immutable string, err error) {
	_, immutable, err = r.Resolve(ctx, ref)
	if err != nil {
		return "", err
	}
	d, err := name.NewDigest(immutable, r.insecure()...)
	if err != nil {
		return "", fmt.Errorf("verify %s: %w", ref, err)
	}
	signatures, err := r.signatures(ctx, d)
	if err != nil {
		return "", r.explain("verify", ref, err)
	}
	problems := []error{ErrUnsigned}
	for _, s := range signatures {
		err := sign.VerifyImage(s, pub, d.DigestStr())
		if err == nil {
			return immutable, nil
		}
		problems = append(problems, err)
	}
	return "", fmt.Errorf("verify %s: of %d signatures none fits: %w", immutable, len(signatures), errors.Join(problems...))
}

// signatures fetches what is under cosign's tag.
func (r Registry) signatures(ctx context.Context, d name.Digest) ([]*sign.ImageSignature, error) {
	image, err := remote.Image(sigTag(d), r.options(ctx)...)
	var e *transport.Error
	if errors.As(err, &e) && e.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	var list []*sign.ImageSignature
	for _, l := range m.Layers {
		if l.MediaType != sign.ImageMediaType || l.Size > maxPayload {
			continue
		}
		layer, err := image.LayerByDigest(l.Digest)
		if err != nil {
			return nil, err
		}
		text, err := payload(layer)
		if err != nil {
			return nil, err
		}
		list = append(list, &sign.ImageSignature{Payload: text, Annotations: l.Annotations})
	}
	return list, nil
}

// Bundles fetches the Sigstore bundles that refer to an image, for
// sign.VerifyBundle or keyless.Verify to judge. immutable is a reference with a
// digest; a bundle counts only if its statement says CoversImage of that one.
func (r Registry) Bundles(ctx context.Context, immutable string) ([][]byte, error) {
	d, err := name.NewDigest(immutable, r.insecure()...)
	if err != nil {
		return nil, fmt.Errorf("look for signatures of %s: %w", immutable, err)
	}
	index, err := remote.Referrers(d, r.options(ctx)...)
	if err != nil {
		return nil, r.explain("look for signatures of", immutable, err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, r.explain("look for signatures of", immutable, err)
	}
	var all [][]byte
	for _, m := range list.Manifests {
		if m.ArtifactType != sign.MediaType {
			continue
		}
		text, err := r.bundle(ctx, d.Context().Digest(m.Digest.String()))
		if err != nil {
			return nil, r.explain("read a signature of", immutable, err)
		}
		all = append(all, text)
	}
	return all, nil
}

// bundle fetches what one referrer holds.
func (r Registry) bundle(ctx context.Context, d name.Digest) ([]byte, error) {
	image, err := remote.Image(d, r.options(ctx)...)
	if err != nil {
		return nil, err
	}
	m, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	if len(m.Layers) != 1 || m.Layers[0].MediaType != sign.MediaType || m.Layers[0].Size > maxPayload {
		return nil, fmt.Errorf("%s is not one bundle of at most %d bytes", d, maxPayload)
	}
	layer, err := image.LayerByDigest(m.Layers[0].Digest)
	if err != nil {
		return nil, err
	}
	return payload(layer)
}

func payload(l v1.Layer) ([]byte, error) {
	f, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPayload))
}
