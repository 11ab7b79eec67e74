package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/tree"
	"github.com/bee-os/bee/pkg/node/compat"
)

// eightGPUs is what nvmlreport says of a healthy server, as its own test made it
// with go-nvml's mock.
func eightGPUs(t testing.TB) *hwreport.NVML {
	t.Helper()
	b, err := os.ReadFile("../../../cmds/standalone/nvmlreport/testdata/eight.json")
	if err != nil {
		t.Fatal(err)
	}
	n, err := hwreport.DecodeNVML(b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sickGPUs has something wrong with most of them; the last one has no driver,
// which is why NVML does not list it.
func sickGPUs(t testing.TB) *hwreport.NVML {
	n := eightGPUs(t)
	d := n.Devices.Or(nil)[:7]
	d[1] = hwreport.NVMLDevice{Index: 1, Address: d[1].Address, Code: hwreport.NVMLLost, Error: "open GPU 1: the GPU is lost: it fell off the bus or is otherwise out of reach (ERROR_GPU_IS_LOST)"}
	hwreport.Fill(&d[1], d[1].Error)
	d[2].Link.Generation = hwreport.Value(int64(1)) // idle
	d[2].ECC.Volatile.Uncorrected, d[2].Remapped.Pending, d[2].Remapped.Failed = hwreport.Value(int64(3)), hwreport.Value(true), hwreport.Value(true)
	d[2].ECC.Places.Or(nil)[0].Volatile.Uncorrected = hwreport.Value(int64(3))
	d[2].ECC.Aggregate.Uncorrected = hwreport.Value(int64(9))
	links := d[3].NVLinks.Or(nil)
	links[4].Up, links[7].Recoveries, links[7].Replays = hwreport.Value(false), hwreport.Value(int64(2)), hwreport.Value(int64(40))
	d[3].VBIOS = hwreport.Value("96.00.5e.00.01")
	d[3].Fabric = hwreport.Value(hwreport.GPUFabric{State: "in-progress", Status: "SUCCESS", Cluster: hwreport.Absent[string](), Clique: hwreport.Absent[int64](), Bad: hwreport.Absent[[]string]()})
	d[4].Power.Limit, d[4].Power.Enforced = hwreport.Value(int64(500000)), hwreport.Value(int64(500000))
	d[4].Clocks.Throttle, d[4].Temperature.GPU = hwreport.Value([]string{"power-cap", "power-brake", "bit 20"}), hwreport.Value(int64(90))
	d[4].InfoROM.Valid, d[4].Link.Replays = hwreport.Value(false), hwreport.Value(int64(5000))
	d[5].Link.Width = hwreport.Value(int64(8)) // sysfs says so too
	d[5].ECC.Enabled, d[5].Persistence = hwreport.Value(false), hwreport.Value(false)
	d[6].MIG = hwreport.Value(hwreport.GPUMIG{Enabled: true, Pending: true, Instances: hwreport.Value([]hwreport.MIGInstance{{UUID: hwreport.Value("MIG-1b9a6c2e-0000-5555-8888-00000000abcd"),
		Model: hwreport.Value("NVIDIA H100 80GB HBM3 MIG 1g.10gb"), GPUInstance: hwreport.Value(int64(9)), ComputeInstance: hwreport.Value(int64(0)), Memory: hwreport.Value(int64(10 << 30))}})})
	d[6].ECC.Aggregate.Uncorrected, d[6].Retired.DoubleBit, d[6].Retired.Pending, d[6].ECC.SRAMWorn = hwreport.Value(int64(1)), hwreport.Value(int64(2)), hwreport.Value(true), hwreport.Value(true)
	n.Devices = hwreport.Value(d)
	return n
}

// nvmlSays answers as nvmlreport would.
func nvmlSays(n *hwreport.NVML) answers {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return answers{device.NVMLReport(hwreport.NVMLMaxSize).File(): b}
}

// gpuFindings are the ids of what a server's GPU section tells, without the
// place that all share.
func gpuFindings(r *hwreport.Report) (list []string) {
	for _, f := range r.Findings {
		if f.Section == "gpu" {
			list = append(list, strings.NewReplacer("pci:0000:10/01.1/00.0/", "a/", "pci:0000:50/01.1/00.0/", "b/", "/00.0", "").Replace(f.ID)+" "+string(f.Severity))
		}
	}
	return list
}

func look(root fs.FS, ask device.Asker) *hwreport.Report {
	return Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(root, ask)})
}

