package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// TestMain lets the test binary be the worker: so the tests see a process end
// as the parent will.
func TestMain(m *testing.M) {
	if os.Getenv("GPUWORKER") != "" {
		main()
	}
	os.Exit(m.Run())
}

// fakeCUDA compiles a libcuda.so.1 and returns the folder it is in.
func fakeCUDA(t *testing.T, flags ...string) string {
	t.Helper()
	if _, err := open(""); strings.Contains(err.Error(), "without cgo") {
		skip(t, "the worker's tests need cgo")
	}
	cc, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		skip(t, "a libcuda.so.1 to test with needs a C compiler: %v", err)
	}
	dir := t.TempDir()
	args := append([]string{"-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Ikernels/testdata", "-o", filepath.Join(dir, "libcuda.so.1"), "testdata/fakecuda.c", "-lm"}, flags...)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("compile a libcuda.so.1: %v\n%s", err, out)
	}
	return dir
}

// told is what a worker said and how it ended.
type told struct {
	device  *gpuline.Device
	results map[string]gpuline.Result
	failed  *gpuline.Failed
	done    bool
	err     error
}

func worker(t *testing.T, libraries, fault string, args ...string) told {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"--gpu", "0000:3b:00.0", "--time", "100ms"}, args...)...)
	cmd.Env = append(os.Environ(), "GPUWORKER=1", "LD_LIBRARY_PATH="+libraries, "FAKECUDA="+fault)
	out, err := cmd.Output()
	w := told{results: make(map[string]gpuline.Result), err: err}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		var l gpuline.Line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", s.Bytes(), err)
		}
		switch {
		case l.Device != nil:
			w.device = l.Device
		case l.Result != nil:
			w.results[l.Result.Test] = *l.Result
		case l.Failed != nil:
			w.failed = l.Failed
		}
		w.done = w.done || l.Done
	}
	return w
}

