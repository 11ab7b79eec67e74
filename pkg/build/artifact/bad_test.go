package artifact

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/authenticode"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/verify"
)

// unavailable leaves a test out where a sandbox cannot be entered, or where
// err says that the machine does not let it be made; in CI it cannot be.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if err != nil && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" && (errors.Is(err, sandbox.ErrUnavailable) || errors.Is(err, unix.EPERM)) {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// tree is every file below a folder, with its size; empty folders too.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil && !d.IsDir() {
			list = append(list, fmt.Sprintf("%s %d", strings.TrimPrefix(name, dir), fi.Size()))
		} else if err == nil {
			list = append(list, strings.TrimPrefix(name, dir)+"/")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// old lays an artifact of yesterday there and returns what must still be there
// when a build failed.
func old(t *testing.T, out, family string) (intact func(t *testing.T)) {
	t.Helper()
	put(t, filepath.Join(Dir(out, family, "amd64"), "old"), "yesterday's")
	before := tree(t, filepath.Join(out, family))
	return func(t *testing.T) {
		t.Helper()
		if now := tree(t, filepath.Join(out, family)); !slices.Equal(now, before) {
			t.Errorf("%s is %q, before the build it was %q", family, now, before)
		}
	}
}

// tmpfs is a small file system.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		unavailable(t, fmt.Errorf("mount a small file system: %w", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full disk: the error says so and what to do, and what was there before is
// all that is there afterwards.
func TestNoSpace(t *testing.T) {
	small := tmpfs(t, "8M")
	intact := old(t, small, kernelInitrdName)
	err := Build(t.Context(), Config{Root: "../../..", Manifest: "thin", Out: small})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		unavailable(t, notSpace(err))
	}
	intact(t)
	out := tmpfs(t, "52M") // for kernel-initrd alone
	for _, family := range []string{"iso", "uki", "oci", "raw", "qcow2", "ipxe"} {
		intact := old(t, out, family)
		var said bytes.Buffer
		err := Build(t.Context(), Config{Root: "../../..", Manifest: "thin", Out: out, Families: []string{family}, Progress: &said})
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "build "+family) || !strings.Contains(err.Error(), "free some space") {
			unavailable(t, notSpace(err))
		}
		intact(t)
		if !strings.Contains(said.String(), "kernel-initrd") {
			t.Errorf("%s: it failed before the parts were made:\n%s", family, &said)
		}
	}
}

func notSpace(err error) error {
	return fmt.Errorf("want an error that says that no space is left: %w", err)
}

// cancelAt ends a build when it says a text.
type cancelAt struct {
	text   string
	cancel context.CancelFunc
	said   bytes.Buffer
}

func (c *cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return c.said.Write(p)
}

// A build that is ended half-way leaves what was there; one that was killed
// left a folder, which the next one takes away. Then nothing is left to do.
func TestInterrupted(t *testing.T) {
	out := t.TempDir()
	intact := old(t, out, kernelInitrdName)
	c := Config{Root: "../../..", Manifest: "thin", Out: out}
	for _, at := range []string{"MiB", "build "} { // all is made but not described; nothing is made
		ctx, cancel := context.WithCancel(t.Context())
		stop := &cancelAt{text: at, cancel: cancel}
		if at == "build " {
			cancel()
		}
		c.Progress = stop
		if err := Build(ctx, c); !errors.Is(err, context.Canceled) {
			unavailable(t, fmt.Errorf("ended at %q: %w\n%s", at, err, &stop.said))
		}
		intact(t)
		cancel()
	}
	put(t, filepath.Join(out, kernelInitrdName, ".amd64.new", "blobs", "half"), "of a build that was killed")
	for _, want := range []string{"MiB", "up to date"} {
		var said bytes.Buffer
		c.Progress = &said
		if err := Build(t.Context(), c); err != nil || !strings.Contains(said.String(), want) {
			t.Errorf("%v, want %q:\n%s", err, want, &said)
		}
		if list, err := os.ReadDir(filepath.Join(out, kernelInitrdName)); err != nil || len(list) != 1 || list[0].Name() != "amd64" {
			t.Errorf("%v, %v", list, err)
		}
		if err := verify.Dir(t.Context(), verify.Config{Dir: KernelInitrdDir(out, "amd64")}, io.Discard); err != nil {
			t.Error(err)
		}
	}
}

// A family that fails, says nothing that it made, or is ended in its last step.
func TestMakeFails(t *testing.T) {
	out := t.TempDir()
	intact := old(t, out, "bad")
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for says, build := range map[string]func(w *Work) error{
		"broken":                 func(*Work) error { return broken },
		"names no file":          func(*Work) error { return nil },
		context.Canceled.Error(): func(*Work) error { cancel(); return ctx.Err() },
	} {
		c, err := Config{Root: t.TempDir(), Out: out, Cache: t.TempDir(), Progress: io.Discard}.defaults()
		if err != nil {
			t.Fatal(err)
		}
		p := &project{Config: c}
		err = p.make(ctx, Family{Name: "bad", Arches: Arches, Build: func(_ context.Context, w *Work) error {
			put(t, w.file("half"), "half")
			return build(w)
		}})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error with %q", err, says)
		}
		intact(t)
	}
}