func TestGPUFindings(t *testing.T) {
	r := look(gpuServer(false), nvmlSays(eightGPUs(t)))
	if got := gpuFindings(r); !slices.Equal(got, []string{"gpu.busy@a/00.0 info"}) {
		t.Errorf("eight healthy GPUs: %q", got)
	}
	d := r.GPU.Data.NVIDIA.Or(hwreport.GPUDriver{})
	if d.Module.Or("") != "550.163.01" || d.Flavour.Or("") != "proprietary" || d.Library.Or("") != "12.550.163.01" || d.Listed.Or(0) != 8 || len(d.Unplaced) != 0 {
		t.Errorf("%+v", d)
	}
	for _, g := range r.GPU.Data.Devices.Or(nil) {
		if v, ok := g.NVML.Get(); !ok || v.UUID.Or("") != g.UUID.Or("?") || len(v.NVLinks.Or(nil)) != 18 {
			t.Errorf("%s: %+v", g.Address, v)
		}
	}
	want := []string{
		"gpu.ecc-uncorrected@a/02.0 failure", "gpu.hot@b/00.0 failure", "gpu.lost@a/01.0 failure", "gpu.row-remap-failed@a/02.0 failure", "gpu.sram-worn@b/02.0 failure", "gpu.throttled@b/00.0 failure",
		"gpu.ecc-history@b/02.0 warning", "gpu.ecc-off@b/01.0 warning", "gpu.fabric@a/03.0 warning", "gpu.firmware-differs@a/03.0:VBIOS warning", "gpu.inforom-corrupted@b/00.0 warning", "gpu.no-driver@b/03.0 warning",
		"gpu.nvlink-down@a/03.0 warning", "gpu.nvlink-errors@a/03.0 warning", "gpu.pages-pending@b/02.0 warning", "gpu.pages-retired@b/02.0 warning", "gpu.power-differs@b/00.0 warning", "gpu.power-limit@b/00.0 warning", "gpu.row-remap-pending@a/02.0 warning",
		"gpu.busy@a/00.0 info", "gpu.ecc-pending@b/01.0 info", "gpu.mig@b/02.0 info", "gpu.pcie-replays@b/00.0 info", "gpu.persistence-off@b/01.0 info",
	}
	r = look(gpus(), nvmlSays(sickGPUs(t)))
	if got := gpuFindings(r); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if f := find(r, "gpu.ecc-uncorrected@pci:0000:10/01.1/00.0/02.0/00.0"); f == nil || !strings.Contains(f.Message, "device-memory 3") || f.Evidence[0].Value != "3" {
		t.Errorf("%+v", f)
	}
	if v := r.GPU.Data.Devices.Or(nil)[7].NVML; v.Reason() != "NVIDIA's driver does not serve it" {
		t.Errorf("%v", v)
	}
}

// fails is an Asker whose every answer is an error.
type fails struct{ error }

func (f fails) Ask(context.Context, device.Question) ([]byte, error) { return nil, f.error }

