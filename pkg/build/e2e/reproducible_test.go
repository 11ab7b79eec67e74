package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/repro"
	"github.com/bee-os/bee/pkg/build/sign"
)

// builder is a copy of the checkout and what a build in it must not depend on.
// `mage repro` varies more (user, caches, processors, git's state) and takes
// minutes; this is what every run of the tests can afford.
type builder struct {
	dir   string
	umask int
	env   []string
	date  time.Time // of every file of the sources
	alone bool      // the last family before the others, in a process of its own
}

// TestReproducible builds two copies of the checkout, in folders of different
// names, with different time zones, umasks, numbers of processors and dates of
// the sources, and the families in another order: every file of every family is
// the same to the byte, for every architecture; that of the server manifest is
// looked at for the family that all others are made of.
func TestReproducible(t *testing.T) {
	skip(t)
	for _, arch := range artifact.Arches {
		t.Run(arch, func(t *testing.T) { reproducible(t, arch) })
	}
}

func reproducible(t *testing.T, arch string) {
	dir := t.TempDir()
	two := [2]builder{
		{dir: filepath.Join(dir, "one"), umask: 0o022, env: []string{"TZ=UTC", "LC_ALL=C", "GOMAXPROCS=4"}, date: time.Now()},
		{dir: filepath.Join(dir, "another folder, deeper", "two"), umask: 0o077, env: []string{"TZ=Asia/Kathmandu", "LC_ALL=tr_TR.UTF-8", "GOMAXPROCS=1"},
			date: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), alone: true},
	}
	families := artifact.FamiliesFor(arch)
	keys := signingKeys(t, dir)
	for i := range two {
		b := &two[i]
		copyCheckout(t, b.dir)
		b.setDates(t)
		b.make(t, arch, "server", artifact.Default)
		if err := os.Rename(b.images(), b.server()); err != nil {
			t.Fatal(err)
		}
		b.env = append(b.env, keys...) // a signature is part of what is the same
		if b.alone {
			b.make(t, arch, "thin", families[len(families)-1:])
		}
		b.make(t, arch, "thin", families)
	}
	for _, d := range differences(t, two[0].server(), two[1].server(), arch, artifact.Default) {
		t.Errorf("server: %s", d)
	}
	for _, d := range differences(t, two[0].images(), two[1].images(), arch, families) {
		t.Errorf("thin: %s", d)
	}
	if arch != "amd64" {
		return
	}
	// The same comparison, held against a build that must differ.
	b := two[1]
	b.env = append(b.env, "SOURCE_DATE_EPOCH=1000000000")
	b.make(t, arch, "thin", artifact.Default)
	found := differences(t, two[0].images(), b.images(), arch, artifact.Default)
	for _, file := range []string{artifact.InitrdFile, manifest.FileName, manifest.SumsName, manifest.SumsName + sign.Suffix} {
		if !slices.ContainsFunc(found, func(d repro.Difference) bool { return d.File == artifact.Default[0]+"/"+file }) {
			t.Errorf("a build with another date differs, and the comparison does not see that %s does: %v", file, found)
		}
	}
	t.Logf("a build with another date, as the comparison tells it: %v", found)
}

// signingKeys are the variables that let everything be signed, with keys that
// are made for this test.
func signingKeys(t *testing.T, dir string) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "cosign.key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	pair := makePair(t, dir, "db")
	return []string{"BEE_COSIGN_KEY=" + file, "BEE_SB_KEY=" + pair.Key, "BEE_SB_CERT=" + pair.Cert}
}

func (b builder) images() string { return filepath.Join(b.dir, "images") }
func (b builder) server() string { return b.dir + "-server" }

// make builds families with the Go tool, as a user does.
func (b builder) make(t *testing.T, arch, variant string, families []string) {
	t.Helper()
	begin := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "mage", "image")
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "MANIFEST="+variant, "ARCH="+arch, "VARIANT="+strings.Join(families, ","), "BEE_AUTHORIZED_KEYS=")
	cmd.Env = append(cmd.Env, b.env...)
	old := syscall.Umask(b.umask)
	out, err := cmd.CombinedOutput()
	syscall.Umask(old)
	if err != nil {
		t.Fatalf("go tool mage image (%s, %s, %v): %v\n%s", arch, variant, families, err, out)
	}
	t.Logf("%s, %s, %d families: %s", arch, variant, len(families), time.Since(begin).Round(100*time.Millisecond))
}

func (b builder) setDates(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(b.dir, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(name, b.date, b.date)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// differences compares the families of two images/. One without its list of
// digests is an error: nothing would be compared.
func differences(t *testing.T, first, second, arch string, families []string) []repro.Difference {
	t.Helper()
	var found []repro.Difference
	for _, family := range families {
		a, b := artifact.Dir(first, family, arch), artifact.Dir(second, family, arch)
		if _, err := os.Stat(filepath.Join(a, manifest.SumsName)); err != nil {
			t.Fatal(err)
		}
		list, err := repro.Compare(a, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			d.File = family + "/" + d.File
			found = append(found, d)
		}
	}
	return found
}

// copyCheckout copies what git knows of.
func copyCheckout(t *testing.T, dst string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, and git not told yet
		}
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dst, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, fi.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}
