package burn

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
)

// heat is a machine whose processors get hot.
func heat() fstest.MapFS {
	root := fstest.MapFS{
		"sys/class/hwmon/hwmon0/name":        {Data: []byte("coretemp\n")},
		"sys/class/hwmon/hwmon0/temp1_input": {Data: []byte("61000\n")},
		"sys/class/hwmon/hwmon0/temp1_crit":  {Data: []byte("95000\n")},
		"sys/class/hwmon/hwmon1/name":        {Data: []byte("nvme\n")},
		"sys/class/hwmon/hwmon1/temp1_input": {Data: []byte("99000\n")},
	}
	for cpu := range 1024 {
		root[fmt.Sprintf("%s/cpu%d/topology/physical_package_id", cpuDir, cpu)] = &fstest.MapFile{Data: []byte("0\n")}
		root[fmt.Sprintf("%s/cpu%d/thermal_throttle/core_throttle_count", cpuDir, cpu)] = &fstest.MapFile{Data: []byte("4\n")}
	}
	return root
}

// changing is a tree whose files are replaced while they are read.
type changing struct {
	mu sync.Mutex
	fs fstest.MapFS
}

func (c *changing) Open(name string) (fs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fs.Open(name)
}

func burnTestCPU(t *testing.T, root fs.FS, list func() []computation) *job {
	t.Helper()
	o, err := parse([]string{"cpu", "--time", "1s", "--threads", "1"})
	if err != nil {
		t.Fatal(err)
	}
	j := &job{host: host{root: root, computations: list}, options: o, started: time.Now()}
	if err := burnCPU(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	return j
}

func codes(j *job) (list []string) {
	for _, f := range j.findings {
		if f.Severity != hwreport.Info {
			list = append(list, f.Code)
		}
	}
	return slices.Compact(list)
}

func TestCPU(t *testing.T) {
	j := burnTestCPU(t, heat(), computations)
	p := j.parts[0]
	if len(j.parts) != 1 || p.ID != "cpu:package0" || p.Untested != "" || p.Tests[0].Errors != 0 || p.Tests[0].Iterations < 2 || p.Load.TempMax.Or(0) != 61 {
		t.Errorf("%+v", p)
	}
	if list := codes(j); list != nil {
		t.Errorf("%q", list)
	}
}

func TestCPUThatComputesWrong(t *testing.T) {
	j := burnTestCPU(t, heat(), func() []computation {
		return []computation{{"sum", func(*scratch) uint64 { time.Sleep(10 * time.Millisecond); return 5 }, 4}}
	})
	if list := codes(j); !slices.Equal(list, []string{"burn.wrong-results"}) {
		t.Errorf("%q", list)
	}
	if p := j.parts[0]; p.Tests[0].Errors < 10 || !strings.Contains(j.findings[0].Message, "processor ") || !strings.Contains(j.findings[0].Evidence[0].Value, "got 0000000000000005, want 0000000000000004") || len(j.findings) > 5 {
		t.Errorf("%+v %+v", p, j.findings)
	}
}

func TestCPUThatGetsHot(t *testing.T) {
	root := &changing{fs: heat()}
	hotter := func(*scratch) uint64 { // the first round, before the watch looks again
		root.mu.Lock()
		defer root.mu.Unlock()
		root.fs["sys/class/hwmon/hwmon0/temp1_input"].Data = []byte("96000\n")
		for cpu := range 64 {
			root.fs[fmt.Sprintf("%s/cpu%d/thermal_throttle/core_throttle_count", cpuDir, cpu)].Data = []byte("9\n")
		}
		return 0
	}
	wait := func(*scratch) uint64 {
		time.Sleep(1100 * time.Millisecond)
		return 0
	}
	j := burnTestCPU(t, root, func() []computation { return []computation{{"sum", hotter, 0}, {"wait", wait, 0}} })
	list := codes(j)
	slices.Sort(list)
	if !slices.Equal(list, []string{"burn.hot", "burn.throttled"}) || j.parts[0].Load.Throttle["core_throttle_count"] != 5 {
		t.Errorf("%q %+v", list, j.parts[0].Load)
	}
}

func TestSpread(t *testing.T) {
	j := &job{}
	var equals []*part
	for i, r := range []float64{100, 101, 99, 94, 80} {
		equals = append(equals, &part{BurnPart: hwreport.BurnPart{ID: fmt.Sprint("gpu:", i), Tests: []hwreport.BurnTest{{Name: "bf16", Rate: hwreport.Value(r)}, {Name: "skipped"}}}})
	}
	j.spread(equals, gpuSlowWarning, gpuSlowFailure)
	if len(j.findings) != 2 || j.findings[0].ID != "burn.slow@gpu:3" || j.findings[0].Severity != hwreport.Warning || j.findings[1].ID != "burn.slow@gpu:4" || j.findings[1].Severity != hwreport.Failure {
		t.Errorf("%+v", j.findings)
	}
}

func TestCPUList(t *testing.T) {
	if got := cpuList("0-3,8,x,9-"); !slices.Equal(got, []int{0, 1, 2, 3, 8}) {
		t.Error(got)
	}
	if got := cpuList(""); got != nil {
		t.Error(got)
	}
}
