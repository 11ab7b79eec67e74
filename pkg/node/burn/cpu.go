package burn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/hwreport"
)

// cpuDir is where processors are described (sysfs-devices-system-cpu).
const cpuDir = "sys/devices/system/cpu"

// core is one logical processor under load. Its counters are read while they
// are counted.
type core struct {
	cpu    int
	rounds atomic.Int64
	part   *part  // its package
	slow   *part  // stands for it where cores are held against each other
	lost   string // why it was not tested
}

// burnCPU computes on every core what is known, and holds the cores against
// each other.
func burnCPU(ctx context.Context, j *job) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("ask for the processors: %w", err)
	}
	var cores []*core
	packages := make(map[string]*part)
	for cpu := range 8 * len(allowed) * 8 {
		if !allowed.IsSet(cpu) || j.threads > 0 && len(cores) == j.threads {
			continue
		}
		in := word(j.root, fmt.Sprintf("%s/cpu%d/topology/physical_package_id", cpuDir, cpu))
		if in == "" {
			in = "0"
		}
		if packages[in] == nil {
			packages[in] = j.add(hwreport.BurnPart{Kind: "cpu", ID: hwreport.ID("cpu", "package"+in), Name: "package " + in})
		}
		cores = append(cores, &core{cpu: cpu, part: packages[in]})
	}
	if len(cores) == 0 {
		return errors.New("no processor may be used")
	}
	list := j.computations()
	w := newCPUWatch(j.root, cores)
	ctx, cancel := context.WithTimeout(ctx, j.left())
	defer cancel()
	var work sync.WaitGroup
	for _, c := range cores {
		work.Go(func() { j.burnCore(ctx, c, list) })
	}
	ended := make(chan bool)
	go func() {
		work.Wait()
		close(ended)
	}()
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		j.change(func() { w.sample(packages, cores, time.Since(began)) })
		select {
		case <-tick.C:
			continue
		case <-ended:
		}
		break
	}
	j.change(func() { w.sample(packages, cores, time.Since(began)) })
	j.judgeCPU(w, packages, cores, time.Since(began))
	return nil
}

// burnCore keeps one processor computing. Its thread ends with it, so that none
// stays bound.
func (j *job) burnCore(ctx context.Context, c *core, list []computation) {
	runtime.LockOSThread()
	var only unix.CPUSet
	only.Set(c.cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		c.lost = fmt.Sprintf("processor %d cannot be had: %v", c.cpu, err)
		return
	}
	wrong, own := 0, newScratch()
	for ctx.Err() == nil {
		for _, k := range list {
			got := k.run(own)
			if got == k.want {
				continue
			}
			j.change(func() { c.part.now.errors++ })
			if wrong++; wrong <= 4 {
				j.find(hwreport.Failure, "burn.wrong-results", c.part.ID, fmt.Sprintf("processor %d computes %s wrong", c.cpu, k.name),
					hwreport.Evidence{Source: fmt.Sprintf("processor %d, round %d", c.cpu, c.rounds.Load()), Value: fmt.Sprintf("got %016x, want %016x", got, k.want)})
			}
		}
		c.rounds.Add(1)
	}
}

// judgeCPU makes tests and findings of what was counted.
func (j *job) judgeCPU(w *cpuWatch, packages map[string]*part, cores []*core, took time.Duration) {
	groups := make(map[string][]*part)
	j.change(func() {
		for _, c := range cores {
			if c.lost != "" {
				c.part.Untested = c.lost
				continue
			}
			n := c.rounds.Load()
			r := float64(n) / max(took.Seconds(), 1e-9)
			c.slow = &part{BurnPart: hwreport.BurnPart{Kind: "cpu", ID: c.part.ID, Name: fmt.Sprintf("processor %d", c.cpu),
				Tests: []hwreport.BurnTest{{Name: "compute", Unit: "rounds/s", Rate: hwreport.Value(r), Iterations: n}}}}
			size := w.size[c.cpu]
			groups[size] = append(groups[size], c.slow)
			if n == 0 {
				c.part.Untested = fmt.Sprintf("processor %d did not end its first round", c.cpu)
			}
		}
		for _, p := range packages {
			t := hwreport.BurnTest{Name: "compute", Unit: "rounds/s", Rate: hwreport.Value(p.now.rate), Errors: p.now.errors, Against: hwreport.Absent[float64]()}
			for _, c := range cores {
				if c.part == p {
					t.Iterations += c.rounds.Load()
				}
			}
			p.Tests = append(p.Tests, t)
		}
	})
	for _, equals := range groups {
		j.spread(equals, coreSlowWarning, coreSlowFailure)
	}
	for _, p := range packages {
		for name, n := range p.Load.Throttle {
			j.find(hwreport.Warning, "burn.throttled", p.ID, fmt.Sprintf("%s was slowed down for heat %d times during the load (%s)", p.Name, n, name))
		}
		if hot := p.Load.TempMax.Or(0); hot > 0 && hot >= w.limit {
			j.find(hwreport.Warning, "burn.hot", p.ID, fmt.Sprintf("a processor reached %d °C, and its limit is %d °C", hot, w.limit))
		}
	}
	if !w.seen {
		j.find(hwreport.Info, "burn.unwatched", "", "no sensor tells the processors' temperature")
	}
}

