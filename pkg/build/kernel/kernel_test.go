package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/build/lock"
)

func TestCompare(t *testing.T) {
	const config = "# comment\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"text\"\n"
	for _, c := range []struct {
		required string
		want     []string
	}{
		{"CONFIG_A=y # because\nCONFIG_B=m\nCONFIG_A=m\nCONFIG_C=n\nCONFIG_D=\"text\"\n", nil},
		{"CONFIG_B=y # boot needs it\n", []string{"CONFIG_B=y: the kernel has m. boot needs it"}},
		{"CONFIG_C=y\nCONFIG_A=n\n", []string{"CONFIG_C=y: the kernel has n.", "CONFIG_A=n: the kernel has y."}},
	} {
		got, err := compare(c.required, config)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q: %s", c.required, d)
		}
	}
	for _, bad := range []string{"CONFIG_A\n", "A=y\n", "CONFIG_A=\n"} {
		if _, err := compare("\n"+bad, config); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("compare(%q) = %v, want an error that names line 2", bad, err)
		}
	}
}

// Every architecture has its kernel in bee.lock, in one of two groups.
func TestFind(t *testing.T) {
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		e, err := Find(l, arch)
		if err != nil || e.Arch != arch || !strings.HasSuffix(e.Name, "-"+arch) {
			t.Errorf("%s: %v, %v", arch, e, err)
		}
	}
	if _, err := Find(l, "vax"); err == nil || !strings.Contains(err.Error(), "kernel-vax") {
		t.Errorf("a kernel for a vax: %v", err)
	}
	l.Entries = append(l.Entries, lock.Entry{Name: "linux-image-2", Arch: "arm64", Groups: []string{"kernel-arm64"}})
	if _, err := Find(l, "arm64"); err == nil || !strings.Contains(err.Error(), "2 packages") {
		t.Errorf("two kernels: %v", err)
	}
}

// What all files ask for counts, and each must be there.
func TestCheckConfig(t *testing.T) {
	k := &Kernel{Release: "6", Config: filepath.Join(t.TempDir(), "config")}
	if err := os.WriteFile(k.Config, []byte("CONFIG_A=y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{"all": {Data: []byte("CONFIG_A=y\nCONFIG_B=y\n")}, "one": {Data: []byte("CONFIG_C=m # for it\n")}}
	if err := k.CheckConfig(fsys, "all", "one"); err == nil || !strings.Contains(err.Error(), "2 options") || !strings.Contains(err.Error(), "CONFIG_C=m: the kernel has n. for it") {
		t.Error(err)
	}
	if err := k.CheckConfig(fsys, "all", "none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Error(err)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("CONFIG_A=y # why\n", "CONFIG_A=m\n")
	f.Fuzz(func(t *testing.T, required, config string) {
		missing, err := compare(required, config)
		if err != nil && missing != nil {
			t.Fatal("an error and a result")
		}
		_ = missing
	})
}
