package burn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/hwreport"
)

// What burn mem leaves free: the system lives in the same memory, and what runs
// beside the test grows. A sixteenth of all of it, and no less than 256 MiB.
const (
	leastReserve = 256 << 20
	reserveShare = 16
)

// stride is how much a walker does between two looks at the time, bytes.
const stride = 4 << 20

// burnMemory fills what memory can be spared with patterns, on all processors.
func burnMemory(ctx context.Context, j *job) error {
	spare, err := spareMemory(j.root)
	if err != nil {
		return err
	}
	size := spare
	if j.size > 0 {
		if size = j.size; size > spare {
			return fmt.Errorf("--size %d is more than can be spared: %d bytes; %d MiB or a sixteenth of all memory stay free", size, spare, leastReserve>>20)
		}
	}
	workers := int64(runtime.GOMAXPROCS(0))
	if j.threads > 0 {
		workers = int64(j.threads)
	}
	page := int64(os.Getpagesize())
	if size = size / (workers * page) * workers * page; size <= 0 {
		return fmt.Errorf("%d bytes of memory can be spared, which is too little to test", spare)
	}
	// Should memory run out all the same, this program goes, and no other.
	os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("take %d bytes of memory: %w", size, err)
	}
	defer unix.Munmap(b)
	unix.Madvise(b, unix.MADV_HUGEPAGE) // fewer misses of the TLB, where the kernel can
	p := j.add(hwreport.BurnPart{Kind: "mem", ID: hwreport.ID("memory", "system"), Name: fmt.Sprintf("%.1f GiB", float64(size)/(1<<30))})
	// Locked as it is first written, by all processors, and not by one before.
	if _, _, no := unix.Syscall(unix.SYS_MLOCK2, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MLOCK_ONFAULT); no != 0 {
		j.find(hwreport.Info, "burn.unlocked", p.ID, fmt.Sprintf("the memory could not be locked (%v): pages may move during the test", no))
	}
	edac := newEDAC(j.root)
	ctx, cancel := context.WithTimeout(ctx, j.left())
	defer cancel()
	m := &march{job: j, part: p, workers: make([]walker, workers)}
	began := time.Now()
	for i := range m.workers {
		from := int64(i) * (size / workers)
		m.workers[i] = walker{march: m, words: unsafe.Slice((*uint64)(unsafe.Pointer(&b[from])), size/workers/8)}
	}
	m.run(ctx)
	j.change(func() {
		t := hwreport.BurnTest{Name: "patterns", Unit: "B/s", Rate: hwreport.Value(m.rate(time.Since(began))), Iterations: m.patterns, Tested: size, Errors: p.now.errors, First: m.first, Against: hwreport.Absent[float64]()}
		p.Tests = append(p.Tests, t)
		if m.patterns == 0 {
			p.Untested = fmt.Sprintf("the time was too short to write and check %d bytes once", size)
		}
	})
	j.judgeTests(p)
	j.judgeEDAC(edac, p)
	return nil
}

// spareMemory is how much of what is available may be used: by /proc/meminfo
// (proc(5)) and the limits of the cgroups that this process is in (cgroups(7)).
func spareMemory(root fs.FS) (int64, error) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("ask how much memory is free: %w", err)
	}
	info := make(map[string]int64)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			info[f[0]] = n << 10
		}
	}
	available, total := info["MemAvailable:"], info["MemTotal:"]
	if available == 0 || total == 0 {
		return 0, errors.New("ask how much memory is free: /proc/meminfo does not say")
	}
	for _, line := range strings.Split(word(root, "proc/self/cgroup"), "\n") {
		group, ok := strings.CutPrefix(line, "0::") // version 2
		for ; ok && group != "/" && group != "."; group = path.Dir(group) {
			dir := path.Join("sys/fs/cgroup", group)
			limit, err := strconv.ParseInt(word(root, dir+"/memory.max"), 10, 64)
			if err == nil {
				available = min(available, limit-number(root, dir+"/memory.current"))
			}
		}
	}
	spare := available - max(leastReserve, total/reserveShare)
	if spare <= 0 {
		return 0, fmt.Errorf("%d MiB of memory are available, which stay free for the system", available>>20)
	}
	return spare, nil
}

