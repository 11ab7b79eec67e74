package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/oci"
	"github.com/bee-os/bee/pkg/build/provenance"
	"github.com/bee-os/bee/pkg/build/publish"
	"github.com/bee-os/bee/pkg/build/sbom"
	"github.com/bee-os/bee/pkg/build/sign"
)

const secret = "0123456789abcdef0123456789abcdef"

// hook is a receiver of webhooks, as an operator would write one.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies [][]byte
	bad    error
}

func newHook(t *testing.T) *hook {
	h := new(hook)
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bad = errors.Join(h.bad, err, publish.VerifyWebhook(secret, r.Header, body, time.Now(), time.Hour))
		h.bodies = append(h.bodies, body)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) told(t *testing.T) [][]byte {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad != nil {
		t.Error(h.bad)
	}
	return h.bodies
}

// shop is a project with families that are built, and places to publish to.
type shop struct {
	*hook
	made
	images, target string
	host, data     string // the registry and its storage
	env            env
}

func newShop(t *testing.T, password string, families ...string) shop {
	t.Helper()
	s := shop{made: built(t), hook: newHook(t)}
	project := t.TempDir()
	t.Chdir(project)
	t.Setenv("DOCKER_CONFIG", t.TempDir()) // nobody is logged in anywhere
	s.images, s.target = filepath.Join(project, "images"), filepath.Join(t.TempDir(), "target")
	for _, f := range families {
		clone(t, artifact.Dir(s.made.images, f, "amd64"), artifact.Dir(s.images, f, "amd64"))
	}
	s.host, s.data = startRegistry(t, password)
	s.env = env{"BEE_PUBLISH": s.target, "BEE_PUBLISH_OCI": s.host + "/bee:1", "BEE_COSIGN_KEY": s.key, "BEE_WEBHOOK_URL": s.URL, "BEE_WEBHOOK_SECRET": secret}
	return s
}

// publish runs Publish; nothing that only it needs may lie in images/ then.
func (s shop) publish(t *testing.T) (string, error) {
	t.Helper()
	var out strings.Builder
	before := files(t, s.images)
	err := Publish(t.Context(), s.env.get, &out)
	if after := files(t, s.images); !slices.Equal(before, after) {
		t.Errorf("images/ holds %q, before it was %q", after, before)
	}
	if strings.Contains(out.String(), secret) {
		t.Errorf("the secret is told:\n%s", out.String())
	}
	return out.String(), err
}

// nothingSent fails where anything reached anybody.
func (s shop) nothingSent(t *testing.T) {
	t.Helper()
	if list := files(t, s.target); len(list) != 0 {
		t.Errorf("the folder holds %q", list)
	}
	if list := files(t, s.data); len(list) != 0 {
		t.Errorf("the registry holds %q", list)
	}
	if told := s.told(t); len(told) != 0 {
		t.Errorf("the webhook was told %s", told)
	}
}

func sumOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// The whole way: what was built is verified, lies in the registry and in the
// folder, and can be verified there by us and by cosign; the webhook knows.
func TestPublish(t *testing.T) {
	s := newShop(t, "", families...)
	for _, f := range []string{"kernel-initrd", "oci"} {
		clone(t, artifact.Dir(s.made.images, f, "arm64"), artifact.Dir(s.images, f, "arm64"))
	}
	out, err := s.publish(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	there := files(t, s.target)
	if here := files(t, s.images); !slices.Equal(here, there) {
		t.Errorf("in the folder: %q, built: %q", there, here)
	}
	for _, name := range there {
		if a, b := sumOf(t, filepath.Join(s.images, name)), sumOf(t, filepath.Join(s.target, name)); a != b {
			t.Errorf("%s: %s is not %s", name, b, a)
		}
	}
	told := s.told(t)
	if len(told) != 1 {
		t.Fatalf("the webhook was told %d times", len(told))
	}
	var event publish.Event
	if err := json.Unmarshal(told[0], &event); err != nil {
		t.Fatal(err)
	}
	m := readManifest(t, artifact.Dir(s.images, "oci", "amd64"))
	commit := ""
	if m.Source.Clean {
		commit = m.Source.Commit
	}
	if event.Version != bom.Version || event.Commit != commit || event.Image == nil || !event.Image.Signed || len(event.Outputs) != len(there) ||
		!slices.Equal(event.Arches, []string{"amd64", "arm64"}) || !slices.Equal(event.Variants, []string{"iso", "kernel-initrd", "oci", "uki"}) {
		t.Fatalf("%+v", event)
	}
	if !strings.HasPrefix(event.Image.Immutable, s.host+"/bee@sha256:") || !strings.Contains(out, event.Image.Immutable) {
		t.Errorf("%s\n%s", event.Image.Immutable, out)
	}
	s.pulled(t, event.Image.Immutable)
	for _, ref := range []string{s.host + "/bee:1", event.Image.Immutable} {
		s.verifiedImage(t, ref)
	}
	if out, err := s.publish(t); err != nil { // again: nothing to do is no error
		t.Errorf("%v\n%s", err, out)
	}
}

func readManifest(t *testing.T, dir string) *manifest.Manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// pulled: kernel and initramfs inside are those of the manifests, and of the
// family kernel-initrd, for both architectures.
func (s shop) pulled(t *testing.T, ref string) {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "layout")
	if _, err := (publish.Registry{}).Pull(t.Context(), ref, layout); err != nil {
		t.Fatal(err)
	}
	images, err := oci.Inspect(t.Context(), layout)
	if err != nil || len(images) != 2 || images[0].Arch != "amd64" || images[1].Arch != "arm64" {
		t.Fatalf("%+v, %v", images, err)
	}
	compared := 0
	for _, image := range images {
		for _, o := range readManifest(t, artifact.Dir(s.images, "oci", image.Arch)).Outputs {
			for _, c := range o.Contents {
				got := image.Files[filepath.Base(c.Path)]
				own := map[string]string{"kernel": artifact.KernelFile, "initrd": artifact.InitrdFile}[c.Role]
				if hex.EncodeToString(got[:]) != c.SHA256 || c.SHA256 != sumOf(t, filepath.Join(artifact.KernelInitrdDir(s.images, image.Arch), own)) {
					t.Errorf("%s %s in the registry is %x, the manifest says %s", image.Arch, c.Role, got, c.SHA256)
				}
				compared++
			}
		}
	}
	if compared != 4 {
		t.Errorf("%d files were compared", compared)
	}
}

