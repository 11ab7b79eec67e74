package burn

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unsafe"

	"github.com/bee-os/bee/pkg/hwreport"
)

// TestPatternsFindFlippedBits flips a bit behind each pattern, in each step that
// looks.
func TestPatternsFindFlippedBits(t *testing.T) {
	const n = stride/8 + 1000 // more than a chunk
	for _, p := range patterns() {
		for _, bit := range []int{0, 31, 63} {
			for _, s := range []step{{check: true}, {check: true, write: true, put: ^uint64(0)}, {check: true, down: true, write: true}} {
				j := &job{}
				m := &march{job: j, part: j.add(hwreport.BurnPart{Kind: "mem"})}
				w := &walker{m, make([]uint64, n)}
				w.walk(t.Context(), p, 3, step{write: true})
				w.walk(t.Context(), p, 3, s)
				if m.part.now.errors != 0 {
					t.Fatalf("%s: errors without one", p.name)
				}
				w.walk(t.Context(), p, 3, step{write: true})
				at := &w.words[n-500]
				*at ^= 1 << bit
				w.walk(t.Context(), p, 3, s)
				if m.part.now.errors != 1 || len(m.first) != 1 || !strings.Contains(m.first[0].Where, fmt.Sprintf("%p", unsafe.Pointer(at))) {
					t.Errorf("%s, bit %d, %+v: %d errors, %+v", p.name, bit, s, m.part.now.errors, m.first)
				}
			}
		}
	}
}

func TestMarch(t *testing.T) {
	j := &job{}
	m := &march{job: j, part: j.add(hwreport.BurnPart{Kind: "mem"})}
	m.workers = []walker{{m, make([]uint64, 1<<17)}, {m, make([]uint64, 1<<17)}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	m.run(ctx)
	if m.patterns < 5 || m.part.now.errors != 0 || m.moved.Load() == 0 {
		t.Errorf("%d patterns, %d errors", m.patterns, m.part.now.errors)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m.patterns = 0
	if m.run(ended); m.patterns != 0 {
		t.Error("a pattern is counted that was not walked")
	}
}

func TestSpareMemory(t *testing.T) {
	root := fstest.MapFS{
		"proc/meminfo":                           {Data: []byte("MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   12582912 kB\n")},
		"proc/self/cgroup":                       {Data: []byte("0::/bee/audit\n")},
		"sys/fs/cgroup/bee/audit/memory.max":     {Data: []byte("max\n")},
		"sys/fs/cgroup/bee/audit/memory.current": {Data: []byte("1\n")},
		"sys/fs/cgroup/bee/memory.max":           {Data: []byte("8589934592\n")},
		"sys/fs/cgroup/bee/memory.current":       {Data: []byte("1073741824\n")},
	}
	if n, err := spareMemory(root); err != nil || n != 6<<30 { // 8 - 1 GiB of the group, less a sixteenth of 16 GiB
		t.Errorf("%d, %v", n, err)
	}
	root["sys/fs/cgroup/bee/memory.current"].Data = []byte("8589934000")
	if n, err := spareMemory(root); err == nil {
		t.Errorf("%d bytes are spared of nothing", n)
	}
	if _, err := spareMemory(fstest.MapFS{"proc/meminfo": {Data: []byte("rubbish")}}); err == nil {
		t.Error("rubbish is taken")
	}
}

func TestMemoryOfThisMachine(t *testing.T) {
	o, _ := parse([]string{"mem", "--size", "64M", "--time", "1s"})
	j := &job{host: machine(), options: o, started: time.Now()}
	if err := burnMemory(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	p := j.parts[0]
	if p.Untested != "" || len(p.Tests) != 1 || p.Tests[0].Errors != 0 || p.Tests[0].Tested != 64<<20 || p.Tests[0].Iterations < 1 {
		t.Errorf("%+v", p)
	}
	t.Log(rate(p.Tests[0].Rate.Or(0), "B/s"))
	o.size = 1 << 60
	if err := burnMemory(t.Context(), &job{host: machine(), options: o, started: time.Now()}); err == nil || !strings.Contains(err.Error(), "more than can be spared") {
		t.Error(err)
	}
}

func TestEDAC(t *testing.T) {
	root := fstest.MapFS{"sys/devices/system/edac/mc/mc0/ce_count": {Data: []byte("5\n")}, "sys/devices/system/edac/mc/mc0/ue_count": {Data: []byte("0\n")}}
	before := newEDAC(root)
	root["sys/devices/system/edac/mc/mc0/ce_count"].Data = []byte("7\n")
	root["sys/devices/system/edac/mc/mc0/ue_count"].Data = []byte("1\n")
	j := &job{host: host{root: root}}
	p := j.add(hwreport.BurnPart{Kind: "mem", ID: "memory:system"})
	j.judgeEDAC(before, p)
	if len(j.findings) != 2 || p.Load.Corrected.Or(0) != 2 || p.Load.Uncorrected.Or(0) != 1 {
		t.Errorf("%+v", j.findings)
	}
}

func TestPhysicalAddress(t *testing.T) {
	b := make([]byte, 1<<20)
	b[5000] = 1
	at, err := physicalAddress(uintptr(unsafe.Pointer(&b[5000])))
	if err != nil {
		skip(t, "%v", err)
	}
	if at%8 != uint64(uintptr(unsafe.Pointer(&b[5000]))%8) || at == 0 {
		t.Errorf("%#x", at)
	}
}
