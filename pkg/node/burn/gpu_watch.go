package burn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
)

// stale is the age of a GPU's last sample, when the work ends, from which on it
// was not watched to the end. NVML is asked once a second.
const stale = 5 * time.Second

// watch is what NVML said of a GPU.
type watch struct {
	working bool      // its worker runs: samples count
	began   time.Time // that worker; zero: it never did
	first   *hwreport.GPUSample
	last    *hwreport.GPUSample
	firstAt time.Time
	lastAt  time.Time
}

// watchGPUs samples NVML until ctx ends. Without it the test goes on. It calls
// ready at the first sample, or when there will be none. Where it returns false,
// a finding says that no GPU was watched.
func (j *job) watchGPUs(ctx context.Context, gpus []*gpuPart, ready func()) bool {
	defer ready()
	unwatched := func(err error) bool {
		j.find(hwreport.Warning, "burn.unwatched", "", "GPUs were not watched: throttling, temperatures and ECC counters are unknown: "+err.Error())
		return false
	}
	args, err := j.command("nvmlreport", "--watch=1s")
	if err != nil {
		return unwatched(err)
	}
	samples := 0
	stdin, hold, err := os.Pipe() // it ends when its standard input does
	if err != nil {
		return unwatched(err)
	}
	defer stdin.Close()
	defer hold.Close()
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		hold.Close()
		time.AfterFunc(politeness, cancel)
	})()
	err = j.child(patient, 1<<62, args, stdin, func(b []byte) {
		var s hwreport.GPUSamples
		if json.Unmarshal(b, &s) != nil || s.Devices == nil {
			return
		}
		j.change(func() {
			samples++
			for _, g := range gpus {
				for i := range s.Devices {
					if d := &s.Devices[i]; d.Address == g.address {
						g.sample(d)
					}
				}
			}
		})
		ready()
	})
	switch {
	case ctx.Err() == nil && err == nil:
		return unwatched(errors.New("nvmlreport ended early"))
	case ctx.Err() == nil:
		return unwatched(fmt.Errorf("nvmlreport: %w", err))
	case samples == 0:
		return unwatched(errors.New("nvmlreport gave no sample"))
	}
	return true
}

// sample takes a sample of a GPU.
func (g *gpuPart) sample(d *hwreport.GPUSample) {
	_, hot := d.Temperature.Get()
	_, powered := d.Power.Get()
	_, clocked := d.SMClock.Get()
	_, used := d.Utilisation.Get()
	if !hot && !powered && !clocked && !used {
		return // a lost GPU has a reason in every field, and is not watched
	}
	g.now.temp, g.now.power, g.now.clock = d.Temperature, d.Power, d.SMClock
	g.last, g.lastAt = d, time.Now()
	if g.first == nil {
		g.first, g.firstAt = d, g.lastAt
	}
	if !g.working {
		return
	}
	l := &g.Load
	l.Samples++
	highest(&l.TempMax, d.Temperature)
	highest(&l.MemTempMax, d.MemTemp)
	highest(&l.PowerMax, d.Power)
	if u, ok := d.Utilisation.Get(); !ok || u < busy {
		return // between two tests, or before the first
	}
	lowest(&l.ClockMin, d.SMClock)
	highest(&l.ClockMax, d.SMClock)
	for _, reason := range d.Throttle.Or(nil) {
		l.Throttle[reason]++
	}
	if now, ok := d.Link.Get(); ok {
		was := l.Link.Or(now)
		l.Link = hwreport.Value(hwreport.GPULinkAt{Generation: min(was.Generation, now.Generation), Width: min(was.Width, now.Width)})
	}
}

func highest(to *hwreport.Field[int64], v hwreport.Field[int64]) {
	if n, ok := v.Get(); ok {
		*to = hwreport.Value(max(n, to.Or(n)))
	}
}

func lowest(to *hwreport.Field[int64], v hwreport.Field[int64]) {
	if n, ok := v.Get(); ok {
		*to = hwreport.Value(min(n, to.Or(n)))
	}
}

// judgeWatch says of a GPU that was under load until ended where NVML did not
// look at it, or not all the time: nothing found is then no proof.
func (j *job) judgeWatch(g *gpuPart, ended time.Time) {
	if g.began.IsZero() {
		return
	}
	why := ""
	switch {
	case g.last == nil:
		why = "NVML gave no sample of it"
	case g.first == g.last:
		why = "NVML gave only one sample of it"
	case ended.Sub(g.lastAt) > stale:
		why = fmt.Sprintf("NVML gave its last sample %v before the load ended", ended.Sub(g.lastAt).Round(time.Second))
	case g.firstAt.After(g.began):
		why = fmt.Sprintf("NVML gave its first sample %v after the load had begun", g.firstAt.Sub(g.began).Round(time.Millisecond))
	default:
		return
	}
	j.find(hwreport.Warning, "burn.unwatched", g.ID, g.Name+": "+why+": throttling, temperatures and ECC counters are not known for all of the load")
}
