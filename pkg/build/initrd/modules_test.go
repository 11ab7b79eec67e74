package initrd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/kmod"
)

// A module comes with what it needs, and with what it wants before it: by name or
// by any of its names, as kernel 6.12's libcrc32c and btrfs do. Without, finit_module
// of such a module fails.
func TestSelectionFollowsAliases(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "modules.builtin"), []byte("kernel/crypto/sha256_generic.ko\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	module := func(name string, m kmod.Modinfo) kmod.Module {
		return kmod.Module{Path: "kernel/" + name + ".ko.xz", Modinfo: m}
	}
	k := &kernel.Kernel{Dir: dir, Modules: []kmod.Module{
		module("fs/xfs/xfs", kmod.Modinfo{Depends: []string{"libcrc32c"}}),
		module("lib/libcrc32c", kmod.Modinfo{SoftPre: []string{"crc32c"}}),
		module("crypto/crc32c_generic", kmod.Modinfo{Alias: []string{"crypto-crc32c", "crc32c"}}),
		module("arch/x86/crypto/crc32c-intel", kmod.Modinfo{Alias: []string{"crc32c"}}),
		module("fs/btrfs/btrfs", kmod.Modinfo{SoftPre: []string{"xxhash64", "sha256_generic", "crypto-blake2b-256", "nowhere"}}),
		module("crypto/xxhash_generic", kmod.Modinfo{Alias: []string{"xxhash64"}}),
		module("crypto/blake2b_generic", kmod.Modinfo{Alias: []string{"crypto-blake2b-256"}}),
		module("arch/x86/crypto/sha256-ssse3", kmod.Modinfo{Alias: []string{"sha256_generic"}}),     // the kernel has it built in
		module("drivers/net/odd", kmod.Modinfo{Alias: []string{"pci:v*d*", "xxhash[0-9]", "crc*"}}), // patterns are for devices
	}}
	for _, test := range []struct {
		want string
		get  []string
	}{
		{"xfs", []string{"crc32c_generic", "crc32c_intel", "libcrc32c", "xfs"}},
		{"fs/btrfs/", []string{"blake2b_generic", "btrfs", "xxhash_generic"}},
	} {
		s, err := selectModules(k, Variant{Name: "test", Modules: []string{test.want}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.get, s.names); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.want, diff)
		}
	}
}
