package kmod

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func openTestdata(t *testing.T) *Index {
	t.Helper()
	x, err := Open(os.DirFS("testdata"), "lib/modules/6.12")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestLookup(t *testing.T) {
	x := openTestdata(t)
	for modalias, want := range map[string][]string{
		"virtio:d00000001v00001AF4":                             {"virtio_net"},
		"virtio:d00000002v00001AF4":                             nil,
		"pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00": {"e1000"},
		"pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00": {"e1000", "e1000e"}, // the order of modules.dep
		"pci:v00008086d000010D3sv00001AF4sd00001100bc03sc00i00": {"e1000e"},
		"fs-ext4":                {"ext4"},
		"fs_ext4":                {"ext4"},
		"acpi:PNP0C0C:":          {"button_x"},
		"acpi:LNXPWRBN:PNP0C0C:": {"button_x"}, "acpi:LNXPWRBN:": nil,
		"of:NnameTtypeCvendor,dev-3Cother": {"e1000e"},
		"of:NnameTtypeCvendor,dev-xCother": nil,
		"":                                 nil,
		"pci":                              nil,
	} {
		if got := x.Lookup(modalias); !slices.Equal(got, want) {
			t.Errorf("Lookup(%q) = %q, want %q", modalias, got, want)
		}
	}
}

func TestPathAndBuiltin(t *testing.T) {
	x := openTestdata(t)
	for name, want := range map[string]string{
		"virtio-net": "kernel/drivers/net/virtio_net.ko",
		"button-x":   "kernel/drivers/acpi/button-x.ko.zst",
		"ext4":       "kernel/fs/ext4/ext4.ko.xz",
		"none":       "",
	} {
		if got, ok := x.Path(name); got != want || ok != (want != "") {
			t.Errorf("Path(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
	if !x.Builtin("virtio_pci") || !x.Builtin("fuse") || x.Builtin("ext4") {
		t.Error("Builtin is wrong about virtio_pci, fuse or ext4")
	}
	if n := len(x.Modules()); n != 11 {
		t.Errorf("%d modules, want 11", n)
	}
}

func TestDeps(t *testing.T) {
	x := openTestdata(t)
	if got, want := x.Deps("virtio-net"), []string{"net_failover"}; !slices.Equal(got, want) {
		t.Errorf("Deps(virtio-net) = %q, want %q", got, want)
	}
	if got := x.Deps("none"); got != nil {
		t.Errorf("Deps of an unknown module = %q", got)
	}
}

func TestClosure(t *testing.T) {
	x := openTestdata(t)
	for _, c := range []struct{ names, want string }{
		{"virtio-net", "failover net_failover virtio_net"},
		{"failover virtio_net failover", "failover net_failover virtio_net"},
		{"ext4", "crc32c_generic jbd2 mbcache crc16 ext4"},
		{"fuse e1000", "e1000"},
		{"", ""},
	} {
		got, err := x.Closure(strings.Fields(c.names)...)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("Closure(%s) = %q, %v; want %q", c.names, got, err, c.want)
		}
	}
	got, err := x.Closure("none", "failover", "nor-this")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "none") || !strings.Contains(err.Error(), "nor_this") {
		t.Errorf("Closure with unknown names: %v", err)
	}
	if !slices.Equal(got, []string{"failover"}) {
		t.Errorf("Closure with unknown names keeps %q", got)
	}
}

// Soft dependencies may form a circle: the walk ends nevertheless.
func TestClosureCycle(t *testing.T) {
	x, err := Open(fstest.MapFS{
		"m/modules.dep":     {Data: []byte("a.ko:\nb.ko:\n")},
		"m/modules.softdep": {Data: []byte("softdep a pre: b\nsoftdep b pre: a\n")},
	}, "m")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := x.Closure("a"); err != nil || !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("Closure = %q, %v", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file, text, want string
	}{
		"no table":         {"modules.alias", "", "modules.dep"},
		"no colon":         {"modules.dep", "a.ko:\nb.ko\n", "line 2"},
		"not a module":     {"modules.dep", "README: \n", "not a module"},
		"twice":            {"modules.dep", "a-b.ko:\nx/a_b.ko.xz:\n", "twice"},
		"dangling":         {"modules.dep", "a.ko: b.ko\n", "b, which has no line"},
		"softdep, no name": {"modules.softdep", "softdep\n", "names no module"},
		"short alias":      {"modules.alias", "alias x\n", "line 1"},
		"cut-off alias":    {"modules.alias", sortedMark + "alias x y", "cut off"},
		"builtin":          {"modules.builtin", "fuse\n", "line 1"},
	} {
		fsys := fstest.MapFS{"m/" + c.file: {Data: []byte(c.text)}}
		if c.file != "modules.dep" && name != "no table" {
			fsys["m/modules.dep"] = &fstest.MapFile{}
		}
		_, err := Open(fsys, "m")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestNameOf(t *testing.T) {
	for p, want := range map[string]string{
		"kernel/a/snd-hda.ko.xz": "snd_hda",
		"x.ko":                   "x",
		"x.ko.gz":                "x",
		"x.ko.bz2":               "",
		".ko":                    "",
		"x.c":                    "",
	} {
		if got, ok := NameOf(p); got != want || ok != (want != "") {
			t.Errorf("NameOf(%q) = %q, %v; want %q", p, got, ok, want)
		}
	}
}