// cpuWatch reads what the machine tells of its processors under load.
type cpuWatch struct {
	root    fs.FS
	sensors []string // files of hwmon, in 1/1000 °C
	limit   int64    // °C, the least that a sensor calls critical
	seen    bool
	before  map[string]int64 // throttle counters, by file
	size    map[int]string   // which processors are equal
}

func newCPUWatch(root fs.FS, cores []*core) *cpuWatch {
	w := &cpuWatch{root: root, limit: hotCelsius, before: make(map[string]int64), size: make(map[int]string)}
	names, _ := fs.Glob(root, "sys/class/hwmon/hwmon*/name")
	for _, n := range names {
		if !slices.Contains([]string{"coretemp", "k10temp", "zenpower", "cpu_thermal"}, word(root, n)) {
			continue
		}
		inputs, _ := fs.Glob(root, path.Dir(n)+"/temp*_input")
		w.sensors = append(w.sensors, inputs...)
		for _, i := range inputs {
			if crit := number(root, strings.TrimSuffix(i, "_input")+"_crit") / 1000; crit > 50 {
				w.limit = min(w.limit, crit)
			}
		}
	}
	for _, c := range cores {
		for _, file := range throttleFiles(c.cpu) {
			w.before[file] = number(root, file)
		}
	}
	for _, size := range []string{"cpu_core", "cpu_atom"} { // Intel's processors with two sizes of cores
		for _, cpu := range cpuList(word(root, "sys/devices/"+size+"/cpus")) {
			w.size[cpu] = size
		}
	}
	return w
}

// throttleFiles count how often heat slowed a processor down, and its package.
func throttleFiles(cpu int) []string {
	dir := fmt.Sprintf("%s/cpu%d/thermal_throttle/", cpuDir, cpu)
	return []string{dir + "core_throttle_count", dir + "package_throttle_count"}
}

// number reads a file with one; 0 where there is none.
func number(root fs.FS, name string) int64 {
	n, _ := strconv.ParseInt(word(root, name), 10, 64)
	return n
}

// cpuList reads "0-3,8".
func cpuList(s string) (list []int) {
	for item := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(item, "-")
		if !ok {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || b-a > 1<<16 {
			continue
		}
		for n := a; n <= b; n++ {
			list = append(list, n)
		}
	}
	return list
}

func (w *cpuWatch) sample(packages map[string]*part, cores []*core, took time.Duration) {
	hot := hwreport.Absent[int64]()
	for _, s := range w.sensors {
		if n, err := strconv.ParseInt(word(w.root, s), 10, 64); err == nil && n > -100_000 && n < 200_000 {
			highest(&hot, hwreport.Value(n/1000))
			w.seen = true
		}
	}
	for _, p := range packages {
		p.Load.Samples++
		p.now.temp = hot
		p.now.test, p.now.unit, p.now.rate = "compute", "rounds/s", 0
		highest(&p.Load.TempMax, hot)
		p.Load.Throttle = make(map[string]int64)
	}
	for _, c := range cores {
		p := c.part
		if took > 0 {
			p.now.rate += float64(c.rounds.Load()) / took.Seconds()
		}
		if khz := number(w.root, fmt.Sprintf("%s/cpu%d/cpufreq/scaling_cur_freq", cpuDir, c.cpu)); khz > 0 && took > time.Second {
			mhz := hwreport.Value(khz / 1000)
			p.now.clock = mhz
			lowest(&p.Load.ClockMin, mhz)
			highest(&p.Load.ClockMax, mhz)
		}
		for _, file := range throttleFiles(c.cpu) {
			if d := number(w.root, file) - w.before[file]; d > 0 {
				name := path.Base(file)
				p.Load.Throttle[name] = max(p.Load.Throttle[name], d)
			}
		}
	}
}
