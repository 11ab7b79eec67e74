package nvidia

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func machine() fstest.MapFS {
	return fstest.MapFS{
		"sys/bus/pci/devices/0000:01:00.0/vendor":       {Data: []byte("0x10de\n")},
		"sys/bus/pci/devices/0000:01:00.0/class":        {Data: []byte("0x030200\n")},
		"sys/bus/pci/devices/0000:01:00.1/vendor":       {Data: []byte("0x10de\n")},
		"sys/bus/pci/devices/0000:01:00.1/class":        {Data: []byte("0x040300\n")}, // its audio function
		"sys/bus/pci/devices/0000:02:00.0/vendor":       {Data: []byte("0x1234\n")},
		"sys/bus/pci/devices/0000:02:00.0/class":        {Data: []byte("0x030000\n")},
		"lib/modules/6.12/nvidia/nvidia-uvm.ko.xz":      {},
		"lib/modules/6.12/nvidia/nvidia.ko":             {},
		"lib/modules/6.12/kernel/drivers/net/virtio.ko": {},
	}
}

func TestMakePlan(t *testing.T) {
	p, err := MakePlan(machine(), "6.12")
	if err != nil {
		t.Fatal(err)
	}
	want := Plan{GPUs: []string{"0000:01:00.0"}, Modules: []string{"lib/modules/6.12/nvidia/nvidia.ko", "lib/modules/6.12/nvidia/nvidia-uvm.ko.xz"}}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	if _, err := MakePlan(machine(), "6.13"); !errors.Is(err, ErrNoDriver) {
		t.Errorf("another kernel: %v", err)
	}
	if _, err := MakePlan(fstest.MapFS{}, "6.12"); !errors.Is(err, ErrNoGPU) {
		t.Errorf("an empty machine: %v", err)
	}
}

func TestNodes(t *testing.T) {
	got := Nodes(2, "Character devices:\n  1 mem\n195 nvidia-frontend\n508 nvidia-uvm\n")
	want := []Node{{"nvidiactl", 195, 255}, {"nvidia0", 195, 0}, {"nvidia1", 195, 1}, {"nvidia-uvm", 508, 0}, {"nvidia-uvm-tools", 508, 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	lib := filepath.Join(dir, CompatRoot, "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"libcuda.so.550.163.01", "libc.so.6"} {
		if err := os.WriteFile(filepath.Join(lib, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for range 2 { // the second time everything is there
		if err := Links(root); err != nil {
			t.Fatal(err)
		}
	}
	if to, err := os.Readlink(filepath.Join(lib, "libcuda.so.1")); to != "libcuda.so.550.163.01" || err != nil {
		t.Errorf("libcuda.so.1 → %q, %v", to, err)
	}
	if _, err := os.Lstat(filepath.Join(lib, "libc.so.1")); err == nil {
		t.Error("libc.so.6 got a link")
	}
}

func FuzzNodes(f *testing.F) {
	f.Add("508 nvidia-uvm\n")
	f.Fuzz(func(t *testing.T, devices string) { Nodes(1, devices) })
}
