package smoke

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// gpus is a good node with two GPUs, a driver and a compat root.
func gpus(t *testing.T) (Node, fstest.MapFS) {
	t.Helper()
	n, files := good(t)
	bill, err := bom.BOM{Schema: 1, Name: "bee", NVIDIA: &bom.NVIDIA{Version: "550.163.01"}, Compat: []bom.Blob{{Path: "bin/nvidia-smi", Size: 3}, {Path: "lib/libcuda.so.550.163.01", Size: 4}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := hwreport.Decode(files[hwreport.Path].Data)
	if err != nil {
		t.Fatal(err)
	}
	var list []hwreport.GPUDevice
	for _, a := range []string{"0000:01:00.0", "0000:02:00.0"} {
		list = append(list, hwreport.GPUDevice{ID: "pci:" + a, Address: a, NVML: hwreport.Value(hwreport.NVMLDevice{Address: a})})
	}
	r.GPU.Data.Devices = hwreport.Value(list)
	hwreport.Fill(r, "test")
	report, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		bom.Path: string(bill), hwreport.Path: string(report),
		"run/bee/nvidia.json":                        `{"gpus":["0000:01:00.0","0000:02:00.0"],"driver":"550.163.01","flavor":"open","modules":[{"name":"nvidia","loaded":true},{"name":"nvidia-uvm","loaded":true}]}`,
		bom.CompatDir + "/bin/nvidia-smi":            "smi",
		bom.CompatDir + "/lib/libcuda.so.550.163.01": "cuda",
		bom.CompatDir + "/lib/libcuda.so.1":          "cuda",
		bom.CompatDir + "/lib/libnvidia-ml.so.1":     "ml",
		"sys/module/nvidia/refcnt":                   "3",
		"sys/module/nvidia_uvm/refcnt":               "0",
		"dev/nvidia0":                                "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": "",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return n, files
}

func TestGPUs(t *testing.T) {
	n, _ := gpus(t)
	s, out := status(t, n)
	if s != 0 || !strings.Contains(out, "2 GPUs told by NVML") || !strings.Contains(out, "ok   nvidia modules       2, driver 550.163.01 (open)") {
		t.Errorf("status %d\n%s", s, out)
	}
}

func TestEachFaultOfGPUsIsFound(t *testing.T) {
	state := func(f fstest.MapFS, text string) { f["run/bee/nvidia.json"].Data = []byte(text) }
	for name, c := range map[string]struct {
		spoil func(fstest.MapFS)
		says  string
	}{
		"a module would not load": {func(f fstest.MapFS) {
			state(f, `{"gpus":["0000:01:00.0"],"modules":[{"name":"nvidia","error":"exec format error"}]}`)
		}, "FAIL nvidia modules       would not load: nvidia (exec format error)"},
		"a module is gone":      {func(f fstest.MapFS) { delete(f, "sys/module/nvidia_uvm/refcnt") }, "nvidia-uvm (it was loaded and is gone)"},
		"versions differ":       {func(f fstest.MapFS) { state(f, `{"gpus":["0000:01:00.0"],"problems":["the libraries are 570"]}`) }, "the libraries are 570"},
		"a GPU without a file":  {func(f fstest.MapFS) { delete(f, "dev/nvidia1") }, "FAIL nvidia devices       1 of 2 GPUs"},
		"no uvm":                {func(f fstest.MapFS) { delete(f, "dev/nvidia-uvm") }, "FAIL nvidia devices"},
		"a library is missing":  {func(f fstest.MapFS) { delete(f, bom.CompatDir+"/lib/libnvidia-ml.so.1") }, "lib/libnvidia-ml.so.1"},
		"a file is cut short":   {func(f fstest.MapFS) { f[bom.CompatDir+"/bin/nvidia-smi"].Data = nil }, "FAIL nvidia compat root"},
		"the service is silent": {func(f fstest.MapFS) { delete(f, "run/bee/nvidia.json") }, "FAIL nvidia "},
		"NVML misses one": {func(f fstest.MapFS) {
			state(f, `{"gpus":["0000:01:00.0","0000:09:00.0"],"modules":[{"name":"nvidia","loaded":true}]}`)
		}, "1 of 2 GPUs are not told by NVML: 0000:09:00.0"},
		"NVML cannot open one": {func(f fstest.MapFS) {
			r, err := hwreport.Decode(f[hwreport.Path].Data)
			if err != nil {
				t.Fatal(err)
			}
			r.GPU.Data.Devices.Or(nil)[1].NVML = hwreport.Value(hwreport.NVMLDevice{Address: "0000:02:00.0", Error: "the GPU is lost"})
			hwreport.Fill(r, "test")
			if f[hwreport.Path].Data, err = r.Encode(); err != nil {
				t.Fatal(err)
			}
		}, "1 of 2 GPUs are not told by NVML: 0000:02:00.0 (NVML: the GPU is lost)"},
	} {
		n, files := gpus(t)
		c.spoil(files)
		if s, out := status(t, n); s != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: status %d, want 1 and %q\n%s", name, s, c.says, out)
		}
	}
}

// A GPU that nobody wanted served is no fault of the node: it is said, and that
// is all.
func TestGPUWithoutDriver(t *testing.T) {
	n, files := good(t)
	files["run/bee/nvidia.json"].Data = []byte(`{"gpus":["0000:01:00.0"],"nothing":"the image carries no NVIDIA driver"}`)
	if s, out := status(t, n); s != 0 || !strings.Contains(out, "note nvidia               the image carries no") {
		t.Errorf("status %d\n%s", s, out)
	}
	n, files = gpus(t)
	delete(files, "run/bee/nvidia.json")
	services := n.Services
	n.Services = func(ctx context.Context) ([]control.Status, error) {
		list, err := services(ctx)
		list[1].State = control.Disabled
		return list, err
	}
	if s, out := status(t, n); s != 0 {
		t.Errorf("bee.nvidia=off: status %d\n%s", s, out)
	}
}