func TestSoundGPU(t *testing.T) {
	w := worker(t, fakeCUDA(t), "")
	if w.err != nil || !w.done || w.failed != nil || w.device == nil || w.device.UUID != "GPU-abababab-abab-abab-abab-abababababab" || w.device.MIG {
		t.Fatalf("%+v %+v %+v", w, w.device, w.failed)
	}
	for _, name := range []string{"pcie-to-gpu", "pcie-from-gpu", "memory", "copy", "fp32", "fp64", "tf32", "fp16", "bf16"} {
		if r := w.results[name]; r.Errors != 0 || r.Rate <= 0 || r.Skipped != "" || r.Iterations < 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := w.results["memory"]; r.Against <= 0 || r.Tested < 5<<20 {
		t.Errorf("%+v", r)
	}
}

// TestDistrust: a kernel of ours that is wrong is no fault of the GPU's while
// another is right.
func TestDistrust(t *testing.T) {
	w := worker(t, fakeCUDA(t), "distrust", "--tests", "bf16")
	if r := w.results["bf16"]; w.err != nil || r.Errors != 0 || r.Kernel == "product_bf16_64" || !slices.Equal(r.Distrusted, []string{"product_bf16_64"}) {
		t.Errorf("%+v", r)
	}
	w = worker(t, fakeCUDA(t), "distrust capability=8", "--tests", "bf16")
	if r := w.results["bf16"]; w.err != nil || r.Kernel != "product_bf16_128" {
		t.Errorf("%+v", r)
	}
}

// TestFaultyGPU: what is wrong with a GPU is told, and told apart from what
// could not be tested.
func TestFaultyGPU(t *testing.T) {
	libraries := fakeCUDA(t)
	for fault, want := range map[string]gpuline.Failed{
		"init=100":      {Call: "cuInit", Code: 100},
		"init=999":      {Call: "cuInit", Code: 999},
		"address=101":   {Call: "cuDeviceGetByPCIBusId", Code: 101},
		"capability=6":  {Error: "compute capability 6.0 is below 7.0"},
		"jit=218":       {Call: "cuModuleLoadDataEx of base.ptx", Code: 218, Error: "line 9; error"},
		"launch=719@2":  {Test: "pcie", Code: 719, Load: true, Error: "unspecified launch failure"}, // in its first round, on every machine
		"launch=214@45": {Code: 214, Load: true},
		"blind":         {Test: "memory", Error: "flipped on purpose"},
	} {
		t.Run(fault, func(t *testing.T) {
			w := worker(t, libraries, fault)
			var exit *exec.ExitError
			if !errors.As(w.err, &exit) || exit.ExitCode() != 3 || w.done || w.failed == nil {
				t.Fatalf("%+v", w)
			}
			if f := w.failed; f.Load != want.Load || f.Code != want.Code || !strings.Contains(f.Call, want.Call) || !strings.Contains(f.Test, want.Test) || !strings.Contains(f.Error, want.Error) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestWrongResults(t *testing.T) {
	libraries := fakeCUDA(t)
	// The fifth launch is the first product that counts: a slow machine may get no further.
	w := worker(t, libraries, "wrong@5", "--tests", "fp32")
	r := w.results["fp32"]
	if w.err != nil || !w.done || r.Errors != 1 || r.Bits != 1<<20 || len(r.First) != 1 || r.First[0].Offset != 400 || r.First[0].Got^r.First[0].Want != 1<<20 {
		t.Errorf("%+v %v", r, w.err)
	}
	w = worker(t, libraries, "stuck=81920", "--tests", "memory")
	r = w.results["memory"]
	if w.err != nil || r.Errors == 0 || r.Bits != 16 || r.First[0].Offset != 81920 || slices.ContainsFunc(r.First, func(f gpuline.Wrong) bool { return f.Offset != 81920 }) {
		t.Errorf("%+v %v", r, w.err)
	}
	if w = worker(t, libraries, "blind", "--tests", "fp32"); w.failed == nil || !strings.Contains(w.failed.Error, "comparison counts 0 errors") {
		t.Errorf("%+v", w.failed)
	}
}

// TestNoNumber: a GPU that gives no number, from its first product on, is one
// that computes wrongly: each product counts.
func TestNoNumber(t *testing.T) {
	libraries := fakeCUDA(t)
	for _, test := range []string{"fp32", "bf16"} {
		w := worker(t, libraries, "nan=100", "--tests", test)
		if r := w.results[test]; w.err != nil || !w.done || r.NaNs != r.Iterations+1 || r.Errors != 0 || r.Rate <= 0 {
			t.Errorf("%s: %+v %+v", test, w.results, w.failed)
		}
	}
}

// TestManyMemoryErrors: so many that the bit flipped on purpose is not among
// those that the log keeps.
func TestManyMemoryErrors(t *testing.T) {
	w := worker(t, fakeCUDA(t), "rotten", "--tests", "memory")
	if r := w.results["memory"]; w.err != nil || !w.done || r.Errors < 1000 {
		t.Errorf("%+v %+v", w.results, w.failed)
	}
}

// TestCountedBeforeTheEnd: what was counted wrong before a GPU broke is told.
func TestCountedBeforeTheEnd(t *testing.T) {
	libraries := fakeCUDA(t)
	for test, fault := range map[string]string{"fp32": "wrong@5 launch=719@10", "memory": "stuck=81920 launch=719@8"} {
		w := worker(t, libraries, fault, "--tests", test, "--time", "20s") // it ends at the fault, on a slow machine too
		if r := w.results[test]; w.err == nil || w.failed == nil || !w.failed.Load || w.failed.Test != test || r.Errors == 0 || len(r.First) == 0 || r.Rate != 0 {
			t.Errorf("%s: %+v %+v", test, w.results, w.failed)
		}
	}
}

func TestOlderGPU(t *testing.T) {
	w := worker(t, fakeCUDA(t), "capability=7 mig")
	if r := w.results["bf16"]; w.err != nil || !w.done || !strings.Contains(r.Skipped, "needs compute capability 8.0") || w.results["fp32"].Rate <= 0 {
		t.Errorf("%+v %v", w.results, w.err)
	}
	if !w.device.MIG {
		t.Errorf("%+v", w.device)
	}
}

func TestHangAndCrash(t *testing.T) {
	libraries := fakeCUDA(t)
	w := worker(t, libraries, "segv@20")
	var exit *exec.ExitError
	if !errors.As(w.err, &exit) || w.done {
		t.Errorf("%+v", w)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "--gpu", "0000:3b:00.0", "--time", "100ms")
	cmd.Env = append(os.Environ(), "GPUWORKER=1", "LD_LIBRARY_PATH="+libraries, "FAKECUDA=hang@20")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Errorf("a GPU that hangs lets the worker end: %v", err)
	case <-time.After(2 * time.Second):
		cmd.Process.Kill() // as the parent does
		<-ended
	}
}

func TestLibraryMissing(t *testing.T) {
	fakeCUDA(t) // for its conditions
	w := worker(t, t.TempDir(), "")
	if w.failed == nil || !strings.Contains(w.failed.Error, "load libcuda.so.1") {
		t.Errorf("%+v", w.failed)
	}
	w = worker(t, fakeCUDA(t, "-DWITHOUT_UUID"), "")
	if w.failed == nil || !strings.Contains(w.failed.Error, "it has no cuDeviceGetUuid") {
		t.Errorf("%+v", w.failed)
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{{}, {"--gpu", "x", "more"}, {"--gpu", "x", "--time", "0"}, {"--gpu", "x", "--tests", "fp99"}, {"--no"}} {
		var out, said bytes.Buffer
		if status := run(args, &out, &said); status != failure || !strings.Contains(out.String(), `{"failed":`) {
			t.Errorf("%q: %d %s", args, status, &out)
		}
	}
}
