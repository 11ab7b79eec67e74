package kmod

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var kernelPackage = []Module{
	{Path: "kernel/net/core/failover.ko.xz"},
	{Path: "kernel/drivers/net/net_failover.ko.xz", Modinfo: Modinfo{Depends: []string{"failover"}}},
	{Path: "kernel/drivers/net/virtio_net.ko.xz", Modinfo: Modinfo{
		Depends: []string{"net_failover"}, Alias: []string{"virtio:d00000001v*"}, SoftPre: []string{"crypto-crc32c"}}},
	{Path: "kernel/drivers/net/bnx2.ko.xz", Modinfo: Modinfo{
		Alias: []string{"pci:v000014E4d0000164Asv*sd*bc*sc*i*", "net-bnx2"}, Firmware: []string{"bnx2/b.fw", "bnx2/a.fw"}}},
	{Path: "kernel/fs/plain.ko.xz"},
}

func writeTables(t *testing.T, tables Tables) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, b := range tables {
		fsys["m/"+name] = &fstest.MapFile{Data: b}
	}
	return fsys
}

// What Render writes, Open and OpenHints read.
func TestRender(t *testing.T) {
	tables, err := Render(kernelPackage, map[string]string{
		"failover":     "kernel/net/core/failover.ko",
		"net_failover": "kernel/drivers/net/net_failover.ko",
		"virtio_net":   "kernel/drivers/net/virtio_net.ko",
	}, []byte("kernel/fs/fuse/fuse.ko\n"))
	if err != nil {
		t.Fatal(err)
	}
	fsys := writeTables(t, tables)
	x, err := Open(fsys, "m")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := x.Closure(x.Lookup("virtio:d00000001v00001AF4")...); !slices.Equal(got, []string{"failover", "net_failover", "virtio_net"}) {
		t.Errorf("closure %q", got)
	}
	if p, _ := x.Path("virtio_net"); p != "kernel/drivers/net/virtio_net.ko" {
		t.Errorf("path %q", p)
	}
	if pre, _ := x.Soft("virtio_net"); !slices.Equal(pre, []string{"crypto-crc32c"}) {
		t.Errorf("soft dependencies %q", pre)
	}
	h, err := OpenHints(fsys, "m")
	if err != nil {
		t.Fatal(err)
	}
	want := []Wanted{{Module: "bnx2", Firmware: []string{"bnx2/a.fw", "bnx2/b.fw"}}}
	if got := h.Lookup("pci:v000014E4d0000164Asv0sd0bc02sc00i00"); !reflect.DeepEqual(got, want) {
		t.Errorf("hints %+v, want %+v", got, want)
	}
	if got := h.Lookup("virtio:d00000001v00001AF4"); got != nil {
		t.Errorf("a hint for a module in the image: %+v", got)
	}
	if got := h.Lookup("net-bnx2"); got != nil {
		t.Errorf("a hint for what is no device: %+v", got)
	}
}

func TestRenderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		all   []Module
		image []string
		want  string
	}{
		"dependency outside the image": {kernelPackage, []string{"net_failover"}, "net_failover needs failover, which is not in the image"},
		"unknown dependency":           {[]Module{{Path: "a.ko", Modinfo: Modinfo{Depends: []string{"b"}}}}, []string{"a", "b"}, "a needs b, which the kernel package lacks"},
		"no module":                    {[]Module{{Path: "README"}}, nil, "not a module's file"},
	} {
		image := map[string]string{}
		for _, n := range c.image {
			image[n] = n + ".ko"
		}
		if _, err := Render(c.all, image, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestHintsAbsentOrBroken(t *testing.T) {
	if h, err := OpenHints(fstest.MapFS{}, "m"); err != nil || h.Lookup("pci:v1") != nil {
		t.Errorf("no hints: %v", err)
	}
	_, err := OpenHints(fstest.MapFS{"m/" + hintsName: {Data: []byte("not gzip")}}, "m")
	if err == nil || !strings.Contains(err.Error(), hintsName) {
		t.Errorf("broken hints: %v", err)
	}
}

func FuzzHints(f *testing.F) {
	tables, err := Render(kernelPackage, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tables[hintsName], "pci:v000014E4d0000164A")
	f.Fuzz(func(t *testing.T, b []byte, s string) {
		if h, err := parseHints(b); err == nil {
			h.Lookup(s)
		}
	})
}