// TestNoAnswerOfNVML: whatever nvmlreport does, the section is there from the bus
// and says why it knows no more.
func TestNoAnswerOfNVML(t *testing.T) {
	file := device.NVMLReport(hwreport.NVMLMaxSize).File()
	whole, _ := json.Marshal(eightGPUs(t))
	for name, c := range map[string]struct {
		ask         device.Asker
		finding, by string
	}{
		"hang":            {fails{device.TimedOut(10e9)}, "gpu.nvml-failed", "timed out after 10s"},
		"segfault":        {fails{errors.New("nvmlreport did not end well: signal: segmentation fault")}, "gpu.nvml-failed", "segmentation fault"},
		"not there":       {gone{}, "", "the image has no nvmlreport"},
		"not asked":       {device.Nothing{}, "", "not captured"},
		"garbage":         {answers{file: []byte("NVRM: oops\n")}, "gpu.nvml-failed", "invalid character"},
		"cut off":         {answers{file: whole[:len(whole)/3]}, "gpu.nvml-failed", "unexpected end"},
		"empty":           {answers{file: {}}, "gpu.nvml-failed", "it is empty"},
		"huge":            {answers{file: bytes.Repeat([]byte(" "), hwreport.NVMLMaxSize+1)}, "gpu.nvml-failed", "more than"},
		"no library":      {nvmlSays(&hwreport.NVML{Code: hwreport.NVMLNoLibrary, Error: "start NVML: libnvidia-ml.so.1 is not there", Devices: hwreport.Unknown[[]hwreport.NVMLDevice]("start NVML: libnvidia-ml.so.1 is not there")}), "gpu.nvml-refused", "is not there"},
		"no driver":       {nvmlSays(&hwreport.NVML{Code: hwreport.NVMLNoDriver, Error: "start NVML: not loaded", Devices: hwreport.Unknown[[]hwreport.NVMLDevice]("start NVML: not loaded")}), "gpu.nvml-refused", "not loaded"},
		"another release": {nvmlSays(&hwreport.NVML{Library: hwreport.Value("12.570.1.2"), Code: hwreport.NVMLMismatch, Error: "start NVML: differ", Devices: hwreport.Unknown[[]hwreport.NVMLDevice]("start NVML: differ")}), "gpu.version-mismatch", "differ"},
		"another one":     {nvmlSays(&hwreport.NVML{Code: hwreport.NVMLMismatch, Error: "start NVML: differ", Devices: hwreport.Unknown[[]hwreport.NVMLDevice]("start NVML: differ")}), "gpu.version-mismatch", "differ"},
	} {
		root := gpuServer(false).(fstest.MapFS)
		root[compat.Lib+"/libnvidia-ml.so.570.1.2"] = &fstest.MapFile{}
		r := look(root, c.ask)
		if r.GPU.Collector.Status != hwreport.OK {
			t.Errorf("%s: %+v", name, r.GPU.Collector)
		}
		got := gpuFindings(r)
		if c.finding == "" && got != nil || c.finding != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.finding+" ")) {
			t.Errorf("%s: %q, want %s", name, got, c.finding)
		}
		if f := find(r, "gpu.version-mismatch"); f != nil && !strings.Contains(f.Message, "release 550.163.01, its library 570.1.2") {
			t.Error(f.Message)
		}
		list := r.GPU.Data.Devices.Or(nil)
		if len(list) != 8 || !strings.Contains(list[3].NVML.Reason(), c.by) || list[3].UUID.Or("") == "" || list[3].Link.State() != hwreport.IsValue {
			t.Errorf("%s: %+v", name, list[3])
		}
		d := r.GPU.Data.NVIDIA.Or(hwreport.GPUDriver{})
		if d.Module.Or("") != "550.163.01" || !strings.Contains(d.Listed.Reason(), c.by) || d.Version.State() == hwreport.IsValue {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestMismatchThatNVMLDoesNotTell(t *testing.T) {
	n := eightGPUs(t)
	n.Library = hwreport.Value("12.570.1.2")
	if r := look(gpuServer(false), nvmlSays(n)); find(r, "gpu.version-mismatch") == nil {
		t.Errorf("%q", gpuFindings(r))
	}
	for line, want := range map[string]string{
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build  (root@x)  Sun": "570.133.20 open",
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024":          "470.256.02 proprietary",
		"something else": "? ?",
	} {
		version, flavour := driverRelease(NewMachine(fstest.MapFS{moduleVersion: {Data: []byte(line)}}, gone{}))
		if got := version.String() + " " + flavour.String(); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// TestWhichGPUIsMissing: one that NVML does not list, and lost ones that told no
// address.
func TestWhichGPUIsMissing(t *testing.T) {
	n := eightGPUs(t)
	list := n.Devices.Or(nil)
	n.Devices = hwreport.Value(list[:7])
	r := look(gpuServer(false), nvmlSays(n))
	if find(r, "gpu.not-in-nvml@pci:0000:50/01.1/00.0/03.0/00.0") == nil || r.GPU.Data.Devices.Or(nil)[7].NVML.Reason() != "NVML does not list it" {
		t.Errorf("%q", gpuFindings(r))
	}
	lost := func(i int) hwreport.NVMLDevice {
		d := hwreport.NVMLDevice{Index: int64(i), Code: hwreport.NVMLLost, Error: "open GPU: lost"}
		hwreport.Fill(&d, d.Error)
		return d
	}
	n.Devices = hwreport.Value(append(slices.Clone(list[:7]), lost(7)))
	r = look(gpuServer(false), nvmlSays(n))
	if find(r, "gpu.lost@pci:0000:50/01.1/00.0/03.0/00.0") == nil || len(r.GPU.Data.NVIDIA.Or(hwreport.GPUDriver{}).Unplaced) != 0 {
		t.Errorf("one lost: %q", gpuFindings(r))
	}
	n.Devices = hwreport.Value(append(slices.Clone(list[:6]), lost(6), lost(7)))
	r = look(gpuServer(false), nvmlSays(n))
	if len(r.GPU.Data.NVIDIA.Or(hwreport.GPUDriver{}).Unplaced) != 2 || find(r, "gpu.not-in-nvml@pci:0000:50/01.1/00.0/03.0/00.0") == nil || find(r, "gpu.not-in-nvml@pci:0000:50/01.1/00.0/02.0/00.0") == nil {
		t.Errorf("two lost: %q", gpuFindings(r))
	}
	// Its configuration space reads all ones.
	root := gpuServer(false).(fstest.MapFS)
	dir := "sys/devices/pci0000:10/0000:10:01.1/0000:11:00.0/0000:12:00.0/0000:13:00.0"
	sysfs{root}.file(dir+"/current_link_width", "63")
	sysfs{root}.file(dir+"/current_link_speed", "Unknown")
	if r := look(root, nvmlSays(eightGPUs(t))); find(r, "gpu.lost@pci:0000:10/01.1/00.0/00.0/00.0") == nil {
		t.Errorf("all ones: %q", gpuFindings(r))
	}
}

// TestNVLinksDown has boards on which links that are down are no fault, and such
// on which they are.
func TestNVLinksDown(t *testing.T) {
	for name, c := range map[string]struct {
		up     []int // links that are up, of each GPU
		remote string
		want   []string
	}{
		"none anywhere":       {[]int{0, 0, 0}, "gpu", nil},
		"all":                 {[]int{4, 4, 4}, "switch", nil},
		"equally few":         {[]int{2, 2}, "gpu", nil},
		"one lost":            {[]int{4, 3, 4}, "switch", []string{"1 warning"}},
		"no bridge on two":    {[]int{4, 4, 0, 0}, "gpu", []string{"2 info", "3 info"}},
		"none of one, switch": {[]int{4, 4, 0}, "switch", []string{"2 warning"}},
		"alone":               {[]int{2}, "gpu", nil},
	} {
		var gpus []*hwreport.GPUDevice
		for i, up := range c.up {
			v := hwreport.NVMLDevice{Model: hwreport.Value("H100")}
			var links []hwreport.NVLink
			for n := range 4 {
				l := hwreport.NVLink{Link: int64(n), Up: hwreport.Value(n < up)}
				if n < up {
					l.RemoteKind = hwreport.Value(c.remote)
				}
				links = append(links, l)
			}
			v.NVLinks = hwreport.Value(links)
			gpus = append(gpus, &hwreport.GPUDevice{ID: string(rune('0' + i)), NVML: hwreport.Value(v)})
		}
		var got []string
		for _, f := range unequal(gpus) {
			got = append(got, f.Subject+" "+string(f.Severity))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestRedactNVML captures the sick server and looks for what tells it from
// others, in the archive and in the report.
func TestRedactNVML(t *testing.T) {
	key := []byte("0123456789abcdef")
	n := sickGPUs(t)
	d := n.Devices.Or(nil)
	d[0].Processes = hwreport.Value([]hwreport.GPUProcess{{PID: 4190242, Name: hwreport.Value("/usr/bin/trainer"), Kind: "compute"}, {PID: 7, Name: hwreport.Value("sh"), Kind: "compute"}})
	d[0].Fabric = hwreport.Value(hwreport.GPUFabric{State: "completed", Status: "SUCCESS", Cluster: hwreport.Value("abcdef01-2345-6789-abcd-ef0123456789"), Bad: hwreport.Absent[[]string]()})
	r, captured := Capture(tree.NewRecorder(gpus().(fstest.MapFS), nvmlSays(n)), Collectors)
	if err := redactTree(captured, r, key, Collectors); err != nil {
		t.Fatal(err)
	}
	secrets := []string{"00000000-0000-0000-0000-000000000003", "1650123004563", "trainer", "4190242", `"sh"`, "1b9a6c2e", "abcdef01-2345"}
	captured.Each(func(name string, b []byte) {
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s still has %s", name, s)
			}
		}
	})
	again := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(captured, captured), Past: &captured.Meta})
	list := again.GPU.Data.Devices.Or(nil)
	if v, ok := list[0].NVML.Get(); !ok || v.UUID.Or("") != list[0].UUID.Or("?") || !strings.HasPrefix(v.UUID.Or(""), "GPU-") || len(v.Processes.Or(nil)) != 2 {
		t.Errorf("played back: %+v", list[0])
	}
	if !slices.Equal(gpuFindings(again), gpuFindings(r)) {
		t.Errorf("%q\n%q", gpuFindings(again), gpuFindings(r))
	}
	hidden, err := hwreport.Redact(r, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := hidden.Encode()
	if err != nil {
		t.Fatal(err)
	}
	fits(t, text)
	for _, s := range secrets {
		if bytes.Contains(text, []byte(s)) {
			t.Errorf("the report still has %s", s)
		}
	}
	// What is no answer may hold anything.
	if got := hwreport.RedactNVML([]byte(`{"serial":"1650123004563"`), key); bytes.Contains(got, []byte("1650")) {
		t.Errorf("%s", got)
	}
}

func TestShowsGPUs(t *testing.T) {
	r := look(gpus(), nvmlSays(sickGPUs(t)))
	text := strings.Join(hwreport.Summary(r, 0), "\n")
	for _, want := range []string{"gpu          6 × NVIDIA H100 80GB HBM3, 79.6 GiB, nvidia 550.163.01, 28 to 90 °C", "2330"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var page bytes.Buffer
	if err := writeHTML(&page, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h2>GPUs</h2>", "17 of 18", "90", "XID 79, 2 times", "the GPU is lost", "NVIDIA&#39;s driver does not serve it", "1650123004562"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func FuzzXID(f *testing.F) {
	for _, s := range []string{
		"4,1,1,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.", "NVRM: Xid (PCI:0000:3b:00.0): 13, pid=12, name=python3, Graphics SM Warp Exception",
		"NVRM: Xid (PCI:0000:3b:00): 99999999999999999999, x", "NVRM: Xid (PCI::::): 154, x", "NVRM: Xid (PCI:10000:e1:00): 31337",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, log string) {
		records, _ := faults(log)
		gpus := []hwreport.GPUDevice{{ID: "pci:x", Address: "0000:3b:00.0"}}
		for i := range records {
			if records[i].Kind != "xid" {
				continue
			}
			records[i].Part = hwreport.Value("pci:x")
			for _, found := range triage(gpus, &records[i]) {
				if found.Message == "" || found.Severity == "" {
					t.Errorf("%+v", found)
				}
			}
		}
	})
}

// FuzzNVML joins an answer of anything to a bus of two GPUs.
func FuzzNVML(f *testing.F) {
	n := sickGPUs(f)
	for _, at := range []int{1, 3, 6} { // whole ones are so large that the fuzzer gets nowhere
		d := n.Devices.Or(nil)[at]
		if links := d.NVLinks.Or(nil); links != nil {
			d.NVLinks = hwreport.Value(links[4:5])
		}
		b, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte(`{"nvlinks":{"value":[{}]},"mig":{"value":{"enabled":true}}}`))
	}
	f.Add([]byte(`{"address":"0000:13:00.0"}`), []byte(`{"address":"0000:13:00.0"}`))
	f.Add([]byte(`{"code":"ERROR_GPU_IS_LOST","error":"x"}`), []byte(`{"model":{"value":"x"},"nvlinks":{"value":[{"link":1,"up":{"value":true}}]},"fabric":{"value":{"state":"completed"}}}`))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		all := slices.Concat([]byte(`{"driver_version":{"value":"550.1"},"devices":{"value":[`), one, []byte(","), two, []byte("]}}"))
		m := NewMachine(fstest.MapFS{}, answers{device.NVMLReport(hwreport.NVMLMaxSize).File(): all})
		gpus := []hwreport.GPUDevice{{ID: "pci:a", Address: "0000:13:00.0", Driver: hwreport.Value(nvidiaDriver)}, {ID: "pci:b", Address: "0000:14:00.0", Driver: hwreport.Value(nvidiaDriver)}}
		r := &hwreport.Report{}
		r.Findings = nvidia(context.Background(), m, &r.GPU.Data, []*hwreport.GPUDevice{&gpus[0], &gpus[1]})
		r.GPU.Data.Devices = hwreport.Value(gpus)
		hwreport.Fill(r, "test")
		if _, err := r.Encode(); err != nil {
			t.Error(err)
		}
		hwreport.Summary(r, 80)
		hwreport.Diff(r, &hwreport.Report{})
		if err := writeHTML(io.Discard, r); err != nil {
			t.Error(err)
		}
	})
}

// TestXIDs triages numbers that are known, unknown and impossible, of a GPU that
// is on the bus and of one that is not.
func TestXIDs(t *testing.T) {
	root := gpuServer(false).(fstest.MapFS)
	sysfs{root}.file("dev/kmsg", strings.Join([]string{
		"4,1,1,-;NVRM: Xid (PCI:0000:14:00): 13, pid=77, name=python3, Graphics Exception", "4,2,2,-;NVRM: Xid (PCI:0000:14:00): 45, pid=77, Ch 00000010",
		"4,3,3,-;NVRM: Xid (PCI:0000:15:00): 9999, something new", "4,4,4,-;NVRM: Xid (PCI:0000:15:00): 99999999999999999999, nonsense", "4,5,5,-;NVRM: Xid (PCI:0000:99:00): 79, GPU has fallen off the bus.",
	}, "\n"))
	r := look(root, nvmlSays(eightGPUs(t)))
	for id, want := range map[string]string{
		"ras.xid@pci:0000:10/01.1/00.0/01.0/00.0:13": "warning the application's fault", "ras.xid@pci:0000:10/01.1/00.0/01.0/00.0:45": "info nothing", "ras.xid@pci:0000:10/01.1/00.0/02.0/00.0:9999": "warning XID 9999, which",
		"ras.xid@pci:0000:10/01.1/00.0/02.0/00.0:-1": "warning look the number up", "ras.xid@xid:0000:99:00:79": "failure check power", "gpu.lost@xid:0000:99:00": "failure the GPU at 0000:99:00.0 fell off the bus",
	} {
		severity, text, _ := strings.Cut(want, " ")
		if f := find(r, id); f == nil || string(f.Severity) != severity || !strings.Contains(f.Message, text) {
			t.Errorf("%s: %+v, want %s", id, f, want)
		}
	}
	list := r.GPU.Data.Devices.Or(nil)
	if x := list[1].XIDs.Or(nil); len(x) != 2 || x[0].Severity != hwreport.Warning || x[1].Action != hwreport.XIDNothing {
		t.Errorf("%+v", x)
	}
}
