package nvidia

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/node/modload"
	"github.com/bee-os/bee/pkg/node/nvidia/nvstate"
)

// tree is a machine with one GPU and an image that carries a driver.
func tree(t *testing.T) fstest.MapFS {
	t.Helper()
	bill, err := bom.BOM{Schema: 1, Name: "bee", NVIDIA: &bom.NVIDIA{Version: "550.163.01", Flavor: "open", Depends: []string{"drm"},
		Modules: []bom.Blob{{Path: "nvidia.ko.xz"}, {Path: "nvidia-uvm.ko.xz"}, {Path: "nvidia-modeset.ko.xz"}}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		"sys/bus/pci/devices/0000:01:00.0/vendor":           {Data: []byte("0x10de\n")},
		"sys/bus/pci/devices/0000:01:00.0/class":            {Data: []byte("0x030200\n")},
		"sys/bus/pci/devices/0000:01:00.1/vendor":           {Data: []byte("0x10de\n")},
		"sys/bus/pci/devices/0000:01:00.1/class":            {Data: []byte("0x040300\n")}, // its audio function
		"sys/bus/pci/devices/0000:02:00.0/vendor":           {Data: []byte("0x1234\n")},
		"sys/bus/pci/devices/0000:02:00.0/class":            {Data: []byte("0x030000\n")},
		"etc/bee/bom.json":                                  {Data: bill},
		"usr/lib/bee/compat/lib/libnvidia-ml.so.550.163.01": {},
		"usr/lib/bee/compat/lib/libnvidia-ml.so.1":          {},
		"proc/driver/nvidia/version":                        {Data: []byte("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.163.01  Release Build  (bee@bee)  \nGCC version:  gcc version 14.2.0\n")},
		"proc/driver/nvidia/gpus/0000:01:00.0/information":  {Data: []byte("Model: \t\t NVIDIA H200\nDevice Minor: \t 0\n")},
		"proc/devices": {Data: []byte("Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n507 nvidia-caps\n508 nvidia-uvm\n\nBlock devices:\n  8 sd\n")},
		"proc/driver/nvidia/capabilities/mig/monitor":               {Data: []byte("DeviceFileMinor: 2\nDeviceFileMode: 292\nDeviceFileModify: 1\n")},
		"proc/driver/nvidia/capabilities/gpu0/mig/gi1/access":       {Data: []byte("garbage")},
		"usr/local/lib/nvidia/nvidia.ko.xz":                         {},
		"lib/modules/6.12/kernel/drivers/gpu/drm/drm.ko.xz":         {},
		"lib/modules/6.12/kernel/drivers/net/ethernet/virtio.ko.xz": {},
	}
}

func TestMakePlan(t *testing.T) {
	p, err := MakePlan(tree(t), false, false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"0000:01:00.0"}, p.GPUs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"usr/local/lib/nvidia/nvidia.ko.xz", "usr/local/lib/nvidia/nvidia-uvm.ko.xz"}, p.Files); d != "" {
		t.Error(d)
	}
	if p, err = MakePlan(tree(t), true, false); err != nil || !strings.HasSuffix(p.Files[2], "nvidia-modeset.ko.xz") {
		t.Errorf("bee.nvidia=modeset: %q, %v", p.Files, err)
	}

	none := tree(t)
	delete(none, "sys/bus/pci/devices/0000:01:00.0/vendor")
	if _, err := MakePlan(none, false, false); !errors.Is(err, ErrNoGPU) {
		t.Errorf("no GPU: %v", err)
	}
	if p, err := MakePlan(none, false, true); err != nil || len(p.Files) != 2 {
		t.Errorf("no GPU, forced: %v, %v", p, err)
	}
	without := tree(t)
	without["etc/bee/bom.json"] = &fstest.MapFile{Data: []byte(`{"schema":1,"name":"bee"}`)}
	if _, err := MakePlan(without, false, false); !errors.Is(err, ErrNoDriver) || !strings.Contains(err.Error(), "1 NVIDIA GPU") || !strings.Contains(err.Error(), "NVIDIA=on") {
		t.Errorf("no driver: %v", err)
	}
}

