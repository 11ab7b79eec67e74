package burn

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/hwreport"
)

// judgeGPUs makes findings of what was seen.
func (j *job) judgeGPUs(gpus []*gpuPart) {
	xids := make(map[string][]xid)
	for _, r := range j.records() {
		if x, ok := parseXID(r.Text); ok {
			xids[x.address] = append(xids[x.address], x)
		}
	}
	for _, g := range gpus {
		j.judgeTests(g.part)
		j.judgeGPU(g)
		slot := strings.TrimSuffix(g.address, ".0")
		for _, x := range xids[slot] {
			g.Load.XIDs = append(g.Load.XIDs, x.number)
			j.find(x.severity(g.Untested != ""), "burn.xid", g.ID, fmt.Sprintf("%s: XID %d during the load", g.Name, x.number), hwreport.Evidence{Source: "kernel log", Value: x.text})
		}
		delete(xids, slot)
	}
	for _, list := range xids {
		for _, x := range list {
			j.find(hwreport.Failure, "burn.xid", "", fmt.Sprintf("%s, which was not under load: XID %d", x.address, x.number), hwreport.Evidence{Source: "kernel log", Value: x.text})
		}
	}
	j.judgeEquals(gpus)
}

// xid is an error that the driver logged.
type xid struct {
	address string // without the function
	number  int64
	text    string
}

// severity of an XID under load. 43 and 45 follow from ending a worker that
// does not end itself; 63 says that a row of memory was replaced, 92 that many
// errors were corrected.
func (x xid) severity(ended bool) hwreport.Severity {
	switch {
	case ended && (x.number == 43 || x.number == 45):
		return hwreport.Info
	case x.number == 63 || x.number == 92:
		return hwreport.Warning
	}
	return hwreport.Failure
}

var xidText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`NVRM: Xid \(PCI:([0-9a-fA-F:]+)(?:\.[0-7])?\): *(\d+)`)
})

func parseXID(text string) (xid, bool) {
	m := xidText().FindStringSubmatch(text)
	if m == nil {
		return xid{}, false
	}
	n, err := strconv.ParseInt(m[2], 10, 64)
	return xid{strings.ToLower(m[1]), n, text}, err == nil
}

// judgeTests looks at errors that tests counted.
func (j *job) judgeTests(p *part) {
	for _, t := range p.Tests {
		if t.NaNs > 0 {
			j.find(hwreport.Failure, "burn.not-a-number", p.ID, fmt.Sprintf("%s: %d numbers were infinite or undefined in %d rounds of %s", p.Name, t.NaNs, t.Iterations, t.Name))
		}
		wrong := t.Errors - t.NaNs
		if wrong <= 0 {
			continue
		}
		code := wrongCode(t.Name)
		if p.Kind == "mem" {
			code = "burn.memory-errors"
		}
		var evidence []hwreport.Evidence
		for _, w := range t.First {
			evidence = append(evidence, hwreport.Evidence{Source: w.Where, Value: fmt.Sprintf("got %s, want %s", w.Got, w.Want)})
		}
		j.find(hwreport.Failure, code, p.ID, fmt.Sprintf("%s: %d errors in %d rounds of %s", p.Name, wrong, t.Iterations, t.Name), evidence...)
	}
}

// wrongCode is the finding that errors of a GPU's or a processor's test make.
func wrongCode(test string) string {
	if test == "memory" {
		return "burn.memory-errors"
	}
	return "burn.wrong-results"
}

