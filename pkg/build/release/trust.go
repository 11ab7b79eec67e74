package release

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/bee-os/bee/pkg/build/publish"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/sign/keyless"
)

// Variables that say whose signatures are good: a key's, or an identity's.
const (
	PublicKeyEnv   = "BEE_COSIGN_PUB"              // file of a public key
	TrustedRootEnv = "BEE_TRUSTED_ROOT"            // Sigstore's trusted_root.json: whose certificates and whose log are believed
	IdentityEnv    = "BEE_CERTIFICATE_IDENTITY"    // whole
	IssuerEnv      = "BEE_CERTIFICATE_OIDC_ISSUER" // whole
)

// trusted is whose signatures are good.
type trusted struct {
	by   string           // for people
	key  crypto.PublicKey // nil: an identity's
	root keyless.Trust
}

// readTrusted reads whom the environment names; nil: nobody.
func readTrusted(getenv func(string) string) (*trusted, error) {
	file, root, identity, issuer := getenv(PublicKeyEnv), getenv(TrustedRootEnv), getenv(IdentityEnv), getenv(IssuerEnv)
	byIdentity := root != "" || identity != "" || issuer != ""
	switch {
	case file == "" && !byIdentity:
		return nil, nil
	case file != "" && byIdentity:
		return nil, fmt.Errorf("read whose signatures are good: %s names a key and %s, %s, %s an identity; give one of them", PublicKeyEnv, TrustedRootEnv, IdentityEnv, IssuerEnv)
	case file != "":
		key, err := sign.LoadPublic(file)
		return &trusted{by: "the key " + file, key: key}, err
	case root == "" || identity == "" || issuer == "":
		return nil, fmt.Errorf("read whose signatures are good: %s, %s and %s belong together", TrustedRootEnv, IdentityEnv, IssuerEnv)
	}
	text, err := os.ReadFile(root)
	if err != nil {
		return nil, fmt.Errorf("read whose signatures are good: %w", err)
	}
	t := &trusted{by: identity + ", named by " + issuer}
	if t.root, err = keyless.ParseTrust(text, identity, issuer); err != nil {
		return nil, fmt.Errorf("read whose signatures are good: %s: %w", root, err)
	}
	return t, nil
}

// statement proves a bundle and returns what it states.
func (t *trusted) statement(bundle []byte) (text []byte, s *sign.Statement, err error) {
	if t.key != nil {
		text, err = sign.VerifyBundle(bundle, t.key)
	} else {
		text, err = keyless.Verify(bundle, t.root)
	}
	if err == nil {
		s, err = sign.ParseStatement(text)
	}
	return text, s, err
}

// image checks who signed an image of a registry, and returns a reference to it
// by digest.
func (t *trusted) image(ctx context.Context, r publish.Registry, ref string) (immutable string, err error) {
	if t.key != nil {
		return r.Verify(ctx, ref, t.key)
	}
	digest, immutable, err := r.Resolve(ctx, ref)
	if err != nil {
		return "", err
	}
	bundles, err := r.Bundles(ctx, immutable)
	if err != nil {
		return "", err
	}
	problems := []error{publish.ErrUnsigned}
	for _, b := range bundles {
		_, s, err := t.statement(b)
		if err == nil && !s.CoversImage(digest) {
			err = errors.New("it is signed, but for another image")
		}
		if err == nil {
			return immutable, nil
		}
		problems = append(problems, err)
	}
	return "", fmt.Errorf("verify %s: of %d signatures none fits: %w", immutable, len(bundles), errors.Join(problems...))
}

// howToName says how to name somebody.
var howToName = "set " + PublicKeyEnv + ", or " + strings.Join([]string{TrustedRootEnv, IdentityEnv, IssuerEnv}, ", ")
