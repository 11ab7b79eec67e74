package cprogram

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

const root = "../../.."

// real is the checkout's own configuration.
func real(t *testing.T, cache string, groups ...string) Config {
	t.Helper()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", groups...)
	if errors.Is(err, sandbox.ErrUnavailable) {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Root: dir, Arch: "amd64", Cache: cache, Box: box, Progress: os.Stderr}
}

// The programs of the compat root are the same bytes from another checkout's
// cache, bind lazily (NVML lacks functions in older releases), and ask for the
// loader that the compat root has.
func TestBuild(t *testing.T) {
	cache, err := fetch.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	var first map[string][32]byte
	for _, dir := range []string{cache, t.TempDir()} {
		c := real(t, dir, "tools-kernel")
		c.Packages = []string{"./cmds/standalone/nvmlreport", "./cmds/standalone/gpuworker"}
		out := t.TempDir()
		if err := Build(t.Context(), c, out); err != nil {
			t.Fatal(err)
		}
		sums := make(map[string][32]byte)
		for _, name := range []string{"nvmlreport", "gpuworker"} {
			text, err := os.ReadFile(filepath.Join(out, name))
			if err != nil {
				t.Fatal(err)
			}
			sums[name] = sha256.Sum256(text)
			check(t, name, text)
		}
		if first == nil {
			first = sums
		}
		for name, sum := range sums {
			if sum != first[name] {
				t.Errorf("%s differs between two builds", name)
			}
		}
	}
}

func check(t *testing.T, name string, text []byte) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	libs, err := f.ImportedLibraries()
	if err != nil || !slices.Equal(libs, []string{"libc.so.6"}) {
		t.Errorf("%s needs %q, %v", name, libs, err)
	}
	flags, err := f.DynValue(elf.DT_FLAGS)
	if err == nil && len(flags) > 0 && elf.DynFlag(flags[0])&elf.DF_BIND_NOW != 0 {
		t.Errorf("%s is bound at its start: a library that lacks one function would stop it", name)
	}
	if bytes.Contains(text, []byte(insideSource)) && bytes.Contains(text, []byte(insideGo+"/src")) {
		t.Errorf("%s tells where it was built", name)
	}
}

// The tests of what needs a C compiler, where one is for certain: with nothing
// left out.
func TestInside(t *testing.T) {
	cache, err := fetch.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	c := real(t, cache, "tools-kernel", "tools-ptx")
	c.Packages = []string{"./cmds/standalone/nvmlreport", "./cmds/standalone/gpuworker/..."}
	var said strings.Builder
	if err := Test(t.Context(), c, &said); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
	c.Packages = []string{"-run=TestRealWorker", "./pkg/node/burn"}
	said.Reset()
	if err := Test(t.Context(), c, &said); err != nil || strings.Contains(said.String(), "no tests to run") {
		t.Errorf("%v\n%s", err, said.String())
	}
}

// A machine of another kind cannot compile with cgo, and says so.
func TestOtherArchitecture(t *testing.T) {
	c := real(t, t.TempDir(), "tools-kernel")
	c.Arch, c.Packages = "arm64", []string{"./cmds/standalone/nvmlreport"}
	if err := Build(t.Context(), c, t.TempDir()); err == nil || !strings.Contains(err.Error(), "arm64") {
		t.Error(err)
	}
}
