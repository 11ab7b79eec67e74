package initrd

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const thin = "# comment\nVariant: thin\nSummary: small\nCore: ls\n cat\nNode: sshd\nModules: virtio_net\nRAM-Budget: 64 MiB\n"

func TestReadVariant(t *testing.T) {
	fsys := fstest.MapFS{
		"thin.manifest":   {Data: []byte(thin)},
		"server.manifest": {Data: []byte("Include: thin\nVariant: server\nModules: drivers/net/\nMicrocode: yes\nPrograms: zstd\nFirmware: nic\nRAM-Budget: 128 MiB\n")},
	}
	got, err := ReadVariant(fsys, "server")
	if err != nil {
		t.Fatal(err)
	}
	want := Variant{Name: "server", Summary: "small", Core: []string{"ls", "cat"}, Node: []string{"sshd"}, Modules: []string{"virtio_net", "drivers/net/"},
		Microcode: true, Zstd: true, Firmware: []string{"nic"}, Budget: 128 << 20}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A list or a budget may be one architecture's own.
func TestVariantOfAnArchitecture(t *testing.T) {
	fsys := fstest.MapFS{
		"thin.manifest": {Data: []byte(thin + "Modules-arm64: gpio_keys\nLoad-arm64: evdev\nRAM-Budget-arm64: 80 MiB\n")},
		"server.manifest": {Data: []byte("Include: thin\nVariant: server\nModules: drivers/net/\nModules-amd64: msr\nModules-arm64: drivers/clk/\n" +
			"Load-Before-arm64: genet:broadcom\nRAM-Budget: 128 MiB\n")},
	}
	v, err := ReadVariant(fsys, "server")
	if err != nil {
		t.Fatal(err)
	}
	base := Variant{Name: "server", Summary: "small", Core: []string{"ls", "cat"}, Node: []string{"sshd"}, Budget: 128 << 20}
	amd, arm := base, base
	amd.Modules = []string{"virtio_net", "drivers/net/", "msr"}
	arm.Modules, arm.Load, arm.Before = []string{"virtio_net", "drivers/net/", "gpio_keys", "drivers/clk/"}, []string{"evdev"}, []string{"genet:broadcom"}
	base.Modules = []string{"virtio_net", "drivers/net/"}
	for arch, want := range map[string]Variant{"amd64": amd, "arm64": arm, "riscv64": base} {
		if d := cmp.Diff(want, v.For(arch), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", arch, d)
		}
	}
	// The including manifest's budget was for all; the included one has its own.
	v, err = ReadVariant(fsys, "thin")
	if err != nil || v.For("arm64").Budget != 80<<20 || v.For("amd64").Budget != 64<<20 {
		t.Errorf("budgets %d and %d, %v", v.For("arm64").Budget, v.For("amd64").Budget, err)
	}
}

func TestReadVariantRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                                                            "0 stanzas",
		"Variant: x\n":                                                "RAM-Budget",
		"RAM-Budget: 1 MiB\n":                                         "Variant is missing",
		"Variant: y\nRAM-Budget: 1 MiB":                               "calls itself",
		"Variant: x\nRAM-Budget: 1 GiB":                               "no size",
		"Variant: x\nRAM-Budget: -1 MiB":                              "no size",
		"Variant: x\nOdd: 1\nRAM-Budget: 1 MiB":                       "line 2: unknown field",
		"Variant: x\nCore: ls ls\nRAM-Budget: 1 MiB":                  "twice",
		"Variant: x\nMicrocode: maybe\nRAM-Budget: 1 MiB":             "neither yes nor no",
		"Variant: x\nPrograms: gzip\nRAM-Budget: 1 MiB":               "neither raw nor zstd",
		"Include: x\nVariant: x\nRAM-Budget: 1 MiB":                   "includes itself",
		"Include: none\nVariant: x\nRAM-Budget: 1 MiB":                "there are: x",
		"Variant: x\nRAM-Budget: 1 MiB\n\nVariant: y\n":               "2 stanzas",
		"Variant: x\nModules-mips: a\nRAM-Budget: 1 MiB":              "line 2: unknown field",
		"Variant: x\nSummary-arm64: a\nRAM-Budget: 1 MiB":             "line 2: unknown field",
		"Variant: x\nRAM-Budget-arm64: 1 MiB":                         "RAM-Budget is missing",
		"Variant: x\nRAM-Budget: 1 MiB\nRAM-Budget-arm64: 1":          "no size",
		"Variant: x\nModules-arm64: a a\nRAM-Budget: 1 MiB":           "twice",
		"Variant: x\nModules: a\nModules-arm64: a\nRAM-Budget: 1 MiB": "modules and modules-arm64 both name",
	} {
		_, err := ReadVariant(fstest.MapFS{"x.manifest": {Data: []byte(text)}}, "x")
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error with %q", text, err, says)
		}
	}
	for _, name := range []string{"", "../x", "none"} {
		if _, err := ReadVariant(fstest.MapFS{"x.manifest": {Data: []byte(thin)}}, name); err == nil || !strings.Contains(err.Error(), "there are: x") {
			t.Errorf("ReadVariant(%q) = %v", name, err)
		}
	}
}

// TestOwnManifests reads those that ship.
func TestOwnManifests(t *testing.T) {
	fsys := os.DirFS("../../../initramfs")
	names := Variants(fsys)
	if len(names) < 2 {
		t.Fatalf("manifests: %v", names)
	}
	for _, n := range names {
		v, err := ReadVariant(fsys, n)
		if err != nil {
			t.Error(err)
		}
		if err := checkCommands("../../..", v); err != nil {
			t.Error(err)
		}
	}
}

func FuzzReadVariant(f *testing.F) {
	f.Add(thin)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ReadVariant(fstest.MapFS{"x.manifest": {Data: []byte(text)}}, "x")
		if err == nil && (v.Budget <= 0 || v.Name != "x") {
			t.Fatalf("%+v", v)
		}
	})
}
