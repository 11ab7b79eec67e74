package burn

import (
	"bytes"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func ignoreTerm() { signal.Ignore(syscall.SIGTERM) }

func TestCommandLine(t *testing.T) {
	for line, want := range map[string]options{
		"gpu":                              {kinds: []string{"gpu"}, time: time.Minute, gpus: "all"},
		"gpu --time 10s cpu --json":        {kinds: []string{"cpu", "gpu"}, time: 10 * time.Second, gpus: "all", json: true},
		"--json=/tmp/x mem --size 2G":      {kinds: []string{"mem"}, time: time.Minute, gpus: "all", file: "/tmp/x", size: 2 << 30},
		"disk-read sda /dev/nvme0n1":       {kinds: []string{"disk-read"}, time: time.Minute, gpus: "all", disks: []string{"sda", "nvme0n1"}},
		"all":                              {kinds: []string{"cpu", "disk-read", "gpu", "mem"}, time: time.Minute, gpus: "all"},
		"cpu --threads 3":                  {kinds: []string{"cpu"}, time: time.Minute, gpus: "all", threads: 3},
		"gpu --min-tflops bf16=600,fp32=1": {kinds: []string{"gpu"}, time: time.Minute, gpus: "all", minimum: map[string]float64{"bf16": 6e14, "fp32": 1e12}},
		"gpu --min-tflops 2.5":             {kinds: []string{"gpu"}, time: time.Minute, gpus: "all", minimum: map[string]float64{"": 2.5e12}},
	} {
		got, err := parse(strings.Fields(line))
		if want.minimum == nil {
			want.minimum = make(map[string]float64)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
}

func TestBadUsage(t *testing.T) {
	for _, line := range []string{"", "frob", "gpu sda", "gpu --frob", "cpu --time 0s", "cpu --threads -1", "mem --size 3X", "mem --size -1", "mem --size 99999999T", "gpu --min-tflops bf99=1", "gpu --min-tflops -1"} {
		var out, said bytes.Buffer
		if status := Main(strings.Fields(line), &out, &said); status != badUsage || !strings.Contains(said.String(), "usage: burn") || out.Len() > 0 {
			t.Errorf("%q: status %d, %s", line, status, &said)
		}
	}
	var out bytes.Buffer
	if status := MainGPU([]string{"--help"}, &out, &out); status != 0 || !strings.Contains(out.String(), "usage: burn") {
		t.Errorf("%d %s", status, &out)
	}
}
