package burn

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
	"github.com/bee-os/bee/pkg/node/kmsg"
)

// childScript names, in the environment of a child, what goes wrong: words
// "ADDRESS=FAULT" and "nvml=FAULT".
const childScript = "BURN_TEST_CHILD"

func TestMain(m *testing.M) {
	if script, ok := os.LookupEnv(childScript); ok {
		os.Exit(actChild(script, os.Args[1], os.Args[2:]))
	}
	os.Exit(m.Run())
}

// actChild is gpuworker or nvmlreport, in the test binary.
func actChild(script, program string, args []string) int {
	faults := make(map[string]string)
	for _, w := range strings.Fields(script) {
		name, fault, _ := strings.Cut(w, "=")
		faults[name] = fault
	}
	if program == "nvmlreport" {
		return actNVML(faults["nvml"])
	}
	address := args[slices.Index(args, "--gpu")+1]
	enc := json.NewEncoder(os.Stdout)
	tell := func(l gpuline.Line) { enc.Encode(l) }
	fault := faults[address]
	if fault == "no-driver" {
		tell(gpuline.Line{Failed: &gpuline.Failed{Call: "cuInit", Code: 100, Error: "cuInit: error 100 (CUDA_ERROR_NO_DEVICE): no CUDA-capable device is detected"}})
		return 3
	}
	tell(gpuline.Line{Device: &gpuline.Device{Address: address, Name: "NVIDIA Test GPU", Capability: "9.0", MIG: fault == "mig"}})
	fmt.Println("a library talks")
	tell(gpuline.Line{Progress: &gpuline.Progress{Test: "memory", Rate: 3e12, Unit: gpuline.Bytes}})
	time.Sleep(400 * time.Millisecond) // the sampler samples
	rate := 600e12
	result := gpuline.Result{Test: "bf16", Kernel: "product_bf16_64", Rate: rate, Unit: gpuline.FLOPS, Iterations: 100}
	memory := gpuline.Result{Test: "memory", Rate: 3e12, Unit: gpuline.Bytes, Iterations: 7, Against: 0.9, Tested: 80 << 30}
	if test, ok := strings.CutPrefix(fault, "wrong-then-hang-"); ok {
		tell(gpuline.Line{Progress: &gpuline.Progress{Test: test, Errors: 17}})
		time.Sleep(time.Hour)
	}
	switch fault {
	case "hang":
		time.Sleep(time.Hour)
	case "stubborn":
		ignoreTerm()
		time.Sleep(time.Hour)
	case "segv":
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Minute)
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Minute)
	case "silent":
		return 0
	case "status":
		fmt.Fprintln(os.Stderr, "first\nsymbol lookup error: libcuda.so.1")
		return 127
	case "launch":
		tell(gpuline.Line{Failed: &gpuline.Failed{Test: "bf16", Call: "cuEventElapsedTime", Code: 719, Error: "cuEventElapsedTime: error 719", Load: true}})
		return 3
	case "wrong-then-launch":
		tell(gpuline.Line{Progress: &gpuline.Progress{Test: "bf16", Errors: 17}})
		tell(gpuline.Line{Result: &gpuline.Result{Test: "bf16", Unit: gpuline.FLOPS, Errors: 17}})
		tell(gpuline.Line{Failed: &gpuline.Failed{Test: "bf16", Code: 1, Error: "no such thing"}})
		return 3
	case "wrong":
		result.Errors, result.First = 1, []gpuline.Wrong{{Offset: 0x190, Got: 1, Want: 3}}
	case "memory":
		memory.Errors, memory.First = 1, []gpuline.Wrong{{Offset: 0x1000, Got: 1, Want: 0}}
	case "slow":
		result.Rate = 0.9 * rate
	case "broken":
		result.Rate = 0.5 * rate
	case "slow-memory":
		memory.Against = 0.1
	}
	tell(gpuline.Line{Result: &memory})
	tell(gpuline.Line{Result: &result})
	tell(gpuline.Line{Result: &gpuline.Result{Test: "fp99", Skipped: "no such thing"}})
	tell(gpuline.Line{Done: true})
	return 0
}