func TestNodes(t *testing.T) {
	got, err := Nodes(tree(t))
	want := []Node{{"nvidiactl", 195, 255, 0o666}, {"nvidia0", 195, 0, 0o666}, {"nvidia-uvm", 508, 0, 0o666}, {"nvidia-uvm-tools", 508, 1, 0o666}, {"nvidia-caps/nvidia-cap2", 507, 2, 0o444}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	lost := tree(t)
	lost["proc/driver/nvidia/gpus/0000:02:00.0/information"] = &fstest.MapFile{Data: []byte("GPU is lost\n")}
	if got, err = Nodes(lost); err == nil || !strings.Contains(err.Error(), "0000:02:00.0") || len(got) != len(want) {
		t.Errorf("a GPU that tells nothing: %v, %v", got, err)
	}
}

// fake is a machine that answers as told.
func fake(t *testing.T, fsys fstest.MapFS) (*machine, *[]string, *bytes.Buffer) {
	t.Helper()
	var did []string
	var out bytes.Buffer
	return &machine{
		root: fsys, out: &out,
		options: func(string) string { return "" },
		forbids: func(string) bool { return false },
		depend:  func(name string) error { did = append(did, "depend "+name); return nil },
		insert: func(file, options string) error {
			did = append(did, strings.TrimSpace("insert "+file+" "+options))
			return nil
		},
		log:         func() []string { return nil },
		node:        func(n Node) error { did = append(did, "node "+n.Path); return nil },
		persistence: func(context.Context) (string, error) { did = append(did, "persistence"); return "All done.", nil },
		save:        func(nvstate.State) error { return nil },
	}, &did, &out
}

func plan(t *testing.T, fsys fs.FS) Plan {
	t.Helper()
	p, err := MakePlan(fsys, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	fsys := tree(t)
	m, did, out := fake(t, fsys)
	m.options = func(name string) string { return map[string]string{"nvidia": "NVreg_EnablePCIeGen3=1"}[name] }
	s, err := m.load(t.Context(), plan(t, fsys))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"depend drm", "insert usr/local/lib/nvidia/nvidia.ko.xz NVreg_EnablePCIeGen3=1", "insert usr/local/lib/nvidia/nvidia-uvm.ko.xz",
		"node nvidiactl", "node nvidia0", "node nvidia-uvm", "node nvidia-uvm-tools", "node nvidia-caps/nvidia-cap2", "persistence"}
	if d := cmp.Diff(want, *did); d != "" {
		t.Error(d)
	}
	if s.Driver != "550.163.01" || s.Libraries != "550.163.01" || s.Persistence != "All done." || s.Flavor != "open" {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(out.String(), "/usr/local/lib/nvidia/nvidia-uvm.ko.xz") {
		t.Error(out.String())
	}
}

// Before each step that may never end, what is known by then is told, and what
// is being done.
func TestLoadTellsBeforeItHangs(t *testing.T) {
	fsys := tree(t)
	m, _, _ := fake(t, fsys)
	var saved []nvstate.State
	m.save = func(s nvstate.State) error {
		s.Modules = slices.Clone(s.Modules)
		saved = append(saved, s)
		return nil
	}
	if _, err := m.load(t.Context(), plan(t, fsys)); err != nil {
		t.Fatal(err)
	}
	if len(saved) != 4 {
		t.Fatalf("told %d times", len(saved))
	}
	first, second, third, last := saved[0].Modules, saved[1].Modules, saved[2], saved[3]
	if len(first) != 1 || first[0].Loaded || first[0].Error != "it is being loaded" {
		t.Errorf("before the first module: %+v", first)
	}
	if len(second) != 2 || !second[0].Loaded || second[1].Error != "it is being loaded" {
		t.Errorf("before the second: %+v", second)
	}
	if !third.Modules[1].Loaded || third.Persistence != "it is being turned on" || last.Persistence != "All done." || len(last.Problems) > 0 {
		t.Errorf("persistence: %+v, %+v", third, last)
	}
}

// A program that does not end is killed; what it said until then is lost, the
// time is not.
func TestRunOrLeave(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := runOrLeave(ctx, []string{"/bin/sleep", "60"}); err == nil {
		t.Error("a program that was killed ended well")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	if text, err := runOrLeave(t.Context(), []string{"/bin/echo", "said"}); err != nil || string(text) != "said" {
		t.Errorf("%q, %v", text, err)
	}
}

// Each failure is named with the kernel's own words, and stops nothing that can
// go on.
func TestLoadFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *machine, fsys fstest.MapFS)
		want   []string // in the error
		did    string   // still done
	}{
		{"no GPU answers", func(m *machine, _ fstest.MapFS) {
			m.insert = func(file, _ string) error { return modload.ErrNothingToDrive }
			m.log = func() []string {
				return []string{"nvidia: loading out-of-tree module taints kernel.", "NVRM: No NVIDIA GPU found.", "usb 1-1: new device"}
			}
		}, []string{"load /usr/local/lib/nvidia/nvidia.ko.xz", "finds nothing here to drive", "the kernel says: NVRM: No NVIDIA GPU found."}, "depend drm"},
		{"a module of another kernel", func(m *machine, _ fstest.MapFS) {
			insert := m.insert
			m.insert = func(file, o string) error {
				if strings.Contains(file, "uvm") {
					return errors.New("exec format error")
				}
				return insert(file, o)
			}
			m.log = func() []string { return []string{"nvidia_uvm: version magic '6.1' should be '6.12'"} }
		}, []string{"nvidia-uvm.ko.xz: exec format error", "version magic '6.1' should be '6.12'"}, "node nvidia0"},
		{"libraries of another release", func(m *machine, fsys fstest.MapFS) {
			delete(fsys, "usr/lib/bee/compat/lib/libnvidia-ml.so.550.163.01")
			fsys["usr/lib/bee/compat/lib/libnvidia-ml.so.570.1"] = &fstest.MapFile{}
		}, []string{"550.163.01", "570.1", "build the image anew"}, "node nvidia0"},
		{"no libraries", func(m *machine, fsys fstest.MapFS) {
			delete(fsys, "usr/lib/bee/compat/lib/libnvidia-ml.so.550.163.01")
		}, []string{"libnvidia-ml.so"}, "node nvidia0"},
		{"nvidia-smi hangs", func(m *machine, _ fstest.MapFS) {
			m.persistence = func(context.Context) (string, error) { return "", errors.New("nvidia-smi did not end in 1m0s") }
		}, []string{"did not end"}, "node nvidia0"},
		{"a dependency is not in the image", func(m *machine, _ fstest.MapFS) {
			m.depend = func(string) error { return fs.ErrNotExist }
		}, []string{"load drm, which the NVIDIA driver needs"}, "persistence"},
		{"blacklisted", func(m *machine, _ fstest.MapFS) {
			m.forbids = func(string) bool { return true }
		}, []string{"blacklisted"}, "depend drm"},
		{"a device file cannot be made", func(m *machine, _ fstest.MapFS) {
			m.node = func(n Node) error { return errors.New("make /dev/" + n.Path + ": read-only file system") }
		}, []string{"make /dev/nvidia0: read-only"}, "persistence"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := tree(t)
			m, did, _ := fake(t, fsys)
			c.change(m, fsys)
			s, err := m.load(t.Context(), plan(t, fsys))
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
			if !slices.Contains(*did, c.did) {
				t.Errorf("it did not %s: %q", c.did, *did)
			}
			if len(s.Failed())+len(s.Problems) == 0 {
				t.Errorf("the state tells of no failure: %+v", s)
			}
		})
	}
}

