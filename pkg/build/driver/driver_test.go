package driver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ulikunitz/xz"

	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// real is the pinned driver's configuration, with the usual cache.
func real(t *testing.T, flavor string) Config {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := kernel.Find(l, arch)
	if err != nil {
		t.Fatal(err)
	}
	f, err := FlavorNamed(flavor)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Lock: l, Arch: arch, Flavor: f, Kernel: k, Release: strings.TrimPrefix(k.Name, "linux-image-"),
		Patches: os.DirFS("../../../kernel-config/patches"), Cache: cache, Jobs: 2, Progress: os.Stderr}
}

func build(t *testing.T, c Config) Driver {
	t.Helper()
	d, err := Build(t.Context(), c)
	if errors.Is(err, sandbox.ErrUnavailable) {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func digests(t *testing.T, files []string) []string {
	t.Helper()
	var list []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		list = append(list, filepath.Base(f)+" "+string(sum[:]))
	}
	return list
}

// Both flavours build for the pinned kernel. The open one, which carries a
// patch, is built once more from nothing, one file at a time: the bytes are the
// same.
func TestBuild(t *testing.T) {
	for _, f := range Flavors {
		c := real(t, f.Name)
		d := build(t, c)
		for _, file := range d.Files {
			info, err := readModinfo(file)
			if err != nil {
				t.Fatal(err)
			}
			if got, _, _ := strings.Cut(info.Vermagic, " "); got != c.Release {
				t.Errorf("%s is for kernel %s", file, got)
			}
		}
		if !strings.Contains(strings.Join(d.Depends, " "), "drm") {
			t.Errorf("%s: the driver needs drm of this kernel, and names %q", f.Name, d.Depends)
		}
		if f.Name != "open" {
			continue
		}
		again := c
		again.Cache, again.Jobs = t.TempDir(), 3
		other := build(t, again)
		if other.Cached {
			t.Error("an empty cache had the driver")
		}
		a, b := digests(t, d.Files), digests(t, other.Files)
		for i := range a {
			if a[i] != b[i] {
				t.Errorf("%s differs between two builds", filepath.Base(d.Files[i]))
			}
		}
	}
}

// pair makes a key and a certificate for it.
func pair(t *testing.T, ec bool) Pair {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "test key"}, NotAfter: time.Now().Add(time.Hour)}
	var der, key []byte
	var err error
	if ec {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if der, err = x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k); err != nil {
			t.Fatal(err)
		}
		key, err = x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
	} else {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if der, err = x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k); err != nil {
			t.Fatal(err)
		}
		key, err = x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	p := Pair{Key: filepath.Join(dir, "key.pem"), Cert: filepath.Join(dir, "cert.pem")}
	if err = os.WriteFile(p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(p.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// A signed module is the stripped one with the kernel's own signature behind
// it, and OpenSSL takes the signature too.
func TestSign(t *testing.T) {
	c := real(t, "open")
	d := build(t, c)
	// A small module stands for all: the step is the same for each.
	d.Files = d.Files[1:2]
	small := filepath.Join(t.TempDir(), filepath.Base(d.Files[0]))
	text, err := os.ReadFile(d.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(small, text, 0o644); err != nil {
		t.Fatal(err)
	}
	d.Files = []string{small}
	for _, ec := range []bool{false, true} {
		p := pair(t, ec)
		packed, err := d.Pack(t.Context(), c, p)
		if err != nil {
			t.Fatal(err)
		}
		if packed.Signer != "CN=test key" {
			t.Errorf("signed by %q", packed.Signer)
		}
		f, err := os.Open(packed.Files[0])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := xz.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if _, err := io.Copy(&b, r); err != nil {
			t.Fatal(err)
		}
		signed := []byte(b.String())
		if !strings.HasPrefix(b.String(), string(text)) {
			t.Error("the signed module is not the one that was built with something behind it")
		}
		cert, err := loadPair(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyModule(signed, cert); err != nil {
			t.Error(err)
		}
		signed[1000]++
		if err := VerifyModule(signed, cert); err == nil {
			t.Error("a changed module passes")
		}
		signed[1000]--
		stranger, err := loadPair(pair(t, ec))
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyModule(signed, stranger); err == nil {
			t.Error("another key's certificate passes")
		}
		openssl(t, c, p, signed, len(text))
	}
	if err := VerifyModule(text, nil); !errors.Is(err, ErrNotSigned) {
		t.Error(err)
	}
	if _, err := d.Pack(t.Context(), c, Pair{Key: "key.pem"}); err == nil || !strings.Contains(err.Error(), "BEE_MODULE_CERT") {
		t.Error(err)
	}
	one, other := pair(t, false), pair(t, false)
	if _, err := d.Pack(t.Context(), c, Pair{Key: one.Key, Cert: other.Cert}); err == nil || !strings.Contains(err.Error(), "belong together") {
		t.Error(err)
	}
}

// openssl is the outside judge: cms -verify over the same bytes.
func openssl(t *testing.T, c Config, p Pair, signed []byte, n int) {
	t.Helper()
	box, err := sandbox.Open(t.Context(), c.Lock, os.Stderr, arch, toolsGroup)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sig := signed[n : len(signed)-len(magic)-12]
	for name, text := range map[string][]byte{"body": signed[:n], "sig": sig} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err = box.Run(t.Context(), sandbox.Step{
		Args: []string{"openssl", "cms", "-verify", "-binary", "-noverify", "-inform", "DER", "-in", "/in/sig", "-content", "/in/body", "-certfile", "/cert.pem", "-out", "/dev/null"},
		Ro:   []sandbox.Bind{{Host: dir, Path: "/in"}, {Host: p.Cert, Path: "/cert.pem"}},
	})
	if err != nil {
		t.Errorf("openssl does not take the signature: %v", err)
	}
}

// What does not belong together is named with both versions.
func TestMismatch(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(e *lock.Entry)
		want   []string
	}{
		{"headers of another version", func(e *lock.Entry) {
			if strings.HasPrefix(e.Name, "linux-headers-") && strings.HasSuffix(e.Name, "-amd64") {
				e.Version = "6.12.94-1"
			}
		}, []string{"6.12.107-1", "6.12.94-1", "mage lock"}},
		{"headers of another kernel", func(e *lock.Entry) {
			e.Name = strings.Replace(e.Name, "linux-headers-6.12.107", "linux-headers-6.12.94", 1)
		},
			[]string{"linux-headers-6.12.107+deb13-amd64", "linux-headers-6.12.94", "mage lock"}},
		{"libraries of another release", func(e *lock.Entry) {
			if e.Name == "libcuda1" {
				e.Version = "570.1.2-1"
			}
		}, []string{"550.163.01", "570.1.2", "libcuda1"}},
		{"no source", func(e *lock.Entry) {
			if e.Name == "nvidia-kernel-source" {
				e.Groups = []string{"data"}
			}
		}, []string{ErrNotPinned.Error()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := real(t, "")
			for i := range cfg.Lock.Entries {
				c.change(&cfg.Lock.Entries[i])
			}
			cfg.Cache = t.TempDir()
			_, err := Build(t.Context(), cfg)
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
		})
	}
	if _, err := FlavorNamed("nouveau"); err == nil || !strings.Contains(err.Error(), "proprietary or open") {
		t.Error(err)
	}
}

// A patch that does not apply stops the build by its name, and nothing is left
// in the cache.
func TestPatchThatDoesNotApply(t *testing.T) {
	c := real(t, "open")
	c.Cache = t.TempDir()
	c.Patches = fstest.MapFS{"nvidia-open/0001-stale.patch": {Data: []byte("--- a/nvidia/nv-pci.c\n+++ b/nvidia/nv-pci.c\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n")}}
	_, err := Build(t.Context(), c)
	if errors.Is(err, sandbox.ErrUnavailable) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if !errors.Is(err, ErrDoesNotFit) || !strings.Contains(err.Error(), "0001-stale.patch") {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(c.Cache, "nvidia", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func FuzzVerifyModule(f *testing.F) {
	f.Add([]byte("body" + magic))
	f.Add(append([]byte("body\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x02"), magic...))
	cert := &x509.Certificate{PublicKeyAlgorithm: x509.RSA}
	f.Fuzz(func(t *testing.T, module []byte) {
		if VerifyModule(module, cert) == nil {
			t.Error("a module that nobody signed passes")
		}
	})
}
