package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/bee-os/bee/cmds/standalone/gpuworker/kernels"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// phase is one test.
type phase struct {
	name  string
	share float64 // of the time
	major int     // compute capability that it needs
	run   func(*session, phase, time.Time) ([]gpuline.Result, error)
}

// plan lists the tests in their order. What draws the most power comes last and
// lasts longest.
func plan() []phase {
	return []phase{
		{"pcie", 0.04, 7, pcie},
		{"memory", 0.26, 7, memory},
		{"fp32", 0.15, 7, product},
		{"fp64", 0.05, 7, product},
		{"tf32", 0.08, 8, product},
		{"fp16", 0.12, 8, product},
		{"bf16", 0.30, 8, product},
	}
}

// tellEvery is how often progress is told.
const tellEvery = time.Second

// session is one run on one GPU.
type session struct {
	o       options
	gpu     gpu
	log     log
	teller  teller
	library library // nil: none asked for
	started time.Time
	told    time.Time
}

// burn runs the tests. Of an error it tells in which test it came.
func burn(o options, t teller) (test string, err error) {
	g, err := open(o.address)
	if err != nil {
		return "", err
	}
	defer g.Close()
	about := g.Device()
	if err := t.tell(gpuline.Line{Device: &about}); err != nil {
		return "", err
	}
	major, _ := g.Capability()
	if major < 7 {
		return "", fmt.Errorf("test %s: compute capability %s is below 7.0, which the kernels need", about.Name, about.Capability)
	}
	for _, m := range kernels.Modules() {
		if m.Fits(g.Capability()) {
			if err := g.Load(m); err != nil {
				return "", err
			}
		}
	}
	s := &session{o: o, gpu: g, teller: t, started: time.Now()}
	if o.cublas {
		if s.library, err = g.Library(); err != nil {
			return "", err
		}
		defer s.library.Close()
	}
	if s.log, err = newLog(g); err != nil {
		return "", err
	}
	end, left := s.started.Add(o.time), 0.0
	var todo []phase
	for _, p := range plan() {
		if len(o.tests) > 0 && !slices.Contains(o.tests, p.name) {
			continue
		}
		if p.major > major {
			if err := s.result(gpuline.Result{Test: p.name, Skipped: fmt.Sprintf("needs compute capability %d.0, and the GPU has %s", p.major, about.Capability)}); err != nil {
				return p.name, err
			}
			continue
		}
		todo, left = append(todo, p), left+p.share
	}
	for _, p := range todo {
		now := time.Now()
		until := now.Add(time.Duration(float64(end.Sub(now)) * p.share / left))
		left -= p.share
		results, err := p.run(s, p, until)
		for _, r := range results {
			if err := s.result(r); err != nil {
				return p.name, err
			}
		}
		if err != nil {
			return p.name, err
		}
	}
	return "", nil
}

func (s *session) result(r gpuline.Result) error { return s.teller.tell(gpuline.Line{Result: &r}) }

// progress tells how a test goes, once a second.
func (s *session) progress(r *gpuline.Result) error {
	if time.Since(s.told) < tellEvery {
		return nil
	}
	s.told = time.Now()
	return s.teller.tell(gpuline.Line{Progress: &gpuline.Progress{Test: r.Test, Elapsed: time.Since(s.started), Iterations: r.Iterations, Errors: r.Errors + r.NaNs, Rate: r.Rate, Unit: r.Unit}})
}

// fetch adds what the device counted to a result, and tells how it goes.
func (s *session) fetch(r *gpuline.Result) error {
	return inTurn(func() error { return s.log.read(r, 0) }, s.log.clear, func() error { return s.progress(r) })
}

// counted is what a test that cannot go on has found wrong so far. Its rate is
// none to hold against others.
func counted(r gpuline.Result) []gpuline.Result {
	if r.Errors+r.NaNs == 0 {
		return nil
	}
	r.Rate = 0
	return []gpuline.Result{r}
}

// inTurn calls functions until one fails.
func inTurn(fs ...func() error) error {
	for _, f := range fs {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// due says that what the device counted should be fetched: that waits for it.
func (s *session) due(until time.Time) bool {
	return time.Since(s.told) >= tellEvery || !time.Now().Before(until)
}

// spread is how many blocks a kernel that goes through memory is started with:
// several a multiprocessor.
func (s *session) spread() uint64 { return uint64(s.gpu.Device().Multiprocessors) * 12 }

// perSecond is a rate; 0 for no time.
func perSecond(amount float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return amount / d.Seconds()
}
