package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// config is a small image of known bytes.
func config(t *testing.T, arch string) Config {
	t.Helper()
	dir := t.TempDir()
	kernel, initrd := filepath.Join(dir, "k"), filepath.Join(dir, "i")
	for name, text := range map[string]string{kernel: "the kernel of " + arch, initrd: "the initrd of " + arch} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Config{Kernel: kernel, Initrd: initrd, Release: "6.12.107+deb13-" + arch, Arch: arch, Date: time.Unix(1_700_000_000, 0),
		Annotations: map[string]string{"org.opencontainers.image.version": "0.1.0", "org.opencontainers.image.revision": "abc"}}
}

func write(t *testing.T, c Config) (dir, digest string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "deep", "oci")
	digest, err := Write(t.Context(), c, dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, digest
}

// tree is every file of a folder with its mode.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = info.Mode().String() + string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The digests are part of what a release is: they change with the input and
// with nothing else.
func TestSameBytes(t *testing.T) {
	first, digest := write(t, config(t, "amd64"))
	if want := "sha256:d56799c89f98ba3ce0d3fcba96f2aa0ecf06be5e158c0b155dacd3a22818cae8"; digest != want {
		t.Errorf("the manifest's digest is %s, want %s", digest, want)
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	t.Setenv("TZ", "Asia/Tokyo")
	c := config(t, "amd64")
	c.Date = c.Date.In(time.FixedZone("x", 3600))
	second, _ := write(t, c)
	a, b := tree(t, first), tree(t, second)
	if len(a) != len(b) {
		t.Errorf("%d and %d files", len(a), len(b))
	}
	for name, text := range a {
		if b[name] != text {
			t.Errorf("%s differs", name)
		}
	}
}

// Google's library reads the layout, and finds every digest, size and media type
// as it should be.
func TestOutsideJudge(t *testing.T) {
	c := config(t, "arm64")
	dir, digest := write(t, c)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index, validate.Fast); err != nil {
		t.Error(err)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(hash)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, image)
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.Architecture != "arm64" || file.Variant != "v8" || file.OS != "linux" || file.Config.Labels["containers.bootc"] != "1" ||
		file.Config.Labels["org.opencontainers.image.version"] != "0.1.0" || !file.Created.Equal(c.Date) {
		t.Errorf("the configuration is %+v", file)
	}
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.Annotations["org.opencontainers.image.revision"] != "abc" || m.Annotations["org.opencontainers.image.created"] != "2023-11-14T22:13:20Z" || m.Annotations["containers.bootc"] != "" {
		t.Errorf("the annotations are %v", m.Annotations)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(err, len(layers))
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checkTar(t, r, c)
}

// judge compares an image with its digests. validate takes every layer for gzip
// and cannot read a plain one, which image-spec's layer.md says everybody must;
// so it looks at the documents, and the same library's readers at the layer.
func judge(t *testing.T, image v1.Image) {
	t.Helper()
	if err := validate.Image(image, validate.Fast); err != nil {
		t.Error(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(err, len(layers))
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := layers[0].Size()
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []func() (io.ReadCloser, error){layers[0].Compressed, layers[0].Uncompressed} {
		r, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, n, err := v1.SHA256(r)
		if err != nil || got != digest || n != size || file.RootFS.DiffIDs[0] != got {
			t.Errorf("the layer is %s, %d bytes, %v; its descriptor says %s, %d, the configuration %v", got, n, err, digest, size, file.RootFS.DiffIDs)
		}
	}
}

func checkTar(t *testing.T, r io.Reader, c Config) {
	t.Helper()
	var names []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(c.Date) || h.Mode&0o022 != 0 {
			t.Errorf("%+v", h)
		}
		got, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		for suffix, file := range map[string]string{"vmlinuz": c.Kernel, "initramfs.img": c.Initrd} {
			if want, err := os.ReadFile(file); err != nil || strings.HasSuffix(h.Name, suffix) && !bytes.Equal(got, want) {
				t.Errorf("%s holds %q, %v", h.Name, got, err)
			}
		}
	}
	m := "usr/lib/modules/" + c.Release + "/"
	if want := []string{"usr/", "usr/lib/", "usr/lib/modules/", m, m + "initramfs.img", m + "vmlinuz"}; !slices.Equal(names, want) {
		t.Errorf("the layer holds %q", names)
	}
}

func TestJoin(t *testing.T) {
	arm, armDigest := write(t, config(t, "arm64"))
	amd, amdDigest := write(t, config(t, "amd64"))
	out := filepath.Join(t.TempDir(), "oci")
	digest, err := Join(t.Context(), []string{arm, amd}, map[string]string{"a": "b"}, out)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Join(t.Context(), []string{amd, arm}, map[string]string{"a": "b"}, out) // in place of the first
	if err != nil || other != digest {
		t.Errorf("%s, then %s, %v", digest, other, err)
	}
	contents, err := Inspect(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := layout.ImageIndexFromPath(out)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := outer.ImageIndex(hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(whole, validate.Fast); err != nil {
		t.Error(err)
	}
	for _, c := range contents {
		hash, err := v1.NewHash(c.Digest)
		if err != nil {
			t.Fatal(err)
		}
		image, err := whole.Image(hash)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, image)
	}
	if len(contents) != 2 || contents[0].Digest != amdDigest || contents[1].Digest != armDigest || contents[1].Arch != "arm64" {
		t.Errorf("%+v", contents)
	}
	if _, err := Join(t.Context(), []string{amd, amd}, nil, out); err == nil || !strings.Contains(err.Error(), "two images are for amd64") {
		t.Error(err)
	}
	if _, err := Join(t.Context(), []string{out}, nil, filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "not the layout of one image") {
		t.Error(err)
	}
}

func TestInspect(t *testing.T) {
	c := config(t, "amd64")
	dir, digest := write(t, c)
	contents, err := Inspect(t.Context(), dir)
	if err != nil || len(contents) != 1 {
		t.Fatal(err, contents)
	}
	got := contents[0]
	if got.Digest != digest || got.Arch != "amd64" || got.Release != c.Release ||
		got.Files["vmlinuz"] != sha256.Sum256([]byte("the kernel of amd64")) || got.Files["initramfs.img"] != sha256.Sum256([]byte("the initrd of amd64")) {
		t.Errorf("%+v", got)
	}
	// One byte of any file is noticed.
	for name := range tree(t, dir) {
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(text)
		bad[len(bad)/3]++
		if err := os.WriteFile(file, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		contents, err := Inspect(t.Context(), dir)
		if err == nil && (name != indexFile || contents[0].Digest == digest) {
			t.Errorf("a changed %s is not noticed", name)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// What is not as it must be leaves nothing behind, and nothing of what was there
// before is lost.
func TestRefuses(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"architecture": func(c *Config) { c.Arch = "riscv64" },
		"release":      func(c *Config) { c.Release = "../x" },
		"build date":   func(c *Config) { c.Date = time.Time{} },
		"no such file": func(c *Config) { c.Kernel += "x" },
		"no file with": func(c *Config) { c.Initrd = os.DevNull },
	} {
		c := config(t, "amd64")
		change(&c)
		parent := t.TempDir()
		if _, err := Write(t.Context(), c, filepath.Join(parent, "oci")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Errorf("%q left %v, %v", want, left, err)
		}
	}
	mine := t.TempDir()
	if err := os.WriteFile(filepath.Join(mine, "thesis"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), config(t, "amd64"), mine); err == nil || !strings.Contains(err.Error(), "no OCI layout") {
		t.Error(err)
	}
	dir, _ := write(t, config(t, "amd64"))
	before := tree(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Write(ctx, config(t, "arm64"), dir); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	after := tree(t, dir)
	for name := range before {
		if before[name] != after[name] {
			t.Errorf("an interrupted build changed %s", name)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:00","size":1,"platform":{"architecture":"amd64","os":"linux"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		i, err := parseIndex(text)
		for _, d := range i.Manifests {
			if err == nil && d.MediaType != mediaManifest && d.MediaType != mediaIndex {
				t.Errorf("%+v is taken", d)
			}
			if f, err := openBlob("/nowhere/at/all", d); err == nil {
				t.Errorf("%q leads to %s", d.Digest, f.Name())
			}
		}
	})
}

func FuzzLayer(f *testing.F) {
	var b bytes.Buffer
	c := Config{Release: "1", Date: time.Unix(1, 0)}
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{c.header("usr/", tar.TypeDir, 0o755, 0), c.header("usr/lib/modules/1/", tar.TypeDir, 0o755, 0), c.header("usr/lib/modules/1/vmlinuz", tar.TypeReg, 0o644, 0)} {
		if err := w.WriteHeader(h); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		got := Contents{Files: make(map[string][32]byte)}
		if err := got.readLayer(bytes.NewReader(text)); err == nil && (len(got.Files) != 2 || !release.MatchString(got.Release)) {
			t.Errorf("%+v is taken", got)
		}
	})
}
