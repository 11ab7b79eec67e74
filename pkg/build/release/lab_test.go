package release

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

const root = "../../.."

// lab is what all tests share: a folder that is away at the end.
var lab struct {
	dir  string
	root string // of the checkout, absolute: tests change their folder
}

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	os.Exit(func() int {
		var err error
		if lab.root, err = filepath.Abs(root); err == nil {
			lab.dir, err = os.MkdirTemp("", "bee-release-")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		status := m.Run()
		if err := os.RemoveAll(lab.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return status
	}())
}

// unavailable leaves a test out where a sandbox cannot be entered; in CI it
// cannot be.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var openBox = sync.OnceValues(func() (*sandbox.Sandbox, error) {
	l, err := lock.Load(os.DirFS(lab.root), lock.Name)
	if err != nil {
		return nil, err
	}
	return sandbox.Open(context.Background(), l, os.Stderr, "amd64", "tools-registry")
})

func box(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	b, err := openBox()
	unavailable(t, err)
	return b
}

// cosign runs Debian's in the folder dir, which is /work.
func cosign(t *testing.T, dir string, network bool, args ...string) error {
	t.Helper()
	return box(t).Run(t.Context(), sandbox.Step{Args: append([]string{"/usr/bin/cosign"}, args...), Dir: "/work", Network: network,
		Env: []string{"COSIGN_PASSWORD=a password"}, Rw: []sandbox.Bind{{Host: dir, Path: "/work"}}})
}

// newKey makes a key as openssl does and its public half, in files.
func newKey(dir, name string) (key, pub string, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", "", err
	}
	public, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return "", "", err
	}
	key, pub = filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pub")
	return key, pub, errors.Join(
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		os.WriteFile(pub, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644))
}

// made is what was built, once for all tests.
type made struct {
	images          string // folder
	key, pub        string // that signed it
	other, otherKey string // public and private half of a key that did not
	encKey, encPub  string // cosign's, encrypted; it signed what is in encrypted
	encrypted       string // folder of artifacts
	password        string
}

// families that are built for amd64; for arm64 there is the image of oci.
var families = []string{"kernel-initrd", "iso", "oci", "uki"}

var build = sync.OnceValues(func() (made, error) {
	m := made{images: filepath.Join(lab.dir, "images"), encrypted: filepath.Join(lab.dir, "encrypted"), password: "a password"}
	var err error
	if m.key, m.pub, err = newKey(lab.dir, "cosign"); err != nil {
		return m, err
	}
	if m.otherKey, m.other, err = newKey(lab.dir, "other"); err != nil {
		return m, err
	}
	c := artifact.Config{Root: lab.root, Manifest: "thin", Families: families, Out: m.images, CosignKey: m.key}
	if err := artifact.Build(context.Background(), c); err != nil {
		return m, err
	}
	c.Arch, c.Families = "arm64", []string{"oci"}
	if err := artifact.Build(context.Background(), c); err != nil {
		return m, err
	}
	b, err := openBox()
	if err != nil {
		return m, err
	}
	m.encKey, m.encPub = filepath.Join(lab.dir, "enc", "cosign.key"), filepath.Join(lab.dir, "enc", "cosign.pub")
	if err := os.Mkdir(filepath.Dir(m.encKey), 0o755); err != nil {
		return m, err
	}
	if err := b.Run(context.Background(), sandbox.Step{Args: []string{"/usr/bin/cosign", "generate-key-pair"}, Dir: "/work",
		Env: []string{"COSIGN_PASSWORD=" + m.password}, Rw: []sandbox.Bind{{Host: filepath.Dir(m.encKey), Path: "/work"}}}); err != nil {
		return m, err
	}
	if err := os.Setenv("COSIGN_PASSWORD", m.password); err != nil {
		return m, err
	}
	defer os.Unsetenv("COSIGN_PASSWORD")
	c.Arch, c.Families, c.Out, c.CosignKey = "", []string{"kernel-initrd"}, m.encrypted, m.encKey
	return m, artifact.Build(context.Background(), c)
})

func built(t *testing.T) made {
	t.Helper()
	m, err := build()
	unavailable(t, err)
	return m
}

// clone gives a copy of a folder whose files share their bytes with it: spoil
// them with change alone.
func clone(t *testing.T, src, dst string) string {
	t.Helper()
	err := filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dst, rel), 0o755)
		}
		return os.Link(name, filepath.Join(dst, rel))
	})
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

// change replaces a file of a clone by a copy with other bytes; put puts the
// old one back.
func change(t *testing.T, name string, how func(text []byte) []byte) (put func()) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.Rename(name, kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, how(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Rename(kept, name); err != nil {
			t.Fatal(err)
		}
	}
}

func flip(at int) func([]byte) []byte {
	return func(text []byte) []byte {
		text[at] ^= 1
		return text
	}
}

// startRegistry runs Debian's docker-registry on this machine until the test
// ends, and returns its address and the folder of its storage. With a password
// it lets in only the user bee.
func startRegistry(t *testing.T, password string) (host, data string) {
	t.Helper()
	b := box(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	data = filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	config := "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: /reg/data}\nhttp: {addr: '" + host + "'}\n"
	if password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "htpasswd", "bee:"+string(hash)+"\n")
		config += "auth:\n  htpasswd: {realm: bee, path: /reg/htpasswd}\n"
	}
	write(t, dir, "config.yml", config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Run(ctx, sandbox.Step{Args: []string{"docker-registry", "serve", "/reg/config.yml"}, Network: true, Rw: []sandbox.Bind{{Host: dir, Path: "/reg"}}})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	for {
		resp, err := http.Get("http://" + host + "/v2/")
		if err == nil {
			resp.Body.Close()
			return host, data
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the registry ended: %v", err)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// files are those below a folder; none where there is no folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == dir {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		list = append(list, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// env is an environment.
type env map[string]string

func (e env) get(name string) string { return e[name] }

// verified runs Verify and gives its report.
func verified(t *testing.T, e env, target string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := Verify(t.Context(), e.get, target, io.MultiWriter(&out))
	return out.String(), err
}
