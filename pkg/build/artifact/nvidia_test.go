package artifact

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

func TestWantsNVIDIA(t *testing.T) {
	asks, not := initrd.Variant{NVIDIA: true}, initrd.Variant{}
	for _, c := range []struct {
		said, arch string
		v          initrd.Variant
		want       bool
	}{
		{"", "amd64", asks, true}, {"", "amd64", not, false}, {"", "arm64", not, false},
		{"on", "amd64", not, true}, {"off", "amd64", asks, false}, {"off", "arm64", asks, false},
	} {
		if got, err := (Config{NVIDIA: c.said, Arch: c.arch}).wantsNVIDIA(c.v); got != c.want || err != nil {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	// An image that was asked for with the driver is not made without it.
	for _, c := range []Config{{NVIDIA: "on", Arch: "arm64"}, {Arch: "arm64", Manifest: "gpu"}} {
		if on, err := c.wantsNVIDIA(asks); err == nil || on || !strings.Contains(err.Error(), "not for arm64") || !strings.Contains(err.Error(), "NVIDIA=off") {
			t.Errorf("%+v: %v, %v", c, on, err)
		}
	}
	if _, err := (Config{NVIDIA: "yes"}).wantsNVIDIA(not); err == nil || !strings.Contains(err.Error(), "on or off") {
		t.Error(err)
	}
}

// The gpu manifest asks for the driver, the others do not.
func TestManifestsThatAskForNVIDIA(t *testing.T) {
	for name, want := range map[string]bool{"thin": false, "server": false, "gpu": true} {
		v, err := initrd.ReadVariant(os.DirFS("../../../initramfs"), name)
		if err != nil {
			t.Fatal(err)
		}
		if v.NVIDIA != want || v.NVIDIABudget == 0 {
			t.Errorf("%s: NVIDIA %v, budget %d", name, v.NVIDIA, v.NVIDIABudget)
		}
	}
}

// A maker's program that was linked against glibc brings its libraries along,
// and no driver; a script brings nothing.
func TestVendorProgramsBringTheirLibraries(t *testing.T) {
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	store := debian.NewStore(f)
	e, err := l.Get("pciutils", "amd64") // any program of Debian's
	if err != nil {
		t.Fatal(err)
	}
	tree, err := store.Tree(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	tools := filepath.Join(root, initrd.VendorTools, "amd64")
	for _, dir := range []string{tools, filepath.Join(root, "initramfs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	manifest, err := os.ReadFile("../../../initramfs/thin.manifest")
	if err != nil {
		t.Fatal(err)
	}
	script := []byte("#!/bin/sh\n")
	for name, text := range map[string][]byte{filepath.Join(root, "initramfs/thin.manifest"): manifest, filepath.Join(tools, "sas3ircu"): script} {
		if err := os.WriteFile(name, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{Root: root, Arch: "amd64", Manifest: "thin", Progress: io.Discard}
	x, err := c.extra(t.Context(), l, store, nil)
	if err != nil || len(x.Compat) > 0 {
		t.Errorf("a script alone: %v, %v", x.Compat, err)
	}

	// setpci needs libpci, libkmod and what those need: not all of it is in the
	// compat root's packages, which the error says; mawk needs glibc alone.
	text, err := os.ReadFile(filepath.Join(tree, "usr/bin/setpci"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tools, "storcli64"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := c.extra(t.Context(), l, store, nil); err == nil || !strings.Contains(err.Error(), "storcli64 needs the library libpci.so.3") {
		t.Errorf("a library that nobody has: %v", err)
	}
	if e, err = l.Get("mawk", "amd64"); err != nil {
		t.Fatal(err)
	}
	if tree, err = store.Tree(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(filepath.Join(tree, "usr/bin/mawk")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tools, "storcli64"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	x, err = c.extra(t.Context(), l, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range x.Compat {
		names = append(names, strings.TrimPrefix(f.Path, bom.CompatDir+"/"))
	}
	for _, want := range []string{"lib/ld-linux-x86-64.so.2", "lib/libc.so.6", "lib/libm.so.6"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not there: %q", want, names)
		}
	}
	if slices.Contains(names, "bin/storcli64") || x.Driver != nil {
		t.Errorf("more than libraries: %q, %v", names, x.Driver)
	}
}

// The open flavour, signed: the image carries the modules, what they depend on,
// the firmware that they ask for and the signer's name, and nothing of the key.
func TestOpenSigned(t *testing.T) {
	dir := t.TempDir()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "image test"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	c := Config{Root: "../../..", Manifest: "thin", Out: dir, NVIDIA: "on", NVIDIAFlavor: "open", Progress: os.Stderr,
		ModuleKey: filepath.Join(dir, "key.pem"), ModuleCert: filepath.Join(dir, "cert.pem")}
	for name, text := range map[string][]byte{c.ModuleKey: keyText, c.ModuleCert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // what was signed with a key of today's is of no use tomorrow
		cache, err := fetch.CacheDir()
		if err != nil {
			t.Fatal(err)
		}
		old, err := filepath.Glob(filepath.Join(cache, "nvidia", "*", fmt.Sprintf("packed-%x", sha256.Sum256(cert))))
		if err != nil || len(old) != 1 {
			t.Errorf("find what was signed: %q, %v", old, err)
		}
		for _, dir := range old {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	})
	err = Build(t.Context(), c)
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	files := KernelInitrdDir(dir, "amd64")
	text, err := os.ReadFile(filepath.Join(files, BOMFile))
	if err != nil {
		t.Fatal(err)
	}
	bill, err := bom.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := bill.NVIDIA; d == nil || d.Flavor != "open" || d.Signer != "CN=image test" || len(d.Modules) != 3 || !slices.Contains(d.Depends, "drm") || !slices.Contains(d.Depends, "ecdh_generic") {
		t.Errorf("%+v", bill.NVIDIA)
	}
	for _, want := range []string{"drm", "ecdh_generic", "virtio_net"} {
		if !slices.ContainsFunc(bill.Modules, func(m bom.Module) bool { return m.Name == want }) {
			t.Errorf("module %s is not in the image", want)
		}
	}
	if !slices.ContainsFunc(bill.Firmware, func(b bom.Blob) bool { return strings.HasPrefix(b.Path, "nvidia/"+bill.NVIDIA.Version+"/gsp_") }) {
		t.Errorf("the GPUs' firmware is not in the image: %v", bill.Firmware)
	}
	if text, err = os.ReadFile(filepath.Join(files, manifest.FileName)); err != nil {
		t.Fatal(err)
	}
	says, err := manifest.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(says.Tools, func(tool manifest.Tool) bool { return tool.Name == "gcc-14" }) ||
		!slices.ContainsFunc(says.Inputs, func(i manifest.Input) bool { return i.Name == "gcc-14" && slices.Contains(i.Roles, manifest.RoleTool) }) {
		t.Errorf("the compiler of the driver is not in the manifest: %v", says.Tools)
	}
	image, err := os.ReadFile(filepath.Join(files, InitrdFile))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(image, secret[len(secret)-64:]) || bytes.Contains(image, keyText[40:100]) {
		t.Error("the image holds the private key")
	}
}
