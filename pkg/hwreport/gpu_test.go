package hwreport

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// eightGPUs is what nvmlreport says of a healthy server, as its own test made it.
func eightGPUs(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../cmds/standalone/nvmlreport/testdata/eight.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeNVML(t *testing.T) {
	good := eightGPUs(t)
	n, err := DecodeNVML(good)
	if err != nil || len(n.Devices.Or(nil)) != 8 {
		t.Fatalf("%v %+v", err, n)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "blank": []byte(" \n"), "cut off": good[:len(good)/2], "two": append(good[:len(good):len(good)], good...), "text": []byte("Segmentation fault"),
		"huge": []byte(`{"error":"` + strings.Repeat("x", NVMLMaxSize) + `"}`), "no field": []byte(`{"driver_version":"550"}`),
	} {
		if _, err := DecodeNVML(b); err == nil || !strings.Contains(err.Error(), "nvmlreport") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestXIDs(t *testing.T) {
	if k, ok := XIDOf(79); !ok || k.Severity != Failure || !strings.Contains(k.Meaning, "fallen off the bus") || k.Action != XIDPower {
		t.Errorf("%+v %v", k, ok)
	}
	if k, ok := XIDOf(31337); ok || k.Severity != Warning || !strings.Contains(k.Meaning, "31337") {
		t.Errorf("%+v %v", k, ok)
	}
	for n, k := range xids() {
		if k.Number != n || k.Meaning == "" || k.Action == "" || k.Severity == "" {
			t.Errorf("%d: %+v", n, k)
		}
	}
	for _, n := range []int64{13, 31, 32, 38, 43, 44, 45, 48, 54, 56, 57, 61, 62, 63, 64, 65, 68, 69, 74, 79, 92, 94, 95, 109, 110, 119, 120, 121, 122, 123, 137, 140, 143} {
		if _, ok := XIDOf(n); !ok {
			t.Errorf("%d is not in the table", n)
		}
	}
}

func TestThrottleWords(t *testing.T) {
	if got := strings.Join(ThrottleWords(0x1|0x40|1<<63), ", "); got != "idle, hardware-thermal, bit 63" {
		t.Error(got)
	}
	if got := ThrottleWords(0); got == nil || len(got) != 0 {
		t.Error(got)
	}
}

func FuzzDecodeNVML(f *testing.F) {
	n, err := DecodeNVML(eightGPUs(f))
	if err != nil {
		f.Fatal(err)
	}
	d := n.Devices.Or(nil)[0]
	d.NVLinks = Value(d.NVLinks.Or(nil)[:1])
	n.Devices = Value([]NVMLDevice{d})
	b, err := json.Marshal(n)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"devices":{"value":[{"index":1,"nvlinks":{"value":[{}]},"mig":{"value":{"enabled":true}}}]}}`))
	f.Add([]byte(`{"code":"ERROR_LIB_RM_VERSION_MISMATCH","error":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeNVML(b)
		if err != nil {
			return
		}
		if _, err := json.Marshal(n); err != nil {
			t.Error(err)
		}
	})
}

// gpuRack is a report with the eight GPUs of nvmlreport's test.
func gpuRack(t testing.TB) *Report {
	t.Helper()
	n, err := DecodeNVML(eightGPUs(t))
	if err != nil {
		t.Fatal(err)
	}
	r := rack()
	list := []GPUDevice{{ID: "pci:vga", Model: Value("ASPEED")}}
	for _, d := range n.Devices.Or(nil) {
		list = append(list, GPUDevice{ID: "pci:" + d.Address, Address: d.Address, Model: Value("GH100 [H100 SXM5 80GB]"), Vendor: Value("NVIDIA Corporation"), Driver: Value("nvidia"), Accelerat: true, UUID: d.UUID, VBIOS: d.VBIOS, NVML: Value(d)})
	}
	r.GPU.Data = GPU{Devices: Value(list), NVIDIA: Value(GPUDriver{Module: Value("550.163.01")})}
	Fill(r, "test")
	return r
}

func TestDiffOfGPUs(t *testing.T) {
	list := func(r *Report) []GPUDevice { return r.GPU.Data.Devices.Or(nil) }
	nvml := func(r *Report, i int, change func(*NVMLDevice)) {
		d := list(r)[i].NVML.Or(NVMLDevice{})
		change(&d)
		list(r)[i].NVML = Value(d)
	}
	for name, c := range map[string]struct {
		change func(*Report)
		want   string
	}{
		"nothing": {func(*Report) {}, ""},
		"fewer":   {func(r *Report) { r.GPU.Data.Devices = Value(list(r)[:8]) }, "missing gpu pci:0000:56:00.0, missing gpu-board pci:0000:56:00.0"},
		"another chip on another board": {func(r *Report) {
			list(r)[1].UUID = Value("GPU-9")
			nvml(r, 1, func(d *NVMLDevice) { d.UUID, d.Serial = Value("GPU-9"), Value("9") })
		}, "replaced gpu pci:0000:13:00.0, replaced gpu-board pci:0000:13:00.0"},
		"other VBIOS":   {func(r *Report) { list(r)[2].VBIOS = Value("97") }, "firmware-drift gpu pci:0000:14:00.0"},
		"other InfoROM": {func(r *Report) { nvml(r, 2, func(d *NVMLDevice) { d.InfoROM.Image = Value("G520.0200.00.09") }) }, "firmware-drift gpu-board pci:0000:14:00.0"},
		"fewer links":   {func(r *Report) { nvml(r, 3, func(d *NVMLDevice) { d.NVLinks = Value(d.NVLinks.Or(nil)[:17]) }) }, "downgraded gpu pci:0000:15:00.0"},
		"not asked": {func(r *Report) {
			for i := range list(r) {
				list(r)[i].NVML = Unknown[NVMLDevice]("timed out")
			}
		}, "unknown gpu-board all"},
		"swapped": {func(r *Report) { list(r)[4].UUID, list(r)[5].UUID = list(r)[5].UUID, list(r)[4].UUID }, "moved gpu pci:0000:16:00.0, moved gpu pci:0000:53:00.0"},
	} {
		b := gpuRack(t)
		c.change(b)
		var got []string
		for _, d := range Diff(gpuRack(t), b) {
			got = append(got, string(d.Kind)+" "+d.Part+" "+d.Subject)
		}
		slices.Sort(got)
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}

func TestProfileOfGPUs(t *testing.T) {
	p, err := DecodeProfile([]byte(`{"gpus":[{"count":8,"model":"NVIDIA H100*","vbios":"96.00.61.*","min_bytes":80000000000,"min_nvlinks":18}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change         func([]GPUDevice) []GPUDevice
		unmet, unknown string
	}{
		"all":   {func(l []GPUDevice) []GPUDevice { return l }, "", ""},
		"fewer": {func(l []GPUDevice) []GPUDevice { return l[:8] }, "GPUs NVIDIA H100*: 7 fit, 8 should", ""},
		"lost": {func(l []GPUDevice) []GPUDevice {
			l[1].NVML = Value(NVMLDevice{Code: NVMLLost, Error: "lost"})
			return l
		}, "7 fit, 8 should", ""},
		"old VBIOS": {func(l []GPUDevice) []GPUDevice { l[1].VBIOS = Value("95"); return l }, "7 fit", ""},
		"silent": {func(l []GPUDevice) []GPUDevice {
			l[1].Model, l[1].NVML = Value("NVIDIA H100"), Unknown[NVMLDevice]("timed out")
			return l
		}, "", "GPUs NVIDIA H100* at 0000:13:00.0: timed out"},
	} {
		r := gpuRack(t)
		r.GPU.Data.Devices = Value(c.change(r.GPU.Data.Devices.Or(nil)))
		unmet, unknown := p.Check(r)
		if !strings.Contains(strings.Join(unmet, ";"), c.unmet) || !strings.Contains(strings.Join(unknown, ";"), c.unknown) || (c.unmet == "") != (unmet == nil) || (c.unknown == "") != (unknown == nil) {
			t.Errorf("%s: unmet %q, unknown %q", name, unmet, unknown)
		}
	}
	if _, err := DecodeProfile([]byte(`{"gpus":[{"model":"[a"}]}`)); err == nil {
		t.Error("a bad pattern passes")
	}
}
