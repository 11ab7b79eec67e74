package release

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/publish"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/sign/keyless"
	"github.com/bee-os/bee/pkg/build/sign/keyless/sigstoretest"
	"github.com/bee-os/bee/pkg/build/verify"
)

// expecting are the variables that name an identity, and who vouches for it.
func expecting(t *testing.T, f *sigstoretest.Sigstore, identity string) env {
	t.Helper()
	return env{TrustedRootEnv: write(t, t.TempDir(), "trusted_root.json", string(f.TrustedRoot())), IdentityEnv: identity, IssuerEnv: sigstoretest.Issuer}
}

// A folder that was signed without a key is good for who expects the signer, and
// for nobody else.
func TestVerifyKeyless(t *testing.T) {
	m, f := built(t), sigstoretest.New(t)
	signer, err := keyless.New(t.Context(), keyless.Config{Token: sigstoretest.Token, Fulcio: f.URL, Rekor: f.URL})
	if err != nil {
		t.Fatal(err)
	}
	dir := clone(t, artifact.Dir(m.images, "iso", "amd64"), filepath.Join(t.TempDir(), "iso"))
	for _, name := range files(t, dir) {
		if strings.HasSuffix(name, sign.Suffix) {
			remove(t, filepath.Join(dir, name))
		}
	}
	sums, err := os.ReadFile(filepath.Join(dir, manifest.SumsName))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := signer.File(t.Context(), manifest.SumsName, sha256.Sum256(sums))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, manifest.SumsName+sign.Suffix, string(bundle))
	report, err := verified(t, expecting(t, f, sigstoretest.Identity), dir)
	if err != nil || !strings.Contains(report, "GOOD, signed by "+sigstoretest.Identity+", named by "+sigstoretest.Issuer) {
		t.Errorf("%v\n%s", err, report)
	}
	for what, e := range map[string]env{
		"another identity": expecting(t, f, sigstoretest.Identity+"x"),
		"another root":     expecting(t, sigstoretest.New(t), sigstoretest.Identity),
		"a key":            {PublicKeyEnv: m.pub},
	} {
		if report, err := verified(t, e, dir); !errors.Is(err, verify.ErrBad) || strings.Contains(report, "GOOD") {
			t.Errorf("%s: %v\n%s", what, err, report)
		}
	}
	iso := filepath.Join(dir, artifact.ISOFile)
	change(t, iso, flip(200_000))
	if report, err := verified(t, expecting(t, f, sigstoretest.Identity), dir); !errors.Is(err, verify.ErrBad) {
		t.Errorf("a byte of the ISO: %v\n%s", err, report)
	}
}

// An image that was signed without a key, in a registry.
func TestPublishKeyless(t *testing.T) {
	f := sigstoretest.New(t)
	s := newShop(t, "", "oci")
	delete(s.env, "BEE_COSIGN_KEY")
	s.env["BEE_OIDC_TOKEN"], s.env["BEE_FULCIO_URL"], s.env["BEE_REKOR_URL"] = sigstoretest.Token, f.URL, f.URL
	if out, err := s.publish(t); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ref := s.host + "/bee:1"
	if report, err := verified(t, expecting(t, f, sigstoretest.Identity), ref); err != nil || !strings.Contains(report, "GOOD: pull it by digest, "+s.host+"/bee@sha256:") {
		t.Errorf("%v\n%s", err, report)
	}
	for what, e := range map[string]env{
		"another identity": expecting(t, f, "somebody@example.org"),
		"another root":     expecting(t, sigstoretest.New(t), sigstoretest.Identity),
		"a key":            {PublicKeyEnv: s.pub},
	} {
		if report, err := verified(t, e, ref); !errors.Is(err, publish.ErrUnsigned) || strings.Contains(report, "GOOD") {
			t.Errorf("%s: %v\n%s", what, err, report)
		}
	}
}

// Half of what names an identity, or a key beside it, is refused before anything
// is looked at.
func TestTrustedRefused(t *testing.T) {
	root := write(t, t.TempDir(), "trusted_root.json", string(sigstoretest.New(t).TrustedRoot()))
	file := write(t, t.TempDir(), "root.json", "{}")
	for want, e := range map[string]env{
		"belong together": {TrustedRootEnv: root, IdentityEnv: "somebody"},
		"give one":        {TrustedRootEnv: root, IdentityEnv: "somebody", IssuerEnv: "somewhere", PublicKeyEnv: "/key"},
		"no such file":    {TrustedRootEnv: root + "x", IdentityEnv: "somebody", IssuerEnv: "somewhere"},
		"names no":        {TrustedRootEnv: file, IdentityEnv: "somebody", IssuerEnv: "somewhere"},
	} {
		if _, err := verified(t, e, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", e, err, want)
		}
	}
}
