package keyless

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/sign/keyless/sigstoretest"
)

var openBox = sync.OnceValues(func() (*sandbox.Sandbox, error) {
	l, err := lock.Load(os.DirFS("../../../.."), lock.Name)
	if err != nil {
		return nil, err
	}
	return sandbox.Open(context.Background(), l, os.Stderr, "amd64", "tools-registry")
})

// cosign runs Debian's cosign on the folder dir, without a network.
func cosign(t *testing.T, dir string, args ...string) error {
	t.Helper()
	b, err := openBox()
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Run(t.Context(), sandbox.Step{Args: append([]string{"/usr/bin/cosign"}, args...), Dir: "/in", Ro: []sandbox.Bind{{Host: dir, Path: "/in"}},
		Env: []string{"SIGSTORE_ROOT_FILE=/in/root.pem", "SIGSTORE_REKOR_PUBLIC_KEY=/in/rekor.pub"}})
}

func put(t *testing.T, dir, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func newFake(t *testing.T) *sigstoretest.Sigstore { return sigstoretest.New(t) }

// trust is to believe the servers, and to expect who has the good token.
func trust(t *testing.T, f *sigstoretest.Sigstore) Trust {
	t.Helper()
	return check(ParseTrust(f.TrustedRoot(), sigstoretest.Identity, sigstoretest.Issuer))(t)
}

func signer(t *testing.T, f *sigstoretest.Sigstore) *Signer {
	t.Helper()
	return check(New(t.Context(), Config{Token: sigstoretest.Token, Fulcio: f.URL, Rekor: f.URL}))(t)
}

func check[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// cosign checks everything about a bundle but the certificate's SCT, which a
// fake Fulcio has none of: the inclusion proof and the checkpoint too.
func TestCosignTakesBundle(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	put(t, dir, "blob", []byte("an image\n"))
	put(t, dir, "tampered", []byte("an imagE\n"))
	put(t, dir, "root.json", f.TrustedRoot())
	put(t, dir, "stranger.json", newFake(t).TrustedRoot())
	put(t, dir, "bundle.json", check(signer(t, f).File(t.Context(), "blob", sha256.Sum256([]byte("an image\n"))))(t))
	for _, c := range []struct{ root, identity, blob, want string }{
		{"root.json", sigstoretest.Identity, "blob", ""},
		{"root.json", sigstoretest.Identity, "tampered", "digest"},
		{"root.json", sigstoretest.Identity + "x", "blob", "identit"},
		{"stranger.json", sigstoretest.Identity, "blob", "verify"},
	} {
		err := cosign(t, dir, "verify-blob", "--bundle", "bundle.json", "--new-bundle-format", "--trusted-root", c.root, "--insecure-ignore-sct",
			"--certificate-identity", c.identity, "--certificate-oidc-issuer", sigstoretest.Issuer, c.blob)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// What cosign keeps for an image, put together as its older bundle of a file:
// the payload is the file.
func TestCosignTakesImagePromise(t *testing.T) {
	f := newFake(t)
	dir := t.TempDir()
	s := check(signer(t, f).Image(t.Context(), "registry.example/bee", "sha256:"+strings.Repeat("ab", 32)))(t)
	put(t, dir, "payload", s.Payload)
	put(t, dir, "tampered", append(s.Payload, ' '))
	put(t, dir, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Root.Raw}))
	put(t, dir, "rekor.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: check(x509.MarshalPKIXPublicKey(f.Rekor()))(t)}))
	put(t, dir, "bundle.json", check(json.Marshal(map[string]any{
		"base64Signature": s.Annotations[sign.ImageAnnotation],
		"cert":            base64.StdEncoding.EncodeToString([]byte(s.Annotations["dev.sigstore.cosign/certificate"])),
		"rekorBundle":     json.RawMessage(s.Annotations["dev.sigstore.cosign/bundle"]),
	}))(t))
	for blob, good := range map[string]bool{"payload": true, "tampered": false} {
		err := cosign(t, dir, "verify-blob", "--bundle", "bundle.json", "--insecure-ignore-sct", "--offline", "--certificate-identity", sigstoretest.Identity, "--certificate-oidc-issuer", sigstoretest.Issuer, blob)
		if (err == nil) != good {
			t.Errorf("%s: %v", blob, err)
		}
	}
	if !strings.Contains(s.Annotations["dev.sigstore.cosign/chain"], "BEGIN CERTIFICATE") {
		t.Error("the chain is not there")
	}
}

func TestVerify(t *testing.T) {
	f := newFake(t)
	digest := sha256.Sum256([]byte("x"))
	bundle := check(signer(t, f).File(t.Context(), "x", digest))(t)
	text := check(Verify(bundle, trust(t, f)))(t)
	if s := check(sign.ParseStatement(text))(t); !s.Covers("x", digest) {
		t.Errorf("%s", text)
	}
	other := check(signer(t, f).File(t.Context(), "y", digest))(t)
	change := func(change func(b, other *sign.Bundle)) []byte {
		b, o := check(sign.Parse(bundle))(t), check(sign.Parse(other))(t)
		change(b, o)
		return check(b.Marshal())(t)
	}
	elsewhere := newFake(t)
	stranger := check(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	for want, c := range map[string]struct {
		bundle []byte
		trust  func(*Trust)
	}{
		"expected was \"somebody":         {bundle, func(t *Trust) { t.Identity = "somebody else" }},
		"expected was \"https://other":    {bundle, func(t *Trust) { t.Issuer = "https://other.example" }},
		"of another log":                  {bundle, func(t *Trust) { t.Logs[0].Key = stranger.Public() }},
		"unknown authority":               {bundle, func(t *Trust) { t.Authorities[0].Root = elsewhere.Root }},
		"the log is not believed":         {bundle, func(t *Trust) { t.Logs[0].Valid.End = time.Unix(1e9, 0) }},
		"fake fulcio is not believed":     {bundle, func(t *Trust) { t.Authorities[0].Valid.Start = time.Unix(4e9, 0) }},
		"needs":                           {bundle, func(t *Trust) { t.Identity = "" }},
		"about something else":            {change(func(b, o *sign.Bundle) { b.Material.Entries = o.Material.Entries }), nil},
		"is about something else":         {change(func(b, o *sign.Bundle) { b.Envelope = o.Envelope }), nil},
		"something else":                  {change(func(b, o *sign.Bundle) { b.Envelope.Payload[5]++ }), nil},
		"entry in Rekor is about":         {change(func(b, o *sign.Bundle) { b.Material.Certificate = o.Material.Certificate }), nil},
		"promise of Rekor: the signature": {change(func(b, o *sign.Bundle) { b.Material.Entries[0].Time = "1700000000" }), nil},
		"no promise":                      {change(func(b, o *sign.Bundle) { b.Material.Entries[0].Promise = nil }), nil},
		"is no number":                    {change(func(b, o *sign.Bundle) { b.Material.Entries[0].Index = "x" }), nil},
		"not one entry":                   {change(func(b, o *sign.Bundle) { b.Material.Entries = nil }), nil},
		"parse certificate":               {change(func(b, o *sign.Bundle) { b.Material.Certificate.Raw = []byte{1} }), nil},
	} {
		trust := trust(t, f)
		if c.trust != nil {
			c.trust(&trust)
		}
		if _, err := Verify(c.bundle, trust); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	if _, err := sign.VerifyBundle(bundle, f.Rekor()); err == nil || !strings.Contains(err.Error(), "keyless") {
		t.Error(err)
	}
}

// What is no trust root is refused, before anything is held against it.
func TestParseTrust(t *testing.T) {
	good := newFake(t).TrustedRoot()
	for text, want := range map[string]string{
		"":            "parse",
		"{}":          "names no",
		`{"tlogs":7}`: "parse",
		strings.Replace(string(good), `"certificates":[{"rawBytes":"MII`, `"certificates":[{"rawBytes":"AII`, 1):                                                 "parse",
		strings.Replace(string(good), `"publicKey":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","rawBytes":"MFk`, `"publicKey":{"keyDetails":"?","rawBytes":"AFk`, 1): "no log",
	} {
		if _, err := ParseTrust([]byte(text), sigstoretest.Identity, sigstoretest.Issuer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseTrust(good, "", sigstoretest.Issuer); err == nil {
		t.Error("nobody is expected, and everybody would do")
	}
}

// A certificate that was not good when it signed is refused, whatever it is now.
func TestVerifyTime(t *testing.T) {
	f := newFake(t)
	s := signer(t, f)
	s.now = func() time.Time { return s.leaf.NotAfter.Add(time.Second) }
	if _, err := s.File(t.Context(), "x", sha256.Sum256(nil)); err == nil || !strings.Contains(err.Error(), "certificate ended") {
		t.Error(err)
	}
	if _, err := s.Image(t.Context(), "x", "sha256:"+strings.Repeat("ab", 32)); err == nil || !strings.Contains(err.Error(), "certificate ended") {
		t.Error(err)
	}
	// The promise is made anew for a time after the certificate.
	s.now = time.Now
	b := check(sign.Parse(check(s.File(t.Context(), "x", sha256.Sum256(nil)))(t)))(t)
	b.Material.Entries[0].Time = "4000000000"
	b.Material.Entries[0].Promise.Timestamp = f.Signed(check(promised(b.Material.Entries[0]))(t))
	if _, err := Verify(check(b.Marshal())(t), trust(t, f)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}

func TestAmbientToken(t *testing.T) {
	f := newFake(t)
	env := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": f.URL + "/token?x=y", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "the request's bearer", "BEE_FULCIO_URL": f.URL, "BEE_REKOR_URL": f.URL}
	c, wanted, err := FromEnv(func(n string) string { return env[n] })
	if err != nil || !wanted {
		t.Fatal(err)
	}
	s := check(New(t.Context(), c))(t)
	if _, err := Verify(check(s.File(t.Context(), "x", sha256.Sum256(nil)))(t), trust(t, f)); err != nil {
		t.Error(err)
	}
	c.RequestBearer = "a wrong secret"
	if _, err := New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "identity token") || strings.Contains(err.Error(), "wrong secret") {
		t.Error(err)
	}
	for want, env := range map[string]map[string]string{
		"belong together": {"BEE_FULCIO_URL": "https://f"},
		"id-token: write": {"BEE_FULCIO_URL": "https://f", "BEE_REKOR_URL": "https://r"},
	} {
		if _, _, err := FromEnv(func(n string) string { return env[n] }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	if _, wanted, err := FromEnv(func(string) string { return "" }); wanted || err != nil {
		t.Error(wanted, err)
	}
}

func TestServersFail(t *testing.T) {
	f := newFake(t)
	s := signer(t, f)
	s.client.wait = time.Millisecond
	file := func() error {
		_, err := s.File(t.Context(), "x", sha256.Sum256(nil))
		return err
	}
	f.Fail, f.Asked = 3, 0
	if err := file(); err != nil || f.Asked != 4 {
		t.Errorf("%v, asked %d times", err, f.Asked)
	}
	f.Fail, f.Asked = 9, 0
	if err := file(); err == nil || !strings.Contains(err.Error(), "503") || f.Asked != 4 {
		t.Errorf("%v, asked %d times", err, f.Asked)
	}
	f.Fail = 0
	for want, wrong := range map[string]func(map[string]any){
		"about something else": func(e map[string]any) { e["body"] = []byte(`{"apiVersion":"0.0.1","kind":"dsse"}`) },
		"no name":              func(e map[string]any) { e["logID"] = "x" },
		"no proof":             func(e map[string]any) { delete(e, "verification") },
		"parse the answer":     func(e map[string]any) { e["logIndex"] = "x" },
	} {
		f.Wrong = wrong
		if err := file(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	f.Asked = 0
	if _, err := New(t.Context(), Config{Token: "another-token", Fulcio: f.URL, Rekor: f.URL}); err == nil || !strings.Contains(err.Error(), "400") || strings.Contains(err.Error(), "another-token") || f.Asked != 1 {
		t.Errorf("%v, asked %d times", err, f.Asked)
	}
	for _, address := range []string{"http://fulcio.example", "fulcio.example", "ftp://localhost"} {
		if _, err := New(t.Context(), Config{Token: sigstoretest.Token, Fulcio: address, Rekor: f.URL}); err == nil || !strings.Contains(err.Error(), "https://") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"AA=="},"tlogEntries":[{"logIndex":"1","integratedTime":"1","inclusionPromise":{"signedEntryTimestamp":"AA=="}}]},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}}`))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	trust := Trust{Authorities: []Authority{{Root: &x509.Certificate{}}}, Logs: []Log{{Key: key.Public()}}, Identity: sigstoretest.Identity, Issuer: sigstoretest.Issuer}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := Verify(text, trust); err == nil {
			t.Errorf("%q came out of a bundle that nobody signed", got)
		}
	})
}

func FuzzParseTrust(f *testing.F) {
	f.Add([]byte(`{"tlogs":[{"publicKey":{"rawBytes":"AA==","validFor":{"start":"2020-01-01T00:00:00Z"}}}],"certificateAuthorities":[{"certChain":{"certificates":[{"rawBytes":"AA=="}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if trust, err := ParseTrust(text, "somebody", "somewhere"); err == nil && (len(trust.Logs) == 0 || len(trust.Authorities) == 0) {
			t.Errorf("%q is a trust root", text)
		}
	})
}
