package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bee-os/bee/pkg/build/oci"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/sign"
)

// Pushed, asked back over plain HTTP down to the last blob, pulled, and verified
// by cosign: with the right key and with none other.
func TestPush(t *testing.T) {
	host, data := startRegistry(t, "")
	k, other := newKey(t), newKey(t)
	dir := image(t, "a", "amd64", "arm64")
	ref := host + "/bee:1"
	var said strings.Builder
	r := Registry{Progress: &said}
	got, err := r.Push(t.Context(), dir, ref, k)
	if err != nil {
		t.Fatal(err)
	}
	root, err := oci.Root(dir)
	if err != nil || got.Digest != root.Digest || got.Immutable != host+"/bee@"+root.Digest || fmt.Sprint(got.Arches) != "[amd64 arm64]" || !got.Signed {
		t.Errorf("%+v, %v", got, err)
	}
	var index struct {
		Manifests []struct{ Digest string }
	}
	if err := json.Unmarshal(get(t, host, "manifests", got.Digest), &index); err != nil {
		t.Fatal(err)
	}
	for _, m := range index.Manifests {
		var image struct {
			Config struct{ Digest string }
			Layers []struct{ Digest string }
		}
		if err := json.Unmarshal(get(t, host, "manifests", m.Digest), &image); err != nil {
			t.Fatal(err)
		}
		get(t, host, "blobs", image.Config.Digest)
		get(t, host, "blobs", image.Layers[0].Digest)
	}
	refs := []string{ref, got.Immutable, host + "/bee@" + index.Manifests[0].Digest, host + "/bee@" + index.Manifests[1].Digest}
	for _, ref := range refs {
		if err := cosign(t, k, ref); err != nil {
			t.Errorf("cosign refuses %s: %v", ref, err)
		}
		if err := cosign(t, other, ref); err == nil || !strings.Contains(err.Error(), "signature") {
			t.Errorf("cosign takes %s with another key: %v", ref, err)
		}
		if _, err := r.Verify(t.Context(), ref, k.Public()); err != nil {
			t.Error(err)
		}
		if _, err := r.Verify(t.Context(), ref, other.Public()); !errors.Is(err, ErrUnsigned) || !errors.Is(err, sign.ErrSignature) {
			t.Errorf("%s with another key: %v", ref, err)
		}
	}
	again, err := r.Push(t.Context(), dir, ref, other) // a second signer takes nothing from the first
	if err != nil || again.Digest != got.Digest {
		t.Fatal(err)
	}
	for _, k := range []*sign.Key{k, other} {
		if err := cosign(t, k, ref); err != nil {
			t.Error(err)
		}
	}
	referrer(t, k, host, got.Digest)
	bundles, err := r.Bundles(t.Context(), got.Immutable)
	if err != nil || len(bundles) != 2 {
		t.Errorf("%d bundles, %v", len(bundles), err)
	}
	for _, b := range bundles {
		_, one := sign.VerifyBundle(b, k.Public())
		_, two := sign.VerifyBundle(b, other.Public())
		if (one == nil) == (two == nil) {
			t.Errorf("%s: %v, %v", b, one, two)
		}
	}
	pulled(t, r, data, got.Immutable)
}

