package publish

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/oci"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/sign"
)

const root = "../../.."

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
	config := "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: /reg/data}\n  delete: {enabled: true}\nhttp: {addr: '" + host + "'}\n"
	if password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, "htpasswd", append([]byte("bee:"), append(hash, '\n')...))
		config += "auth:\n  htpasswd: {realm: bee, path: /reg/htpasswd}\n"
	}
	put(t, dir, "config.yml", []byte(config))
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

func put(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// image writes a layout with an image an architecture, joined where there are
// several.
func image(t *testing.T, salt string, arches ...string) (dir string) {
	t.Helper()
	var dirs []string
	for _, a := range arches {
		from := t.TempDir()
		c := oci.Config{Kernel: put(t, from, "k", []byte("kernel "+salt+a)), Initrd: put(t, from, "i", bytes.Repeat([]byte("initrd "+salt+a), 1<<14)),
			Release: "6.12.107+deb13-" + a, Arch: a, Date: time.Unix(1_700_000_000, 0)}
		dirs = append(dirs, filepath.Join(from, "oci"))
		if _, err := oci.Write(t.Context(), c, dirs[len(dirs)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(dirs) == 1 {
		return dirs[0]
	}
	dir = filepath.Join(t.TempDir(), "oci")
	if _, err := oci.Join(t.Context(), dirs, nil, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newKey(t *testing.T) *sign.Key {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := sign.New(priv)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// cosign verifies a reference with Debian's cosign and the public key.
func cosign(t *testing.T, k *sign.Key, ref string) error {
	t.Helper()
	dir := t.TempDir()
	text, err := k.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "cosign.pub", text)
	return box(t).Run(t.Context(), sandbox.Step{Network: true, Ro: []sandbox.Bind{{Host: dir, Path: "/key"}},
		Args: []string{"/usr/bin/cosign", "verify", "--key", "/key/cosign.pub", "--insecure-ignore-tlog=true", ref}})
}

// get asks the registry itself and compares what comes with its digest.
func get(t *testing.T, host, path, digest string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/bee/"+path+"/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(text); resp.StatusCode != http.StatusOK || "sha256:"+hex.EncodeToString(sum[:]) != digest {
		t.Fatalf("%s: status %d, SHA-256 %x", digest, resp.StatusCode, sum)
	}
	return text
}
