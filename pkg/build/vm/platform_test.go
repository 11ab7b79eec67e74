package vm

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
)

// QEMU of every platform is pinned, and its group has the program.
func TestTools(t *testing.T) {
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	for arch, p := range platforms {
		group, err := Tools(arch)
		if err != nil {
			t.Fatal(err)
		}
		packages := map[string]string{"qemu-system-x86_64": "qemu-system-x86", "qemu-system-aarch64": "qemu-system-arm"}
		if !slices.ContainsFunc(l.Group(group, "amd64"), func(e lock.Entry) bool { return e.Name == packages[p.qemu] }) {
			t.Errorf("%s: group %q of %s has no package with %s", arch, group, lock.Name, p.qemu)
		}
	}
	if group, err := Tools("vax"); err == nil {
		t.Errorf("a vax runs on %q", group)
	}
}

// No KVM runs another architecture's code, and nothing is tried to find out.
func TestAccelOfAnotherArchitecture(t *testing.T) {
	for arch := range platforms {
		if arch == runtime.GOARCH {
			continue
		}
		if accel, why := Accel(t.Context(), nil, arch, "/nowhere"); accel != "tcg" || !strings.Contains(why, arch) {
			t.Errorf("%s: %s, %s", arch, accel, why)
		}
	}
}
