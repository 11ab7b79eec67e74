package bringup

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bee-os/bee/pkg/bootparam"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTableGolden(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		name    string
		p       bootparam.Params
		cmdline string
	}{
		{"default", bootparam.Params{}, "quiet"},
		{"debug, reboot on failure", bootparam.Params{Debug: true, RebootOnFailure: true}, "bee.debug"},
	} {
		fmt.Fprintf(&b, "# %s\n", c.name)
		for _, row := range slices.Concat(Early, Footing, local, settings(c.p, c.cmdline)) {
			fmt.Fprintf(&b, "%#v\n", row)
		}
	}
	const golden = "testdata/table.golden"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the table changed; look at it and run go test -update\n%s", b.String())
	}
}

// A row that fails is told by name and the others are done.
func TestAFailedRowStopsNothing(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	errs := run([]Row{
		Dir{"/file/below", 0o755},
		Sysctl{Key: "kernel.nothing", Value: "1"},
		Sysctl{Key: "kernel.nothing", Value: "1", Optional: true},
		HugePages{},
		Dir{"/a/b", 0o777 | os.ModeSticky},
		Symlink{"b", "/a/link"},
		Symlink{"other", "/a/link"},
	}, root)
	if len(errs) != 2 || !strings.HasPrefix(errs[0].Error(), "directory /file/below: ") || !strings.HasPrefix(errs[1].Error(), "sysctl kernel.nothing: ") {
		t.Errorf("%v", errs)
	}
	st, err := os.Stat(filepath.Join(root, "a/b"))
	if err != nil || st.Mode().Perm() != 0o777 || st.Mode()&os.ModeSticky == 0 {
		t.Errorf("%v, %v", st, err)
	}
	if to, err := os.Readlink(filepath.Join(root, "a/link")); err != nil || to != "b" {
		t.Error(to, err)
	}
}

func TestFstabIsWhatIsMounted(t *testing.T) {
	root := t.TempDir()
	const mounts = "proc /proc proc rw,nosuid 0 0\ntmp /mnt/with\\040space tmpfs rw 0 0\n"
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/mounts"), []byte(mounts), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFstab(root); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "etc/fstab"))
	if err != nil || string(got) != fstabHead+mounts {
		t.Errorf("%v\n%s", err, got)
	}
}

// A service that sets things tells each that it could not set, and sets the rest.
func TestSettingsTellEveryFailure(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"proc/sys/kernel", "etc", "dev", "var"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"proc/mounts": "", "proc/cmdline": "quiet", "proc/sys/kernel/printk": "", "proc/sys/kernel/ctrl-alt-del": "1"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	err := set(bootparam.Params{}, &log, root)
	for _, want := range []string{"sysctl fs.protected_symlinks: ", "sysctl kernel.kptr_restrict: "} {
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(log.String(), want) {
			t.Errorf("%q is not told: %v; log:\n%s", want, err, log.String())
		}
	}
	for name, want := range map[string]string{"proc/sys/kernel/printk": "4 4 1 7\n", "proc/sys/kernel/ctrl-alt-del": "0\n", "etc/fstab": fstabHead} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestMountOnce: what is mounted stays as it is when the rows are run again, as by
// svc restart; a second tmpfs would hide what lies in the first.
func TestMountOnce(t *testing.T) {
	if os.Getenv("BEE_TEST_MOUNT") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestMountOnce$", "-test.v")
		cmd.Env = append(os.Environ(), "BEE_TEST_MOUNT=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestMountOnce") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	row := Mount{Source: "x", Target: "/mounted/here", Type: "tmpfs"}
	for range 2 {
		if err := row.do(dir); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(dir+"/mounted/here/file", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if b, err := os.ReadFile(dir + "/mounted/here/file"); string(b) != "xx" {
		t.Errorf("%q, %v", b, err)
	}
	if err := syscall.Unmount(dir+"/mounted/here", 0); err != nil {
		t.Error(err)
	}
	if mounted(dir + "/mounted/here") {
		t.Error("it was mounted twice")
	}
}