// march is the memory test: every walker does the same step of the same pattern
// at the same time.
type march struct {
	*job
	part     *part
	workers  []walker
	moved    atomic.Int64 // bytes read and written
	patterns int64        // that went over all of it
	first    []hwreport.BurnWrong
}

func (m *march) rate(d time.Duration) float64 {
	return float64(m.moved.Load()) / max(d.Seconds(), 1e-9)
}

// pattern fills words with those from word i on, each inverted where mask has
// ones; pass varies those that vary.
type pattern struct {
	name string
	fill func(words []uint64, i, pass, mask uint64)
}

// patterns of the test: every cell both values, neighbours alike and unlike,
// and a value that tells where it belongs.
func patterns() []pattern {
	constant := func(v uint64) func([]uint64, uint64, uint64, uint64) {
		return func(words []uint64, _, _, mask uint64) {
			for k := range words {
				words[k] = v ^ mask
			}
		}
	}
	return []pattern{
		{"address", func(words []uint64, i, _, mask uint64) {
			for k := range words {
				words[k] = (i+uint64(k))*8 ^ mask
			}
		}},
		{"zeros", constant(0)},
		{"checkered", constant(0x5555555555555555)},
		{"walking one", func(words []uint64, i, pass, mask uint64) {
			for k := range words {
				words[k] = 1<<((i+uint64(k)+pass)&63) ^ mask
			}
		}},
		{"noise", func(words []uint64, i, pass, mask uint64) { // the finaliser of splitmix64
			for k := range words {
				x := (i + uint64(k) + pass<<48) * 0x9e3779b97f4a7c15
				x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
				words[k] = x ^ x>>27 ^ mask
			}
		}},
	}
}

func (m *march) run(ctx context.Context) {
	list := patterns()
	began := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		p, pass := list[n%len(list)], uint64(n/len(list))
		whole := true
		for _, s := range []step{{write: true}, {check: true, write: true, put: ^uint64(0)}, {check: true, write: true, expect: ^uint64(0), down: true}, {check: true}} {
			var wait sync.WaitGroup
			for i := range m.workers {
				w := &m.workers[i]
				wait.Go(func() { w.walk(ctx, p, pass, s) })
			}
			wait.Wait()
			m.change(func() {
				m.part.now.test, m.part.now.rate, m.part.now.unit = p.name, m.rate(time.Since(began)), "B/s"
			})
			if ctx.Err() != nil {
				whole = false
				break
			}
		}
		if whole {
			m.patterns++
		}
	}
}

// step is one walk over memory: what it holds is compared, under the mask
// expect; then its inverse, under put, is written. Down walks from the end.
type step struct {
	check, write, down bool
	expect, put        uint64
}

// walker walks over its share of memory.
type walker struct {
	*march
	words []uint64
}

func (w *walker) walk(ctx context.Context, p pattern, pass uint64, s step) {
	const chunk = stride / 8
	n := len(w.words)
	chunks := (n + chunk - 1) / chunk
	for c := range chunks {
		if ctx.Err() != nil {
			return
		}
		if s.down {
			c = chunks - 1 - c
		}
		from, to := c*chunk, min(n, (c+1)*chunk)
		w.piece(p, pass, s, from, to)
		moved := int64(to-from) * 8
		if s.check && s.write {
			moved *= 2
		}
		w.moved.Add(moved)
	}
}

// block is how many words are compared or written at once: little enough for a
// core's first cache, as what is expected lies beside.
const block = 1024