// actNVML writes samples until its standard input ends.
func actNVML(fault string) int {
	switch fault {
	case "dead":
		fmt.Fprintln(os.Stderr, "load libnvidia-ml.so.1: no such file")
		return 3
	case "segv":
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		time.Sleep(time.Minute)
	}
	end := make(chan bool)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	last := false
	for n := int64(0); ; n++ {
		samples := hwreport.GPUSamples{Devices: []hwreport.GPUSample{}}
		for i, a := range addresses {
			s := hwreport.GPUSample{Address: a, Temperature: hwreport.Value(60 + n), Power: hwreport.Value[int64](700000), SMClock: hwreport.Value[int64](1755 - n), Utilisation: hwreport.Value[int64](100),
				Throttle: hwreport.Value([]string{"power-cap"}), Corrected: hwreport.Value[int64](5), Uncorrected: hwreport.Value[int64](0), Link: hwreport.Value(hwreport.GPULinkAt{Generation: 5, Width: 16})}
			if i == 1 {
				switch fault {
				case "throttle":
					s.Throttle = hwreport.Value([]string{"hardware-thermal", "idle"})
				case "ecc":
					s.Uncorrected = hwreport.Value(n)
				case "ecc-corrected":
					s.Corrected = hwreport.Value(5 + n)
				case "link":
					s.Link = hwreport.Value(hwreport.GPULinkAt{Generation: 5, Width: 8})
				case "unsupported":
					s.Corrected, s.Uncorrected = hwreport.Unknown[int64]("not supported"), hwreport.Unknown[int64]("not supported")
				}
			}
			switch {
			case i == 1 && fault == "absent":
				continue
			case i == 1 && fault == "lost":
				s = hwreport.GPUSample{Address: a}
				hwreport.Fill(&s, "GPU is lost")
			case i == 1 && fault == "lost-later" && n > 0:
				s.Address = ""
			}
			samples.Devices = append(samples.Devices, s)
		}
		switch {
		case fault == "hang":
			time.Sleep(time.Hour)
		case fault == "late" && n == 0:
			time.Sleep(300 * time.Millisecond)
		}
		json.NewEncoder(os.Stdout).Encode(samples)
		if last {
			return 0
		}
		if fault == "hang-later" {
			time.Sleep(time.Hour)
		}
		select {
		case <-end:
			last = true
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var addresses = []string{"0000:3b:00.0", "0000:5e:00.0", "0000:86:00.0"}

// server is a machine with three GPUs, and other things on the bus.
func server() fstest.MapFS {
	root := fstest.MapFS{
		pciDir + "/0000:02:00.0/vendor": {Data: []byte("0x1a03\n")},
		pciDir + "/0000:02:00.0/class":  {Data: []byte("0x030000\n")},
		pciDir + "/0000:3b:00.1/vendor": {Data: []byte("0x10de\n")},
		pciDir + "/0000:3b:00.1/class":  {Data: []byte("0x040300\n")},
	}
	for i, a := range addresses {
		for name, text := range map[string]string{"vendor": "0x10de", "class": "0x030200", "max_link_width": "16", "max_link_speed": "32.0 GT/s PCIe"} {
			root[pciDir+"/"+a+"/"+name] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
		root[driverDir+"/"+a+"/information"] = &fstest.MapFile{Data: fmt.Appendf(nil, "Model: \t\t NVIDIA Test GPU\nGPU UUID: \t GPU-000%d\n", i)}
	}
	return root
}

// spoken is a kernel's log that says the same once.
type spoken []string

func (s *spoken) read() (list []kmsg.Record, lost uint64) {
	for _, t := range *s {
		list = append(list, kmsg.Record{Text: t})
	}
	*s = nil
	return list, 0
}
func (*spoken) close() {}

// bench is how a test runs the command.
type bench struct {
	root   fs.FS
	script string // of the children
	absent string // a program that the image has not
	log    []string
	grace  time.Duration
	first  time.Duration // that workers wait for NVML
	ctx    context.Context
	worker string   // instead of the test binary
	env    []string // of it
}

func (b bench) run(t *testing.T, args ...string) (int, hwreport.Burn, string) {
	t.Helper()
	o, err := parse(append(args, "--time", "1s"))
	if err != nil {
		t.Fatal(err)
	}
	if b.root == nil {
		b.root = server()
	}
	if b.ctx == nil {
		b.ctx = t.Context()
	}
	log := spoken(b.log)
	h := host{
		root: b.root,
		command: func(program string, args ...string) ([]string, error) {
			if program == b.absent {
				return nil, fmt.Errorf("find %s in the compat root: %w", program, fs.ErrNotExist)
			}
			if program == gpuline.Program && b.worker != "" {
				return append([]string{b.worker}, args...), nil
			}
			return append([]string{os.Args[0], program}, args...), nil
		},
		log:    func() (logReader, error) { return &log, nil },
		env:    append([]string{childScript + "=" + b.script}, b.env...),
		grace:  b.grace,
		report: filepath.Join(t.TempDir(), "report.json"),

		firstSample: cmp.Or(b.first, 10*time.Second),
	}
	if h.grace == 0 {
		h.grace = 20 * time.Second
	}
	var out, said bytes.Buffer
	status := run(b.ctx, h, o, &out, &said)
	var r hwreport.Burn
	text, err := os.ReadFile(h.report)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatalf("the report: %v", err)
	}
	if status != r.Verdict.ExitStatus() {
		t.Errorf("status %d, verdict %s", status, r.Verdict)
	}
	if info, err := os.Stat(h.report); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	return status, r, out.String() + said.String()
}

// TestGPUs is a row of machines, good and bad.
func TestGPUs(t *testing.T) {
	for _, c := range []struct {
		name   string
		bench  bench
		args   []string
		status int
		says   []string // in the output
		codes  []string // of findings above info
	}{
		{name: "all pass", status: 0, says: []string{"verdict: fine", "600.0 TFLOP/s", "90 % of the yardstick", "power-cap in"}},
		{name: "wrong result", bench: bench{script: "0000:5e:00.0=wrong"}, status: 2, codes: []string{"burn.wrong-results@gpu:GPU-0001"}, says: []string{"1 errors in 100 rounds of bf16"}},
		{name: "memory", bench: bench{script: "0000:5e:00.0=memory"}, status: 2, codes: []string{"burn.memory-errors@gpu:GPU-0001"}},
		{name: "hang", bench: bench{script: "0000:5e:00.0=hang", grace: time.Millisecond}, status: 3, says: []string{"COULD NOT TEST: the worker failed: after 1", "did not end in its time and was killed, during memory"}},
		{name: "wrong results, then a hang", bench: bench{script: "0000:5e:00.0=wrong-then-hang-bf16", grace: time.Millisecond}, status: 2, codes: []string{"burn.wrong-results@gpu:GPU-0001"}, says: []string{"17 errors were counted during bf16, which did not end", "was killed, during bf16"}},
		{name: "memory errors, then a hang", bench: bench{script: "0000:5e:00.0=wrong-then-hang-memory", grace: time.Millisecond}, status: 2, codes: []string{"burn.memory-errors@gpu:GPU-0001"}},
		{name: "wrong results, then the worker gives up", bench: bench{script: "0000:5e:00.0=wrong-then-launch"}, status: 2, codes: []string{"burn.wrong-results@gpu:GPU-0001"}, says: []string{"17 errors in 0 rounds of bf16"}},
		{name: "ignores TERM", bench: bench{script: "0000:5e:00.0=stubborn", grace: time.Millisecond}, status: 3, says: []string{"was killed, during memory"}},
		{name: "crash", bench: bench{script: "0000:3b:00.0=segv"}, status: 3, says: []string{"it crashed: SIGSEGV: segmentation violation, during memory"}},
		{name: "killed", bench: bench{script: "0000:3b:00.0=killed"}, status: 3, says: []string{"it was killed by signal 9 (killed), during memory"}},
		{name: "status", bench: bench{script: "0000:3b:00.0=status"}, status: 3, says: []string{"it ended with status 127: symbol lookup error: libcuda.so.1"}},
		{name: "silent end", bench: bench{script: "0000:3b:00.0=silent"}, status: 3, says: []string{"without saying that it was done"}},
		{name: "driver has no device", bench: bench{script: "0000:3b:00.0=no-driver"}, status: 3, says: []string{"CUDA_ERROR_NO_DEVICE", "MIG mode without an instance"}},
		{name: "breaks under load", bench: bench{script: "0000:3b:00.0=launch"}, status: 2, codes: []string{"burn.broke-under-load@gpu:GPU-0000"}},
		{name: "a failure outweighs a hang", bench: bench{script: "0000:3b:00.0=launch 0000:5e:00.0=segv"}, status: 2, codes: []string{"burn.broke-under-load@gpu:GPU-0000"}},
		{name: "slow", bench: bench{script: "0000:86:00.0=slow"}, status: 1, codes: []string{"burn.slow@gpu:GPU-0002"}, says: []string{"10 % below the median of its 3 equals"}},
		{name: "very slow", bench: bench{script: "0000:86:00.0=broken"}, status: 2, codes: []string{"burn.slow@gpu:GPU-0002"}},
		{name: "slow memory", bench: bench{script: "0000:86:00.0=slow-memory"}, status: 1, codes: []string{"burn.slow-memory@gpu:GPU-0002"}},
		{name: "below the minimum", args: []string{"--min-tflops", "bf16=601"}, status: 2, codes: []string{"burn.below-minimum@gpu:GPU-0000", "burn.below-minimum@gpu:GPU-0001", "burn.below-minimum@gpu:GPU-0002"}},
		{name: "above the minimum", args: []string{"--min-tflops", "599"}, status: 0},
		{name: "a minimum of what was not run", args: []string{"--min-tflops", "bf16=599,fp32=1,fp64=1"}, status: 3, says: []string{"COULD NOT TEST: no fp32 rate, no fp64 rate to hold against --min-tflops"}},
		{name: "MIG", bench: bench{script: "0000:3b:00.0=mig"}, status: 1, codes: []string{"burn.instance-only@gpu:GPU-0000"}},
		{name: "no GPU", bench: bench{root: fstest.MapFS{pciDir + "/0000:02:00.0/vendor": {Data: []byte("0x1a03\n")}}}, status: 3, says: []string{"COULD NOT TEST gpu: no NVIDIA GPU is on the PCI bus"}},
		{name: "no worker", bench: bench{absent: gpuline.Program}, status: 3, says: []string{"the image has no worker for GPUs: find gpuworker in the compat root"}},
		{name: "no NVML", bench: bench{absent: "nvmlreport"}, status: 1, codes: []string{"burn.unwatched"}, says: []string{"throttling, temperatures and ECC counters are unknown"}},
		{name: "NVML ends", bench: bench{script: "nvml=dead"}, status: 1, codes: []string{"burn.unwatched"}, says: []string{"ended with status 3: load libnvidia-ml.so.1"}},
		{name: "NVML crashes", bench: bench{script: "nvml=segv"}, status: 1, codes: []string{"burn.unwatched"}, says: []string{"nvmlreport: it crashed: SIGSEGV"}},
		{name: "NVML hangs", bench: bench{script: "nvml=hang", first: time.Millisecond}, status: 1, codes: []string{"burn.unwatched"}, says: []string{"nvmlreport gave no sample"}},
		{name: "NVML hangs after one sample", bench: bench{script: "nvml=hang-later"}, status: 1, codes: []string{"burn.unwatched@gpu:GPU-0000", "burn.unwatched@gpu:GPU-0001", "burn.unwatched@gpu:GPU-0002"}, says: []string{"NVML gave only one sample of it"}},
		{name: "NVML is late", args: []string{"--gpus", "0"}, bench: bench{script: "nvml=late", first: time.Millisecond}, status: 1, codes: []string{"burn.unwatched@gpu:GPU-0000"}, says: []string{"after the load had begun"}},
		{name: "NVML lacks a GPU", bench: bench{script: "nvml=absent"}, status: 1, codes: []string{"burn.unwatched@gpu:GPU-0001"}, says: []string{"NVML gave no sample of it"}},
		{name: "NVML has lost a GPU", bench: bench{script: "nvml=lost"}, status: 1, codes: []string{"burn.unwatched@gpu:GPU-0001"}, says: []string{"NVML gave no sample of it"}},
		{name: "NVML loses a GPU", bench: bench{script: "nvml=lost-later"}, status: 1, codes: []string{"burn.unwatched@gpu:GPU-0001"}, says: []string{"NVML gave only one sample of it"}},
		{name: "throttle", bench: bench{script: "nvml=throttle"}, status: 2, codes: []string{"burn.throttled@gpu:GPU-0001"}, says: []string{"hardware-thermal in"}},
		{name: "ECC", bench: bench{script: "nvml=ecc"}, status: 2, codes: []string{"burn.ecc-uncorrected@gpu:GPU-0001"}},
		{name: "corrected ECC", bench: bench{script: "nvml=ecc-corrected"}, status: 1, codes: []string{"burn.ecc-corrected@gpu:GPU-0001"}},
		{name: "no ECC", bench: bench{script: "nvml=unsupported"}, status: 0},
		{name: "link", bench: bench{script: "nvml=link"}, status: 2, codes: []string{"burn.link-width@gpu:GPU-0001"}},
		{name: "XID", bench: bench{log: []string{"NVRM: Xid (PCI:0000:5e:00): 79, pid=1, GPU has fallen off the bus."}}, status: 2, codes: []string{"burn.xid@gpu:GPU-0001"}, says: []string{"XID 79 during the load"}},
		{name: "XID of another GPU", args: []string{"--gpus", "0"}, bench: bench{log: []string{"NVRM: Xid (PCI:0000:5e:00): 63, pid='<unknown>'"}}, status: 2, codes: []string{"burn.xid"}},
		{name: "machine check", bench: bench{log: []string{"mce: [Hardware Error]: Machine check events logged"}}, status: 1, codes: []string{"burn.machine-check"}},
		{name: "no such GPU", args: []string{"--gpus", "0,GPU-1234"}, status: 3, says: []string{`there is no GPU "GPU-1234"; there is 0: 0000:3b:00.0 GPU-0000, 1: 0000:5e:00.0 GPU-0001, 2: 0000:86:00.0 GPU-0002`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, r, out := c.bench.run(t, append([]string{"gpu"}, c.args...)...)
			if status != c.status {
				t.Errorf("status %d, want %d\n%s", status, c.status, out)
			}
			for _, s := range c.says {
				if !strings.Contains(out, s) {
					t.Errorf("no %q in\n%s", s, out)
				}
			}
			codes := []string{}
			for _, f := range r.Findings {
				if !slices.ContainsFunc(hwreport.BurnCodes(), func(k hwreport.Code) bool { return k.Name == f.Code }) {
					t.Errorf("%s is no code", f.Code)
				}
				if f.Severity != hwreport.Info {
					codes = append(codes, f.ID)
				}
			}
			slices.Sort(codes)
			if !slices.Equal(codes, c.codes) {
				t.Errorf("findings %q, want %q", codes, c.codes)
			}
		})
	}
}

func TestGPUReport(t *testing.T) {
	_, r, _ := bench{}.run(t, "gpu", "--gpus", "5e:00.0,GPU-0000")
	if len(r.Parts) != 2 || r.Schema != hwreport.BurnSchema || r.Asked != 1 || r.Interrupted || r.Took <= 0 {
		t.Fatalf("%+v", r)
	}
	p := r.Parts[0]
	if p.ID != "gpu:GPU-0001" || p.Name != "0000:5e:00.0 Test GPU" || p.Verdict != hwreport.Fine || len(p.Tests) != 3 || p.Load.Samples < 3 {
		t.Errorf("%+v", p)
	}
	if hot, ok := p.Load.TempMax.Get(); !ok || hot < 62 {
		t.Errorf("%+v", p.Load)
	}
	if d, ok := p.Load.Corrected.Get(); !ok || d != 0 {
		t.Errorf("%+v", p.Load)
	}
	if skipped := p.Tests[2]; skipped.Skipped == "" || skipped.Rate.State() == hwreport.IsValue {
		t.Errorf("%+v", skipped)
	}
}

// TestEquals: sound GPUs copy at different rates, but do not compute so.
func TestEquals(t *testing.T) {
	for test, want := range map[string]int{"pcie-to-gpu": 0, "pcie-from-gpu": 0, "copy": 1, "bf16": 1} {
		j := &job{}
		var gpus []*gpuPart
		for _, r := range []float64{55e9, 54e9, 35e9} {
			g := &gpuPart{part: j.add(hwreport.BurnPart{Kind: "gpu"}), device: &gpuline.Device{Name: "x"}}
			g.Tests = append(g.Tests, hwreport.BurnTest{Name: test, Rate: hwreport.Value(r)})
			gpus = append(gpus, g)
		}
		if j.judgeEquals(gpus); len(j.findings) != want {
			t.Errorf("%s: %+v", test, j.findings)
		}
	}
}

// TestUnwatched: what NVML last said long ago is no answer, and one sample no
// difference.
func TestUnwatched(t *testing.T) {
	now := time.Now()
	sample := func() *hwreport.GPUSample {
		return &hwreport.GPUSample{Corrected: hwreport.Value[int64](5), Uncorrected: hwreport.Value[int64](0)}
	}
	one := sample()
	for name, c := range map[string]struct {
		watch watch
		says  string
		known bool // the difference of the counters
	}{
		"watched": {watch{first: one, last: sample(), firstAt: now.Add(-time.Minute), lastAt: now.Add(-2 * time.Second)}, "", true},
		"stale":   {watch{first: one, last: sample(), firstAt: now.Add(-time.Minute), lastAt: now.Add(-6 * time.Second)}, "its last sample 6s before the load ended", true},
		"late":    {watch{first: one, last: sample(), firstAt: now.Add(-time.Second), lastAt: now}, "after the load had begun", true},
		"one":     {watch{first: one, last: one, firstAt: now.Add(-time.Minute), lastAt: now}, "only one sample", false},
		"none":    {watch{}, "no sample", false},
	} {
		j := &job{}
		g := &gpuPart{part: j.add(hwreport.BurnPart{ID: "gpu:x"}), watch: c.watch}
		g.began = now.Add(-30 * time.Second)
		j.judgeWatch(g, now)
		if got := len(j.findings) > 0; got != (c.says != "") || got && !strings.Contains(j.findings[0].Message, c.says) {
			t.Errorf("%s: %+v", name, j.findings)
		}
		j.judgeGPU(g)
		if d, ok := g.Load.Corrected.Get(); ok != c.known || d != 0 {
			t.Errorf("%s: %+v", name, g.Load.Corrected)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	status, r, out := bench{ctx: ctx, script: "0000:3b:00.0=hang 0000:5e:00.0=stubborn"}.run(t, "gpu")
	if status != 3 || !r.Interrupted || !strings.Contains(out, "ended early") {
		t.Errorf("%d %s", status, out)
	}
	if took := time.Since(start); took > politeness+4*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

func TestChildThatCannotStart(t *testing.T) {
	err := host{}.child(t.Context(), time.Second, []string{"/nonexistent"}, nil, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := &lines{line: func(b []byte) { got = append(got, string(b)) }}
	io.WriteString(l, "a\n\nb")
	io.WriteString(l, "c\nd")
	l.Write(bytes.Repeat([]byte("x"), 2*longLine))
	l.flush()
	if len(got) != 3 || got[0] != "a" || got[1] != "bc" || len(got[2]) != longLine {
		t.Errorf("%d lines", len(got))
	}
}

func TestLink(t *testing.T) {
	dir := t.TempDir()
	root := os.DirFS(dir)
	for name, text := range map[string]string{"0000:00:01.0/max_link_width": "8", "0000:00:01.0/max_link_speed": "16.0 GT/s PCIe", "0000:00:01.0/0000:3b:00.0/max_link_width": "16", "0000:00:01.0/0000:3b:00.0/max_link_speed": "32.0 GT/s PCIe"} {
		name = filepath.Join(dir, "sys/devices/pci0000:00", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	bus := filepath.Join(dir, pciDir)
	if err := errors.Join(os.MkdirAll(bus, 0o755), os.Symlink("../../../devices/pci0000:00/0000:00:01.0", bus+"/0000:00:01.0"), os.Symlink("../../../devices/pci0000:00/0000:00:01.0/0000:3b:00.0", bus+"/0000:3b:00.0")); err != nil {
		t.Fatal(err)
	}
	if l := linkOf(root, "0000:3b:00.0"); l.Width != 8 || l.Generation != 4 {
		t.Errorf("%+v", l)
	}
}
