package sign

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Media type and annotation of an image's signature, as cosign's specification
// has them (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
const (
	ImageMediaType  = "application/vnd.dev.cosign.simplesigning.v1+json"
	ImageAnnotation = "dev.cosignproject.cosign/signature" // base64
	imageType       = "cosign container image signature"
)

// imagePayload is the Simple Signing format of containers/image
// (containers-signature.5), as cosign fills it.
type imagePayload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// ImagePayload is what is signed for an image: repository is its name without
// tag and digest, digest is that of its manifest or index, "sha256:…".
func ImagePayload(repository, digest string) ([]byte, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	var p imagePayload
	p.Critical.Identity.Reference = repository
	p.Critical.Image.Digest = digest
	p.Critical.Type = imageType
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write payload for %s: %w", repository, err)
	}
	return text, nil
}

// ImageSignature is what cosign keeps for one signature of an image: a layer
// with the payload, and annotations with the signature and, where it was
// keyless, what belongs to it.
type ImageSignature struct {
	Payload     []byte
	Annotations map[string]string
}

// Image signs an image in a repository, as cosign does it.
func (k *Key) Image(_ context.Context, repository, digest string) (*ImageSignature, error) {
	payload, err := ImagePayload(repository, digest)
	if err != nil {
		return nil, err
	}
	sig, err := k.Sign(payload)
	if err != nil {
		return nil, err
	}
	return &ImageSignature{payload, map[string]string{ImageAnnotation: base64.StdEncoding.EncodeToString(sig)}}, nil
}

// ImageStatement says of an image that it was signed, in the form that cosign 3
// keeps as a referrer of the image.
func ImageStatement(digest string) ([]byte, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	if err != nil {
		return nil, err
	}
	return FileStatement("", [32]byte(sum))
}

// VerifyImage checks that pub's key made the signature and that the signed
// payload is about the image of this digest. The repository's name in it is not
// compared: an image may be mirrored, and its digest says what it is.
func VerifyImage(s *ImageSignature, pub crypto.PublicKey, digest string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	sig, err := base64.StdEncoding.DecodeString(s.Annotations[ImageAnnotation])
	if err != nil {
		return fmt.Errorf("verify signature of %s: %w", digest, err)
	}
	if err := Verify(pub, s.Payload, sig); err != nil {
		return fmt.Errorf("verify signature of %s: %w", digest, err)
	}
	return CheckImagePayload(s.Payload, digest)
}

// CheckImagePayload checks that a payload, whose signature was verified, is
// about the image of this digest.
func CheckImagePayload(payload []byte, digest string) error {
	var p imagePayload
	if err := strict(payload, &p); err != nil {
		return fmt.Errorf("verify signature of %s: parse payload: %w", digest, err)
	}
	if p.Critical.Type != imageType || p.Critical.Image.Digest != digest {
		return fmt.Errorf("verify signature of %s: it is signed, but for another image: %s", digest, p.Critical.Image.Digest)
	}
	return nil
}

// checkDigest takes "sha256:" and 64 lower-case hex digits (image-spec,
// descriptor.md).
func checkDigest(digest string) error {
	text, ok := strings.CutPrefix(digest, "sha256:")
	if sum, err := hex.DecodeString(text); !ok || err != nil || len(sum) != 32 || strings.ToLower(text) != text {
		return errors.New(`the image's digest must be "sha256:" and 64 hex digits`)
	}
	return nil
}
