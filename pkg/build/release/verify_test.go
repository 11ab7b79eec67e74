package release

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/verify"
)

// Each family, as it was built: good with the key that signed it, bad with
// another, and whole but nobody's without one.
func TestVerify(t *testing.T) {
	m := built(t)
	for _, family := range families {
		dir := artifact.Dir(m.images, family, "amd64")
		report, err := verified(t, env{PublicKeyEnv: m.pub}, dir)
		if err != nil || !strings.Contains(report, "verdict: GOOD, signed by the key "+m.pub+".\n") {
			t.Errorf("%s: %v\n%s", family, err, report)
		}
		inside := strings.Count(report, "ok    inside")
		if want := map[string]int{"iso": 2, "oci": 2, "uki": 2}[family]; inside != want {
			t.Errorf("%s: %d files inside were compared, want %d\n%s", family, inside, want, report)
		}
		if report, err := verified(t, env{PublicKeyEnv: m.other}, dir); !errors.Is(err, verify.ErrBad) || !strings.Contains(report, sign.ErrSignature.Error()) || strings.Contains(report, "GOOD") {
			t.Errorf("%s, another key: %v\n%s", family, err, report)
		}
		if report, err := verified(t, env{}, dir); err != nil || !strings.Contains(report, "SIGNATURE NOT CHECKED") || !strings.Contains(report, "NOBODY VOUCHES FOR IT") {
			t.Errorf("%s, without a key: %v\n%s", family, err, report)
		}
		bare := clone(t, dir, filepath.Join(t.TempDir(), "bare"))
		for _, name := range files(t, bare) {
			if strings.HasSuffix(name, sign.Suffix) {
				remove(t, filepath.Join(bare, name))
			}
		}
		if report, err := verified(t, env{}, bare); err != nil || !strings.Contains(report, "NOT SIGNED") {
			t.Errorf("%s, unsigned: %v\n%s", family, err, report)
		}
		if report, err := verified(t, env{PublicKeyEnv: m.pub}, bare); !errors.Is(err, verify.ErrBad) {
			t.Errorf("%s, the signatures taken away: %v\n%s", family, err, report)
		}
	}
	dir := artifact.Dir(m.encrypted, "kernel-initrd", "amd64")
	if report, err := verified(t, env{PublicKeyEnv: m.encPub}, dir); err != nil {
		t.Errorf("signed with an encrypted key: %v\n%s", err, report)
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// One byte of any file, wherever it lies; a file too many; a file too few.
func TestVerifyNotices(t *testing.T) {
	m := built(t)
	e := env{PublicKeyEnv: m.pub}
	for _, family := range families {
		dir := clone(t, artifact.Dir(m.images, family, "amd64"), filepath.Join(t.TempDir(), family))
		bad := func(what string) {
			t.Helper()
			if report, err := verified(t, e, dir); !errors.Is(err, verify.ErrBad) || !strings.Contains(report, "verdict: BAD") {
				t.Errorf("%s: %s: %v\n%s", family, what, err, report)
			}
		}
		for _, name := range files(t, dir) {
			fi, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []int64{0, fi.Size() / 2, fi.Size() - 1} {
				put := change(t, filepath.Join(dir, name), flip(int(at)))
				bad("a byte of " + name)
				put()
			}
			away := filepath.Join(t.TempDir(), "away")
			if err := os.Rename(filepath.Join(dir, name), away); err != nil {
				t.Fatal(err)
			}
			if _, err := verified(t, e, dir); strings.HasSuffix(name, sign.Suffix) {
				if err != nil { // the other bundles still name every file
					t.Errorf("%s: without %s: %v", family, name, err)
				}
			} else if !errors.Is(err, verify.ErrBad) {
				t.Errorf("%s: without %s: %v", family, name, err)
			}
			if err := os.Rename(away, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		extra := write(t, dir, "extra", "x")
		bad("a file too many")
		remove(t, extra)
		if report, err := verified(t, e, dir); err != nil {
			t.Errorf("%s: put back, it is not good: %v\n%s", family, err, report)
		}
	}
}

// What cannot be verified, and why.
func TestVerifyWhat(t *testing.T) {
	file := write(t, t.TempDir(), "bee.iso", "x")
	for target, says := range map[string]string{
		file:                     "name the folder that it lies in",
		"images/isso/amd64":      "there is no such folder",
		"localhost:1/bee:1":      PublicKeyEnv,
		t.TempDir():              "not what it should be",
		filepath.Join(file, "x"): "not a directory",
	} {
		if _, err := verified(t, env{}, target); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error with %q", target, err, says)
		}
	}
	for name, says := range map[string]string{"/no/such.pub": "no such file", file: "PEM"} {
		if _, err := verified(t, env{PublicKeyEnv: name}, t.TempDir()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("key %s: %v, want an error with %q", name, err, says)
		}
	}
}

// Parameters that an operator changes are told, without the secret among them;
// what lies beside the block is still signed.
func TestPatch(t *testing.T) {
	m := built(t)
	e := env{PublicKeyEnv: m.pub}
	dir := clone(t, artifact.Dir(m.images, "iso", "amd64"), filepath.Join(t.TempDir(), "iso"))
	iso := filepath.Join(dir, artifact.ISOFile)
	change(t, iso, func(text []byte) []byte { return text }) // a copy, which no other test has
	const words = `bee.ip=192.0.2.7/24 bee.ssh_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me" bee.password_hash=$6$salt$secret`
	var out strings.Builder
	if err := Patch(t.Context(), e.get, iso, words, &out); err != nil {
		t.Fatal(err)
	}
	report, err := verified(t, e, dir)
	for _, want := range []string{"changed in place", "bee.ip=192.0.2.7/24", "'bee.ssh_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me'", "bee.password_hash=…", "verdict: GOOD, signed by the key"} {
		if err != nil || !strings.Contains(report, want) {
			t.Errorf("%v, want %q:\n%s", err, want, report)
		}
	}
	if both := report + out.String(); strings.Contains(both, "secret") {
		t.Errorf("a secret is told:\n%s", both)
	}
	text, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	says, err := manifest.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := says.Output(artifact.ISOFile)
	if !ok || o.Block == nil {
		t.Fatalf("%+v", o)
	}
	for _, at := range o.Block.Offsets {
		for _, beside := range []int64{at - 1, at + manifest.BlockSize, at + manifest.BlockSize/2} {
			put := change(t, iso, flip(int(beside)))
			if report, err := verified(t, e, dir); !errors.Is(err, verify.ErrBad) {
				t.Errorf("byte %d, block at %d: %v\n%s", beside, at, err, report)
			}
			put()
		}
	}
	for what, says := range map[string]string{"bee.ipp=1": "bee.ip", "bee.ip='1": "quote"} {
		if err := Patch(t.Context(), e.get, iso, what, io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := Patch(t.Context(), env{"BEE_PATCH_FORCE": "yes"}.get, iso, "", io.Discard); err == nil || !strings.Contains(err.Error(), "BEE_PATCH_FORCE") {
		t.Error(err)
	}
	if err := Patch(t.Context(), e.get, filepath.Join(artifact.Dir(m.images, "uki", "amd64"), artifact.UKIFile), words, io.Discard); err == nil || !strings.Contains(err.Error(), "inside what is signed") {
		t.Errorf("a unified kernel image: %v", err)
	}
}

// Without IMAGE, the raw disk of the architecture is flashed.
func TestFlashed(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ arch, image, want string }{
		{"", "", "images/raw/amd64/bee.img"}, {"amd64", "", "images/raw/amd64/bee.img"}, {"arm64", "", "images/disk-image-arm64-uefi/arm64/bee.img"}, {"", "a.iso", "a.iso"},
	} {
		if image, err := flashed(env{"ARCH": c.arch, "IMAGE": c.image}.get); err != nil || image != c.want {
			t.Errorf("%+v: %s, %v", c, image, err)
		}
	}
	if err := Flash(t.Context(), env{}.get, "/dev/null", strings.NewReader(""), io.Discard); err == nil || !strings.Contains(err.Error(), "no block device") && !strings.Contains(err.Error(), "not a block device") {
		t.Error(err)
	}
}

// Debian's cosign verifies our bundles without a network.
func TestCosignVerifiesFiles(t *testing.T) {
	m := built(t)
	for _, c := range []struct{ images, family, name, pub string }{
		{m.images, "iso", artifact.ISOFile, m.pub},
		{m.images, "uki", artifact.UKIFile, m.pub},
		{m.images, "iso", manifest.SumsName, m.pub},
		{m.encrypted, "kernel-initrd", artifact.InitrdFile, m.encPub},
	} {
		dir := t.TempDir()
		from := artifact.Dir(c.images, c.family, "amd64")
		for name, source := range map[string]string{"blob": filepath.Join(from, c.name), "bundle": filepath.Join(from, c.name+sign.Suffix), "key.pub": c.pub, "other.pub": m.other} {
			if err := os.Link(source, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		// It trusts nobody, and a key needs no more.
		write(t, dir, "root.json", `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
		check := func(pub string) error {
			return cosign(t, dir, false, "verify-blob", "--key", pub, "--bundle", "bundle", "--new-bundle-format", "--trusted-root", "root.json", "--insecure-ignore-tlog", "blob")
		}
		if err := check("key.pub"); err != nil {
			t.Errorf("cosign refuses %s of %s: %v", c.name, c.family, err)
		}
		if err := check("other.pub"); err == nil {
			t.Errorf("cosign takes %s of %s with another key", c.name, c.family)
		}
		change(t, filepath.Join(dir, "blob"), flip(100))
		if err := check("key.pub"); err == nil {
			t.Errorf("cosign takes %s of %s with a byte changed", c.name, c.family)
		}
	}
}