// A flood of lines keeps its beginning and its end.
func TestAbout(t *testing.T) {
	lines := []string{"usb 1-1: new device"}
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("nvidia_uvm: Unknown symbol s%d (err -2)", i))
	}
	got := about(lines)
	if len(got) != mostLines+1 || !strings.Contains(got[0], " s0 ") || !strings.Contains(got[mostLines], " s99 ") || !strings.Contains(got[mostLines/2], "80 lines") {
		t.Errorf("%q", got)
	}
	if got := about(lines[:2]); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	s := nvstate.State{GPUs: []string{"0000:01:00.0"}, Nothing: ErrNoDriver.Error()}
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := nvstate.Read(os.DirFS(dir))
	if err != nil || got.Nothing != s.Nothing || got.Modules == nil || got.GPUs == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := nvstate.Read(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, nvstate.Path), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := nvstate.Read(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), nvstate.Path) {
		t.Error(err)
	}
}

func TestCommandLine(t *testing.T) {
	var out, errs bytes.Buffer
	if s := Main([]string{"unload"}, &out, &errs); s != 2 || !strings.Contains(errs.String(), "usage:") {
		t.Error(s, errs.String())
	}
}

func FuzzNodes(f *testing.F) {
	f.Add("508 nvidia-uvm\n507 nvidia-caps\n", "Device Minor: 3\n", "DeviceFileMinor: 1\nDeviceFileMode: 256\n")
	f.Fuzz(func(t *testing.T, devices, information, capability string) {
		nodes, _ := Nodes(fstest.MapFS{
			"proc/devices": {Data: []byte(devices)},
			"proc/driver/nvidia/gpus/0000:01:00.0/information": {Data: []byte(information)},
			"proc/driver/nvidia/capabilities/mig/config":       {Data: []byte(capability)},
		})
		for _, n := range nodes {
			if n.Mode > 0o777 || strings.Contains(n.Path, "..") {
				t.Errorf("%+v", n)
			}
		}
	})
}

func FuzzVersion(f *testing.F) {
	f.Add("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025\n")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := DriverVersion(fstest.MapFS{"proc/driver/nvidia/version": {Data: []byte(text)}})
		if err == nil && !isVersion(v) {
			t.Errorf("%q", v)
		}
	})
}