// piece walks over the words from … to.
func (w *walker) piece(p pattern, pass uint64, s step, from, to int) {
	var buffer [block]uint64
	blocks := (to - from + block - 1) / block
	for n := range blocks {
		if s.down {
			n = blocks - 1 - n
		}
		begin := from + n*block
		words := w.words[begin:min(to, begin+block)]
		is := buffer[:len(words)]
		if s.check {
			p.fill(is, uint64(begin), pass, s.expect)
			if !bytes.Equal(raw(words), raw(is)) {
				w.compare(p, words, is)
			}
		}
		if s.write {
			p.fill(is, uint64(begin), pass, s.put)
			copy(words, is)
		}
	}
}

// raw is words as bytes: to compare and to copy them, processors have their
// widest instructions.
func raw(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
}

func (w *walker) compare(p pattern, words, want []uint64) {
	found := false
	for i := range words {
		if got := words[i]; got != want[i] {
			w.wrong(p, &words[i], got, want[i])
			found = true
		}
	}
	if !found { // it was read wrong once, and right the second time
		w.wrong(p, &words[0], 0, 0)
	}
}

// kept is how many wrong words are named.
const kept = 16

// wrong notes a wrong word; got and want are the same where a block differed
// that did not when it was read again.
func (w *walker) wrong(p pattern, at *uint64, got, want uint64) {
	w.change(func() {
		w.part.now.errors++
		if len(w.first) < kept {
			where := fmt.Sprintf("%s: address %p", p.name, at)
			if got == want {
				where = fmt.Sprintf("%s: right when read again, in %d bytes from address %p", p.name, 8*block, at)
			}
			if physical, err := physicalAddress(uintptr(unsafe.Pointer(at))); err != nil {
				where += " (physical: " + err.Error() + ")"
			} else {
				where += fmt.Sprintf(", physical %#x", physical)
			}
			w.first = append(w.first, hwreport.BurnWrong{Where: where, Got: fmt.Sprintf("%#016x", got), Want: fmt.Sprintf("%#016x", want)})
		}
	})
}

// physicalAddress asks the kernel where an address of this process lies
// (Documentation/admin-guide/mm/pagemap.rst).
func physicalAddress(at uintptr) (uint64, error) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	page := uint64(os.Getpagesize())
	var b [8]byte
	if _, err := io.ReadFull(io.NewSectionReader(f, int64(uint64(at)/page*8), 8), b[:]); err != nil {
		return 0, err
	}
	entry := binary.NativeEndian.Uint64(b[:])
	frame := entry & (1<<55 - 1)
	if entry>>63 == 0 || frame == 0 { // the kernel shows frames to the privileged
		return 0, errors.New("not told")
	}
	return frame*page + uint64(at)%page, nil
}

// edac is the errors that memory controllers counted
// (sysfs: /sys/devices/system/edac).
type edac struct {
	controllers          []string
	corrected, uncorrect int64
}

func newEDAC(root fs.FS) edac {
	var e edac
	e.controllers, _ = fs.Glob(root, "sys/devices/system/edac/mc/mc[0-9]*")
	for _, c := range e.controllers {
		e.corrected += number(root, c+"/ce_count")
		e.uncorrect += number(root, c+"/ue_count")
	}
	return e
}

func (j *job) judgeEDAC(before edac, p *part) {
	now := newEDAC(j.root)
	if len(now.controllers) == 0 {
		j.change(func() {
			p.Load.Corrected, p.Load.Uncorrected = hwreport.Unknown[int64]("no driver counts errors of memory"), hwreport.Unknown[int64]("no driver counts errors of memory")
		})
		return
	}
	ce, ue := now.corrected-before.corrected, now.uncorrect-before.uncorrect
	j.change(func() { p.Load.Corrected, p.Load.Uncorrected = hwreport.Value(ce), hwreport.Value(ue) })
	if ce > 0 {
		j.find(hwreport.Warning, "burn.ecc-corrected", p.ID, fmt.Sprintf("%d errors of memory were corrected during the load", ce))
	}
	if ue > 0 {
		j.find(hwreport.Failure, "burn.ecc-uncorrected", p.ID, fmt.Sprintf("%d errors of memory could not be corrected during the load", ue))
	}
}