// pair makes a key and a certificate for it, RSA as firmware wants it.
func pair(t *testing.T, name string) (key, cert string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return put(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))),
		put(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// cosignKey makes a key that signs what is made.
func cosignKey(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return put(t, filepath.Join(t.TempDir(), "cosign.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// Keys that cannot be used are found before anything is built.
func TestBadKeys(t *testing.T) {
	key, cert := pair(t, "one")
	other, _ := pair(t, "other")
	open := cosignKey(t)
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says   string
		config Config
	}{
		{"belong together", Config{SecureBoot: authenticode.Pair{Key: other, Cert: cert}}},
		{"belong together", Config{SecureBoot: authenticode.Pair{Key: cert, Cert: key}}},
		{"name both or none", Config{SecureBoot: authenticode.Pair{Key: key}}},
		{"no such file", Config{SecureBoot: authenticode.Pair{Key: "/no/such.key", Cert: cert}}},
		{"belong together", Config{ModuleKey: other, ModuleCert: cert, NVIDIA: "off"}},
		{"BEE_MODULE_CERT", Config{ModuleKey: key}},
		{"chmod 600 " + open, Config{CosignKey: open}},
		{"/no/such.key", Config{CosignKey: "/no/such.key"}},
		{"is no private key", Config{CosignKey: cert}},
	} {
		c.config.Root, c.config.Manifest, c.config.Out, c.config.Progress = "../../..", "thin", filepath.Join(t.TempDir(), "images"), io.Discard
		c.config.Families = []string{"iso"}
		if err := Build(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want an error with %q", err, c.says)
		}
		if _, err := os.Stat(Dir(c.config.Out, kernelInitrdName, "amd64")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was built: %v", c.says, err)
		}
	}
}

// A misspelt name of bee.toml is told with the one that was meant, a secret
// without its value.
func TestBadSettings(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"initramfs", "firmware-list"} {
		here, err := filepath.Abs(filepath.Join("../../..", dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(here, filepath.Join(root, dir)); err != nil {
			t.Fatal(err)
		}
	}
	for text, says := range map[string]string{
		`variants = ["isso"]`:                              "do you mean iso?",
		`cosign_keyy = "k"`:                                "do you mean cosign_key?",
		`manifest = "sever"`:                               "do you mean server?",
		`arch = "amd46"`:                                   "do you mean amd64?",
		`parameters = ["bee.ipp=dhcp"]`:                    "do you mean bee.ip?",
		`parameters = ["bee.password_hash=$6$salt$verse"]`: "is a secret",
		`disk_size = "4 TB"`:                               "no size",
		`secure_boot_key = "k"`:                            "secure_boot_cert",
		`variants = "iso`:                                  "line 1",
	} {
		put(t, filepath.Join(root, "bee.toml"), text+"\n")
		if _, err := Load(root, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "verse") {
			t.Errorf("%s: %v, want an error with %q", text, err, says)
		}
	}
	err := Build(t.Context(), Config{Root: "../../..", Manifest: "sever", Out: t.TempDir(), Progress: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "sever") || !strings.Contains(err.Error(), "server") {
		t.Errorf("an unknown manifest: %v", err)
	}
}

// An image that does not fit its medium, to the MiB, or the RAM that its
// manifest allows.
func TestTooLarge(t *testing.T) {
	out := t.TempDir()
	c := Config{Root: "../../..", Manifest: "thin", Out: out, Families: []string{"raw"}, Progress: io.Discard}
	intact := old(t, out, "raw")
	var least [2]int64 // MiB: volume, disk
	for i, size := range []*int64{&c.ESPSize, &c.DiskSize} {
		*size = 1 << 20
		err := Build(t.Context(), c)
		text := fmt.Sprint(err)
		at := strings.Index(text, "takes ")
		if at < 0 {
			unavailable(t, err)
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(text[at:], "takes %d MiB", &least[i]); err != nil {
			t.Fatal(text)
		}
		*size = (least[i] - 1) << 20
		if err := Build(t.Context(), c); err == nil || !strings.Contains(err.Error(), "give it more") {
			t.Errorf("%d MiB: %v", least[i]-1, err)
		}
		intact(t)
		*size = least[i] << 20
	}
	if err := Build(t.Context(), c); err != nil {
		t.Errorf("a volume of %d MiB on a disk of %d: %v", least[0], least[1], err)
	}
	if fi, err := os.Stat(filepath.Join(Dir(out, "raw", "amd64"), RawFile)); err != nil || fi.Size() != least[1]<<20 {
		t.Errorf("%v, %v", fi, err)
	}
	if err := verify.Dir(t.Context(), verify.Config{Dir: Dir(out, "raw", "amd64")}, io.Discard); err != nil {
		t.Error(err)
	}
	large := put(t, filepath.Join(t.TempDir(), "large"), "")
	if err := os.Truncate(large, 100<<20); err != nil {
		t.Fatal(err)
	}
	intact = old(t, out, kernelInitrdName)
	var over *initrd.OverBudget
	c.Families, c.Add.Files = nil, []initrd.AddedFile{{Source: large, Path: "site", Mode: 0o644}}
	if err := Build(t.Context(), c); !errors.As(err, &over) || !strings.Contains(err.Error(), "raise RAM-Budget") {
		t.Errorf("an image of more than its budget: %v", err)
	}
	intact(t)
}