// verifiedImage asks us and cosign about a reference.
func (s shop) verifiedImage(t *testing.T, ref string) {
	t.Helper()
	if report, err := verified(t, env{PublicKeyEnv: s.pub}, ref); err != nil || !strings.Contains(report, "GOOD: pull it by digest, "+s.host+"/bee@sha256:") || strings.Count(report, "ok   file") != 4 {
		t.Errorf("%s: %v\n%s", ref, err, report)
	}
	if report, err := verified(t, env{PublicKeyEnv: s.other}, ref); !errors.Is(err, publish.ErrUnsigned) || strings.Contains(report, "GOOD") {
		t.Errorf("%s with another key: %v\n%s", ref, err, report)
	}
	if report, err := verified(t, env{}, ref); err == nil || !strings.Contains(err.Error(), PublicKeyEnv) || report != "" {
		t.Errorf("%s without a key: %v\n%s", ref, err, report)
	}
	dir := t.TempDir()
	for name, file := range map[string]string{"key.pub": s.pub, "other.pub": s.other} {
		if err := os.Link(file, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cosign(t, dir, true, "verify", "--key", "key.pub", "--insecure-ignore-tlog=true", ref); err != nil {
		t.Errorf("cosign refuses %s: %v", ref, err)
	}
	if err := cosign(t, dir, true, "verify", "--key", "other.pub", "--insecure-ignore-tlog=true", ref); err == nil {
		t.Errorf("cosign takes %s with another key", ref)
	}
}

// Nobody's key: it can be published, and who verifies it refuses it.
func TestPublishUnsigned(t *testing.T) {
	s := newShop(t, "", "oci")
	s.env["BEE_COSIGN_KEY"] = ""
	if out, err := s.publish(t); err != nil || !strings.Contains(out, "signed: false") || !strings.Contains(out, "SIGNATURE NOT CHECKED") {
		t.Fatalf("%v\n%s", err, out)
	}
	ref := s.env["BEE_PUBLISH_OCI"]
	if report, err := verified(t, env{PublicKeyEnv: s.pub}, ref); !errors.Is(err, publish.ErrUnsigned) || strings.Contains(report, "GOOD") {
		t.Errorf("%v\n%s", err, report)
	}
}

// What is not as it was built, or not of one build, is not sent, none of it.
func TestPublishRefuses(t *testing.T) {
	s := newShop(t, "", families...)
	refuses := func(t *testing.T, says string) {
		t.Helper()
		if out, err := s.publish(t); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error with %q\n%s", err, says, out)
		}
		s.nothingSent(t)
	}
	t.Run("a byte of the last folder", func(t *testing.T) {
		defer change(t, filepath.Join(artifact.Dir(s.images, "uki", "amd64"), artifact.UKIFile), flip(5000))()
		refuses(t, "nothing was sent")
	})
	t.Run("a file too many", func(t *testing.T) {
		defer remove(t, write(t, artifact.Dir(s.images, "iso", "amd64"), "evil", "x"))
		refuses(t, "nothing was sent")
	})
	t.Run("another key", func(t *testing.T) {
		defer func() { delete(s.env, PublicKeyEnv) }()
		s.env[PublicKeyEnv] = s.other
		refuses(t, "nothing was sent")
		s.env[PublicKeyEnv], s.env["BEE_COSIGN_KEY"] = "", s.otherKey
		defer func() { s.env["BEE_COSIGN_KEY"] = s.key }()
		refuses(t, "nothing was sent")
	})
	t.Run("parameters of one machine", func(t *testing.T) {
		iso := filepath.Join(artifact.Dir(s.images, "iso", "amd64"), artifact.ISOFile)
		defer change(t, iso, func(text []byte) []byte { return text })()
		if err := Patch(t.Context(), s.env.get, iso, "bee.password_hash=$6$salt$hash", io.Discard); err != nil {
			t.Fatal(err)
		}
		refuses(t, "parameter block was changed")
	})
	t.Run("two commits", func(t *testing.T) {
		dir := artifact.Dir(s.images, "kernel-initrd", "amd64")
		for _, source := range []manifest.Source{{Commit: strings.Repeat("c", 40), Clean: true}, {}} {
			put := rebuilt(t, s.made, dir, source)
			refuses(t, "build all of one")
			put()
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		was := s.env
		defer func() { s.env = was }()
		s.env = env{}
		refuses(t, "BEE_PUBLISH")
	})
	t.Run("a readable key", func(t *testing.T) {
		defer func() { s.env["BEE_COSIGN_KEY"] = s.key }()
		text, err := os.ReadFile(s.key)
		if err != nil {
			t.Fatal(err)
		}
		s.env["BEE_COSIGN_KEY"] = write(t, t.TempDir(), "cosign.key", string(text))
		refuses(t, "chmod 600")
	})
	t.Run("no image", func(t *testing.T) {
		away := filepath.Join(t.TempDir(), "oci")
		if err := os.Rename(filepath.Join(s.images, "oci"), away); err != nil {
			t.Fatal(err)
		}
		refuses(t, "build the variant oci")
		if err := os.Rename(away, filepath.Join(s.images, "oci")); err != nil {
			t.Fatal(err)
		}
	})
	if out, err := s.publish(t); err != nil {
		t.Errorf("all put back, and it is refused: %v\n%s", err, out)
	}
}

// rebuilt makes of a folder what a build of another commit would have made; put
// puts the old documents back.
func rebuilt(t *testing.T, m made, dir string, source manifest.Source) (put func()) {
	t.Helper()
	var back []func()
	for _, name := range []string{manifest.FileName, sbom.FileName, provenance.FileName, manifest.SumsName, provenance.FileName + sign.Suffix, manifest.SumsName + sign.Suffix} {
		back = append(back, change(t, filepath.Join(dir, name), func(text []byte) []byte { return text }))
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, artifact.BOMFile))
	check(err)
	b, err := bom.Decode(text)
	check(err)
	says := readManifest(t, dir)
	says.Source = source
	check(says.Write(dir))
	bill, err := sbom.Encode(says, b)
	check(err)
	write(t, dir, sbom.FileName, string(bill))
	statement, err := provenance.Encode(provenance.Config{Manifest: says, Documents: []manifest.Sum{
		{Name: manifest.FileName, SHA256: sumOf(t, filepath.Join(dir, manifest.FileName))}, {Name: sbom.FileName, SHA256: sumOf(t, filepath.Join(dir, sbom.FileName))}}})
	check(err)
	write(t, dir, provenance.FileName, string(statement))
	check(says.WriteSums(t.Context(), dir, sbom.FileName, provenance.FileName))
	key, err := sign.Load(m.key, nil)
	check(err)
	bundle, err := key.Statement(t.Context(), statement)
	check(err)
	write(t, dir, provenance.FileName+sign.Suffix, string(bundle))
	sum, err := hex.DecodeString(sumOf(t, filepath.Join(dir, manifest.SumsName)))
	check(err)
	bundle, err = key.File(t.Context(), manifest.SumsName, [32]byte(sum))
	check(err)
	write(t, dir, manifest.SumsName+sign.Suffix, string(bundle))
	if report, err := verified(t, env{PublicKeyEnv: m.pub}, dir); err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	return func() {
		for _, put := range back {
			put()
		}
	}
}

// A registry that lets nobody in: nothing is published anywhere, and the error
// says what to do.
func TestPublishDenied(t *testing.T) {
	s := newShop(t, "a password", "oci")
	if out, err := s.publish(t); err == nil || !strings.Contains(err.Error(), "docker login "+s.host) {
		t.Errorf("%v\n%s", err, out)
	}
	s.nothingSent(t)
}

// What a build that was killed left is not an artifact.
func TestPublishLeftover(t *testing.T) {
	s := newShop(t, "", "kernel-initrd")
	s.env["BEE_PUBLISH_OCI"] = ""
	clone(t, artifact.Dir(s.images, "kernel-initrd", "amd64"), filepath.Join(s.images, "kernel-initrd", ".amd64.new"))
	if out, err := s.publish(t); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range files(t, s.target) {
		if strings.Contains(name, ".new") {
			t.Errorf("published: %s", name)
		}
	}
	if len(s.told(t)) != 1 {
		t.Error("nobody was told")
	}
}