// referrer takes the bundle that refers to an image from the list under the
// fallback tag, and lets cosign verify it over the image's manifest as a file.
func referrer(t *testing.T, k *sign.Key, host, digest string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/bee/manifests/"+strings.Replace(digest, ":", "-", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct {
		Manifests []struct{ Digest, ArtifactType string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || len(list.Manifests) != 2 { // of two signers
		t.Fatal(err, list)
	}
	dir := t.TempDir()
	put(t, dir, "manifest", get(t, host, "manifests", digest))
	put(t, dir, "root.json", []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`))
	text, err := k.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "cosign.pub", text)
	good := 0
	for _, d := range list.Manifests {
		var m struct {
			ArtifactType string
			Subject      struct{ Digest string }
			Layers       []struct{ Digest string }
		}
		if err := json.Unmarshal(get(t, host, "manifests", d.Digest), &m); err != nil {
			t.Fatal(err)
		}
		if d.ArtifactType != sign.MediaType || m.ArtifactType != sign.MediaType || m.Subject.Digest != digest {
			t.Errorf("%+v, %+v", d, m)
		}
		put(t, dir, "bundle", get(t, host, "blobs", m.Layers[0].Digest))
		if box(t).Run(t.Context(), sandbox.Step{Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}, Args: []string{"/usr/bin/cosign", "verify-blob", "--key", "/in/cosign.pub",
			"--bundle", "/in/bundle", "--new-bundle-format", "--trusted-root", "/in/root.json", "--insecure-ignore-tlog", "/in/manifest"}}) == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("cosign takes %d of the two bundles, want that of the key", good)
	}
}

// pulled pulls an image, and again after a blob in the registry was changed.
func pulled(t *testing.T, r Registry, data, ref string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "oci")
	if digest, err := r.Pull(t.Context(), ref, out); err != nil || !strings.HasSuffix(ref, digest) {
		t.Fatal(digest, err)
	}
	contents, err := oci.Inspect(t.Context(), out)
	if err != nil || len(contents) != 2 || contents[1].Files["vmlinuz"] != sha256.Sum256([]byte("kernel aarm64")) {
		t.Errorf("%v, %v", contents, err)
	}
	if _, err := r.Pull(t.Context(), ref, out); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Error(err)
	}
	changed := 0
	blobs, err := filepath.Glob(filepath.Join(data, "docker/registry/v2/blobs/sha256/*/*/data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		text, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("kernel aarm64")) {
			changed++
			put(t, filepath.Dir(b), "data", bytes.Replace(text, []byte("kernel aarm64"), []byte("kernel Aarm64"), 1))
		}
	}
	if changed != 1 {
		t.Fatalf("%d layers were changed", changed)
	}
	parent := t.TempDir()
	if _, err := r.Pull(t.Context(), ref, filepath.Join(parent, "oci")); err == nil {
		t.Error("a changed layer is taken")
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Whoever may write to the registry, but has no key, gets nothing past cosign
// and past Verify: another image under the tag, and the first one's signature
// copied to it.
func TestTampered(t *testing.T) {
	host, _ := startRegistry(t, "")
	k := newKey(t)
	r := Registry{}
	good, err := r.Push(t.Context(), image(t, "good", "amd64"), host+"/bee:1", k)
	if err != nil {
		t.Fatal(err)
	}
	evil, err := r.Push(t.Context(), image(t, "evil", "amd64"), host+"/bee:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want string) {
		t.Helper()
		if err := cosign(t, k, host+"/bee:1"); err == nil {
			t.Error("cosign takes the image")
		}
		if _, err := r.Verify(t.Context(), host+"/bee:1", k.Public()); !errors.Is(err, ErrUnsigned) || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
	refused("of 0 signatures")
	n, err := parseTag(host + "/bee:1")
	if err != nil {
		t.Fatal(err)
	}
	options := r.options(t.Context())
	stolen, err := remote.Image(sigTag(n.Context().Digest(good.Digest)), options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(sigTag(n.Context().Digest(evil.Digest)), stolen, options...); err != nil {
		t.Fatal(err)
	}
	refused("for another image")
}

// login makes a Docker configuration with a password for the registry.
func login(t *testing.T, host, password string) {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"username": "bee", "password": password}}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "config.json", text)
	t.Setenv("DOCKER_CONFIG", dir)
}

func TestRegistryRefuses(t *testing.T) {
	host, _ := startRegistry(t, "sesame")
	dir, ref := image(t, "a", "amd64"), host+"/bee:1"
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, password := range []string{"", "wrong"} {
		if password != "" {
			login(t, host, password)
		}
		_, err := Registry{}.Push(t.Context(), dir, ref, newKey(t))
		if err == nil || !strings.Contains(err.Error(), "docker login "+host) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("password %q: %v", password, err)
		}
	}
	login(t, host, "sesame")
	if _, err := (Registry{}).Push(t.Context(), dir, ref, newKey(t)); err != nil {
		t.Error(err)
	}
	if _, err := (Registry{}).Pull(t.Context(), host+"/bee:2", filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") {
		t.Error(err)
	}
	for _, bad := range []string{"bee", "bee:1", host + "/bee", host + "/Bee:1", ""} {
		if _, err := (Registry{}).Push(t.Context(), dir, bad, nil); err == nil || !strings.Contains(err.Error(), "registry/repository:tag") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A registry behind a proxy that fails now and then.
func TestRegistryFailsOnce(t *testing.T) {
	host, _ := startRegistry(t, "")
	back := &url.URL{Scheme: "http", Host: host}
	var failed, always atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(back)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && failed.Add(1) == 1 || always.Load() == 1 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	r := Registry{waits: &remote.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 3}}
	ref := strings.TrimPrefix(front.URL, "http://") + "/bee:1"
	if _, err := r.Push(t.Context(), image(t, "a", "amd64"), ref, nil); err != nil || failed.Load() < 2 {
		t.Errorf("%v after %d tries", err, failed.Load())
	}
	always.Store(1)
	if _, err := r.Push(t.Context(), image(t, "b", "amd64"), ref, nil); err == nil || !strings.Contains(err.Error(), "503") {
		t.Error(err)
	}
}

// roundTrip is a transport that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Nothing leaves this machine without TLS unless that was asked for. The
// registry library would try it with every private address.
func TestNoPlainHTTP(t *testing.T) {
	for _, c := range []struct {
		address     string
		plain, goes bool
	}{
		{"https://registry.example/v2/", false, true},
		{"http://registry.example/v2/", false, false},
		{"http://10.1.2.3:5000/v2/", false, false},
		{"http://localhost.example/v2/", false, false},
		{"http://127.0.0.1.example/v2/", false, false},
		{"http://10.1.2.3:5000/v2/", true, true},
		{"http://localhost:5000/v2/", false, true},
		{"http://127.0.0.1:5000/v2/", false, true},
		{"http://[::1]:5000/v2/", false, true},
	} {
		g := newTransport(c.plain).(*guard)
		sent := false
		g.next = roundTrip(func(*http.Request) (*http.Response, error) {
			sent = true
			return &http.Response{Body: http.NoBody}, nil
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.RoundTrip(req); sent != c.goes || (err == nil) != c.goes || err != nil && !errors.Is(err, errPlain) {
			t.Errorf("%s, plain %v: sent %v, %v", c.address, c.plain, sent, err)
		}
	}
}
