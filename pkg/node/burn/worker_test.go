package burn

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// TestRealWorker runs the real gpuworker, over a libcuda.so.1 that is the host,
// under the real parent.
func TestRealWorker(t *testing.T) {
	cc, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		skip(t, "the worker needs cgo, and that a C compiler: %v", err)
	}
	const source = "../../../cmds/standalone/gpuworker"
	dir := t.TempDir()
	library := exec.Command(cc, "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-I"+source+"/kernels/testdata", "-o", filepath.Join(dir, "libcuda.so.1"), source+"/testdata/fakecuda.c", "-lm")
	build := exec.Command("go", "build", "-o", filepath.Join(dir, gpuline.Program), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	for _, c := range []*exec.Cmd{library, build} {
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c, err, out)
		}
	}
	for _, c := range []struct {
		fault  string
		grace  time.Duration
		status int
		says   []string
	}{
		{"", time.Minute, 0, []string{"0000:3b:00.0 Fake GPU: warning", "bf16", "copy"}},
		{"init=100", time.Minute, 3, []string{"the worker gave up: cuInit: error 100 (CUDA_ERROR_NO_DEVICE)"}},
		// The second launch is the comparison of the first round, on every machine.
		{"launch=719@2", time.Minute, 2, []string{"it stopped working during pcie: ", "719 (CUDA_ERROR_LAUNCH_FAILED): unspecified launch failure"}},
		{"stuck=4096", time.Minute, 2, []string{"rounds of memory"}},
		{"nan=100", time.Minute, 2, []string{"numbers were infinite or undefined in", "rounds of fp32"}},
		{"segv@20", time.Minute, 3, []string{"it was killed by signal 11"}},
		{"hang@20", 500 * time.Millisecond, 3, []string{"it did not end in its time and was killed"}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			b := bench{grace: c.grace, env: []string{"LD_LIBRARY_PATH=" + dir, "FAKECUDA=" + c.fault}, worker: filepath.Join(dir, gpuline.Program)}
			status, r, out := b.run(t, "gpu", "--gpus", "0")
			// The host is slow at being a GPU.
			var findings []hwreport.Finding
			for _, f := range r.Findings {
				if f.Code != "burn.slow-memory" {
					findings = append(findings, f)
				}
			}
			r.Findings = findings
			if got := r.Judge().ExitStatus(); got != c.status {
				t.Errorf("status %d, want %d; at first %d\n%s", got, c.status, status, out)
			}
			for _, s := range c.says {
				if !strings.Contains(out, s) {
					t.Errorf("no %q in\n%s", s, out)
				}
			}
		})
	}
}