func (j *job) judgeGPU(g *gpuPart) {
	find := func(s hwreport.Severity, code, format string, args ...any) {
		j.find(s, code, g.ID, g.Name+": "+fmt.Sprintf(format, args...))
	}
	if test := g.now.test; g.now.errors > 0 && !slices.ContainsFunc(g.Tests, func(t hwreport.BurnTest) bool { return t.Name == test }) {
		// Its worker ended before it told the result: what it had counted holds.
		find(hwreport.Failure, wrongCode(test), "%d errors were counted during %s, which did not end", g.now.errors, test)
	}
	if f := g.failed; f != nil && f.Load {
		find(hwreport.Failure, "burn.broke-under-load", "it stopped working during %s: %s", f.Test, f.Error)
	}
	if len(g.distrusted) > 0 {
		find(hwreport.Warning, "burn.distrusted", "kernels gave wrong products where others of the same matrices were right, and were not used: %s", strings.Join(g.distrusted, ", "))
	}
	if g.device != nil && g.device.MIG {
		find(hwreport.Warning, "burn.instance-only", "it is in MIG mode: one instance (%s, %d multiprocessors, %d bytes) was tested, the rest was not; switch MIG off to test all of it",
			g.device.Name, g.device.Multiprocessors, g.device.Memory)
	}
	for _, t := range hwreport.GPUThrottle {
		if n := g.Load.Throttle[t.Name]; n > 0 && t.Fault != "" {
			find(t.Fault, "burn.throttled", "%s in %d of %d samples under load", t.Name, n, g.Load.Samples)
		}
	}
	if g.first != nil {
		for _, c := range []struct {
			to          *hwreport.Field[int64]
			first, last hwreport.Field[int64]
			severity    hwreport.Severity
			code, what  string
		}{
			{&g.Load.Corrected, g.first.Corrected, g.last.Corrected, hwreport.Warning, "burn.ecc-corrected", "corrected"},
			{&g.Load.Uncorrected, g.first.Uncorrected, g.last.Uncorrected, hwreport.Failure, "burn.ecc-uncorrected", "not corrected"},
		} {
			from, ok1 := c.first.Get()
			to, ok2 := c.last.Get()
			switch {
			case !ok1 || !ok2:
				*c.to = hwreport.Unknown[int64](c.last.Reason())
				continue
			case g.first == g.last:
				*c.to = hwreport.Unknown[int64]("NVML gave only one sample")
				continue
			}
			*c.to = hwreport.Value(to - from)
			if to > from {
				find(c.severity, c.code, "%d errors were %s (ECC) during the load", to-from, c.what)
			}
		}
	}
	if now, ok := g.Load.Link.Get(); ok && g.link.Width > 0 {
		if now.Width < g.link.Width {
			find(hwreport.Failure, "burn.link-width", "the PCIe link had %d lanes under load, and both its ends can have %d", now.Width, g.link.Width)
		}
		if now.Generation < g.link.Generation {
			find(hwreport.Warning, "burn.link-speed", "the PCIe link was of generation %d under load, and both its ends can have %d", now.Generation, g.link.Generation)
		}
	}
	best := 0.0
	for _, t := range g.Tests {
		r, share := t.Rate.Or(0), t.Against.Or(1)
		if _, ok := t.Rate.Get(); ok && t.Unit == "FLOP/s" {
			best = max(best, r)
			if least := j.minimum[t.Name]; least > 0 && r < least {
				find(hwreport.Failure, "burn.below-minimum", "%s gave %s, and --min-tflops asks for %s", t.Name, rate(r, t.Unit), rate(least, t.Unit))
			}
		}
		if t.Name == "memory" && share < gpuMemoryWarning {
			find(hwreport.Warning, "burn.slow-memory", "the memory test moved %s, %.0f %% of what the driver's own copy does", rate(r, t.Unit), 100*share)
		}
	}
	var unmeasured []string
	for _, name := range slices.Sorted(maps.Keys(j.minimum)) {
		if !slices.ContainsFunc(g.Tests, func(t hwreport.BurnTest) bool {
			_, ok := t.Rate.Get()
			return ok && t.Unit == "FLOP/s" && (t.Name == name || name == "")
		}) {
			unmeasured = append(unmeasured, strings.TrimSpace(name+" rate"))
		}
	}
	if unmeasured != nil && g.Untested == "" {
		g.Untested = "no " + strings.Join(unmeasured, ", no ") + " to hold against --min-tflops"
	}
	if least := j.minimum[""]; least > 0 && best < least && g.Untested == "" {
		find(hwreport.Failure, "burn.below-minimum", "the best product gave %s, and --min-tflops asks for %s", rate(best, "FLOP/s"), rate(least, "FLOP/s"))
	}
}

// judgeEquals holds GPUs of one model against each other.
func (j *job) judgeEquals(gpus []*gpuPart) {
	models := make(map[string][]*part)
	for _, g := range gpus {
		if g.device != nil {
			models[g.device.Name] = append(models[g.device.Name], g.part)
		}
	}
	for _, equals := range models {
		j.spread(equals, gpuSlowWarning, gpuSlowFailure)
	}
}

// spread finds parts that are slower than the median of their equals, test by
// test. Copies over PCIe are left out: see limits.go.
func (j *job) spread(equals []*part, warning, failure float64) {
	rates := make(map[string][]float64)
	for _, p := range equals {
		for _, t := range p.Tests {
			if r, ok := t.Rate.Get(); ok {
				rates[t.Name] = append(rates[t.Name], r)
			}
		}
	}
	for _, p := range equals {
		for _, t := range p.Tests {
			r, ok := t.Rate.Get()
			if !ok || strings.HasPrefix(t.Name, "pcie-") || len(rates[t.Name]) < 2 {
				continue
			}
			m := median(rates[t.Name])
			below := 1 - r/m
			severity := hwreport.Warning
			switch {
			case below > failure:
				severity = hwreport.Failure
			case !(below > warning):
				continue
			}
			j.find(severity, "burn.slow", p.ID, fmt.Sprintf("%s: %s gave %s, %.0f %% below the median of its %d equals, %s", p.Name, t.Name, rate(r, t.Unit), 100*below, len(rates[t.Name]), rate(m, t.Unit)))
		}
	}
}

func median(list []float64) float64 {
	l := slices.Sorted(slices.Values(list))
	if n := len(l); n%2 == 0 {
		return (l[n/2-1] + l[n/2]) / 2
	}
	return l[len(l)/2]
}
