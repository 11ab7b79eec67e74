package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
)

// TestReproducible builds two copies of the checkout, in folders of different
// names, time zones and umasks: kernel, initrd and bill of materials are the
// same to the byte, for every architecture.
func TestReproducible(t *testing.T) {
	skip(t)
	for _, arch := range artifact.Arches {
		t.Run(arch, func(t *testing.T) { reproducible(t, arch) })
	}
}

func reproducible(t *testing.T, arch string) {
	var built [2]string
	for i, name := range []string{"one", "another folder, deeper"} {
		dir := filepath.Join(t.TempDir(), name)
		copyCheckout(t, dir)
		cmd := exec.CommandContext(t.Context(), "go", "tool", "mage", "build")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MANIFEST=server", "ARCH="+arch, "BEE_AUTHORIZED_KEYS=", "TZ="+[]string{"UTC", "Asia/Kathmandu"}[i])
		old := syscall.Umask([]int{0o022, 0o077}[i])
		out, err := cmd.CombinedOutput()
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("go tool mage build: %v\n%s", err, out)
		}
		built[i] = artifact.KernelInitrdDir(filepath.Join(dir, "images"), arch)
	}
	for _, f := range []string{artifact.KernelFile, artifact.InitrdFile, artifact.BOMFile} {
		a, err := os.ReadFile(filepath.Join(built[0], f))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(built[1], f))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs: %d and %d bytes", f, len(a), len(b))
		}
	}
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
