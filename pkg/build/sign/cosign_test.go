package sign

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

const root = "../../.."

// emptyRoot trusts nobody. With it cosign asks the network nothing: a bundle
// that a key signed needs no root.
const emptyRoot = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`

// cosign runs Debian's cosign in the folder dir, without a network.
func cosign(t *testing.T, dir string, args ...string) error {
	t.Helper()
	return box(t).Run(t.Context(), sandbox.Step{Args: append([]string{"/usr/bin/cosign"}, args...), Dir: "/work",
		Env: []string{"COSIGN_PASSWORD=a password"}, Rw: []sandbox.Bind{{Host: dir, Path: "/work"}}})
}

var openBox = sync.OnceValues(func() (*sandbox.Sandbox, error) {
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		return nil, err
	}
	return sandbox.Open(context.Background(), l, os.Stderr, "amd64", "tools-registry")
})

func box(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	b, err := openBox()
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put writes a file that the sandbox sees.
func put(t *testing.T, dir, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// verify asks cosign about blob with both of its commands; they must agree.
func verify(t *testing.T, dir, pub, bundle, blob string) error {
	t.Helper()
	common := []string{"--key", pub, "--bundle", bundle, "--new-bundle-format", "--trusted-root", "root.json", "--insecure-ignore-tlog", blob}
	one := cosign(t, dir, append([]string{"verify-blob"}, common...)...)
	two := cosign(t, dir, append([]string{"verify-blob-attestation", "--type", PredicateSign}, common...)...)
	if (one == nil) != (two == nil) {
		t.Errorf("verify-blob says %v, verify-blob-attestation %v", one, two)
	}
	return one
}

// cosign takes our bundles, from its own key and from plain ones of each kind,
// and refuses them for another file and another key.
func TestCosignTakesBundles(t *testing.T) {
	dir := t.TempDir()
	if err := cosign(t, dir, "generate-key-pair"); err != nil {
		t.Fatal(err)
	}
	blob := []byte("an image\n")
	put(t, dir, "blob", blob)
	put(t, dir, "tampered", []byte("an imagE\n"))
	put(t, dir, "root.json", []byte(emptyRoot))
	put(t, dir, "other.pub", must(must(Load(kinds(t)["ecdsa-sec1"], nil))(t).PublicPEM())(t))
	files := kinds(t)
	files["cosign"] = filepath.Join(dir, "cosign.key")
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			k := must(Load(file, func() ([]byte, error) { return []byte("a password"), nil }))(t)
			put(t, dir, "key.pub", must(k.PublicPEM())(t))
			put(t, dir, "bundle.json", must(k.File(t.Context(), "blob", sha256.Sum256(blob)))(t))
			if err := verify(t, dir, "key.pub", "bundle.json", "blob"); err != nil {
				t.Errorf("cosign refuses a good bundle: %v", err)
			}
			if err := verify(t, dir, "key.pub", "bundle.json", "tampered"); err == nil || !strings.Contains(err.Error(), "digest") {
				t.Errorf("a tampered file: %v", err)
			}
			if err := verify(t, dir, "other.pub", "bundle.json", "blob"); err == nil || !strings.Contains(err.Error(), "signature") {
				t.Errorf("another key: %v", err)
			}
		})
	}
	mine, theirs := must(os.ReadFile(filepath.Join(dir, "key.pub")))(t), must(os.ReadFile(filepath.Join(dir, "cosign.pub")))(t)
	if k := must(Load(files["cosign"], func() ([]byte, error) { return []byte("a password"), nil }))(t); string(must(k.PublicPEM())(t)) != string(theirs) {
		t.Errorf("cosign's key has another public half here:\n%s%s", mine, theirs)
	}
	if _, err := Load(files["cosign"], func() ([]byte, error) { return []byte("wrong"), nil }); err == nil || !strings.Contains(err.Error(), "password is wrong") {
		t.Error(err)
	}
	t.Setenv("COSIGN_PASSWORD", "a password")
	if _, err := Load(files["cosign"], PasswordFromEnv); err != nil {
		t.Error(err)
	}
}

// A bundle that cosign signed with the same key over the statement that
// attest-blob makes is read here too, except that it is an older statement: it
// is refused by its type, and not by its signature.
func TestCosignsOwnBundle(t *testing.T) {
	dir := t.TempDir()
	if err := cosign(t, dir, "generate-key-pair"); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "blob", []byte("x"))
	put(t, dir, "predicate", []byte("{}"))
	if err := cosign(t, dir, "attest-blob", "--key", "cosign.key", "--predicate", "predicate", "--tlog-upload=false", "--new-bundle-format", "--bundle", "b.json", "-y", "blob"); err != nil {
		t.Fatal(err)
	}
	pub := must(LoadPublic(filepath.Join(dir, "cosign.pub")))(t)
	_, err := VerifyBundle(must(os.ReadFile(filepath.Join(dir, "b.json")))(t), pub)
	if err == nil || errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), "Statement/v0.1") {
		t.Error(err)
	}
}
