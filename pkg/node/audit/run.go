package audit

import (
	"context"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
	"github.com/bee-os/bee/pkg/node/audit/tree"
)

// section joins a collector's function to its place in the report. The
// function works on data of its own: one that goes on after its deadline
// changes nothing any more.
func section[T any](name string, deadline time.Duration, pick func(*hwreport.Report) *hwreport.Section[T],
	collect func(context.Context, Machine, *T) ([]hwreport.Finding, error), source ...string) Collector {
	type result struct {
		data     T
		findings []hwreport.Finding
		err      error
	}
	c := Collector{Name: name, Deadline: deadline, Source: source}
	c.section = func(r *hwreport.Report) *hwreport.Collector { return &pick(r).Collector }
	c.collect = func(ctx context.Context, m Machine, past *tree.Collector) func(*hwreport.Report) {
		if past != nil && past.TimedOut { // it gave no answer then; what it would now is another story
			return func(r *hwreport.Report) {
				s := pick(r)
				s.Collector.Status, s.Collector.Duration = hwreport.Timeout, past.Duration
				s.Collector.Error = noAnswer(deadline).Error()
				hwreport.Fill(&s.Data, string(hwreport.Timeout)+": "+s.Collector.Error)
			}
		}
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		began := time.Now()
		done := make(chan result, 1)
		go func() {
			var r result
			defer func() {
				if p := recover(); p != nil {
					r.err = fmt.Errorf("panic: %v%s", p, origin(debug.Stack()))
				}
				done <- r
			}()
			// A little less than the deadline: what asks many things comes back
			// with those that were answered.
			most, cancel := context.WithTimeout(ctx, deadline-deadline/8)
			defer cancel()
			r.findings, r.err = collect(most, m, &r.data)
		}()
		var got result
		status := hwreport.OK
		select {
		case got = <-done:
			if got.err != nil {
				status = hwreport.Failed
			}
		case <-ctx.Done():
			status, got.err = hwreport.Timeout, noAnswer(deadline)
		}
		took := time.Since(began)
		if past != nil {
			took = past.Duration
		}
		return func(r *hwreport.Report) {
			s := pick(r)
			s.Data = got.data
			s.Collector.Status, s.Collector.Duration = status, took
			reason := hwreport.NotCollected
			if got.err != nil {
				s.Collector.Error = got.err.Error()
				reason = string(status) + ": " + s.Collector.Error
			}
			hwreport.Fill(&s.Data, reason)
			r.Findings = append(r.Findings, got.findings...)
		}
	}
	return c
}

// each does something for each of n things, at most so many side by side. One
// that panics spoils no other: broke is told of it.
func each(n, most int, do func(i int), broke func(i int, why string)) {
	var wait sync.WaitGroup
	gate := make(chan struct{}, most)
	for i := range n {
		wait.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			defer func() {
				if p := recover(); p != nil {
					broke(i, fmt.Sprintf("panic: %v%s", p, origin(debug.Stack())))
				}
			}()
			do(i)
		})
	}
	wait.Wait()
}

func noAnswer(deadline time.Duration) error { return fmt.Errorf("timed out after %v", deadline) }

// origin is the first line of bee's own code in a stack, after a blank.
func origin(stack []byte) string {
	for line := range strings.Lines(string(stack)) {
		if i := strings.Index(line, "/node/audit/"); i >= 0 && !strings.Contains(line, "/run.go:") && strings.Contains(line, ".go:") {
			return " at " + strings.TrimSpace(line[i+1:])
		}
	}
	return ""
}

// Config is what Run needs beside the collectors.
type Config struct {
	Collectors []Collector
	Machine    Machine
	// Partial is called with the report as it grows, from one goroutine; nil:
	// not at all.
	Partial func(*hwreport.Report)
	// Sketch is what an earlier look saw. It stands in the growing report until a
	// collector is at its end; nil: nothing does.
	Sketch *hwreport.Report
	// Past is when and how long the collectors ran whose archive is looked at;
	// nil: they run now.
	Past *tree.Meta
}

// NewMachine is a machine whose files lie below root. Its SMBIOS tables and
// its PCI bus are read once, by whoever asks first.
func NewMachine(root fs.FS, ask device.Asker) Machine {
	m := Machine{Root: root, Ask: ask, Now: time.Now, DMI: sync.OnceValues(func() (smbios.Tables, error) { return smbios.Read(root) })}
	return m.shared()
}

// shared makes the looks that collectors share, of the machine as it is now.
func (m Machine) shared() Machine {
	m.pci = sync.OnceValue(func() scan { return scanPCI(m) })
	return m
}

// again is the same machine for another look, which reads all anew and asks ask.
func (m Machine) again(ask device.Asker) Machine {
	n := NewMachine(m.Root, ask)
	n.Now, n.Names = m.Now, m.Names
	return n.shared()
}

// Run runs the collectors and returns the whole report. It takes no longer
// than the longest deadline.
func Run(ctx context.Context, c Config) *hwreport.Report {
	began := time.Now()
	m := c.Machine
	r := &hwreport.Report{}
	if c.Sketch != nil {
		*r = *c.Sketch
	}
	r.Schema, r.Started, r.Findings = hwreport.Schema, m.Now().UTC().Round(0), []hwreport.Finding{}
	if c.Past != nil {
		r.Started = c.Past.Started
		m.Now = func() time.Time { return c.Past.Started }
	}
	r.BootID = text(m.Root, "proc/sys/kernel/random/boot_id")
	for i, s := range r.Collectors() {
		s.Name, s.Status, s.Source = hwreport.SectionNames()[i], hwreport.Skipped, []string{}
	}
	put := make(chan func(*hwreport.Report), len(c.Collectors))
	for _, col := range c.Collectors {
		s := col.section(r)
		s.Status, s.Deadline, s.Source = hwreport.Running, col.Deadline, col.Source
		var past *tree.Collector
		if c.Past != nil {
			k := c.Past.Ended[col.Name]
			past = &k
		}
		go func() { put <- col.collect(ctx, m, past) }()
	}
	partial := func() {
		if c.Partial != nil {
			r.Verdict = r.Judge()
			c.Partial(r)
		}
	}
	if len(c.Collectors) > 0 && c.Sketch == nil {
		partial()
	}
	for left := len(c.Collectors); left > 0; {
		(<-put)(r)
		left--
		for more := true; more && left > 0; { // those that ended meanwhile
			select {
			case f := <-put:
				f(r)
				left--
			default:
				more = false
			}
		}
		r.Duration = time.Since(began)
		if left > 0 {
			partial()
		}
	}
	if c.Past != nil {
		r.Duration = c.Past.Duration
	}
	finish(r)
	return r
}

// compared holds sections against each other. Should that panic, the report is
// there nevertheless, and says so.
func compared(r *hwreport.Report, across func(*hwreport.Report) []hwreport.Finding) (found []hwreport.Finding) {
	defer func() {
		if p := recover(); p != nil {
			why := fmt.Sprintf("panic: %v%s", p, origin(debug.Stack()))
			found = []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "boot.audit-broken", "", "the audit itself failed where it holds sections against each other; what was read is in the report",
				hwreport.Evidence{Source: "audit", Value: why})}
		}
	}()
	return across(r)
}

// finish makes the report whole.
func finish(r *hwreport.Report) {
	hwreport.Fill(r, hwreport.NotCollected)
	r.Findings = append(r.Findings, compared(r, across)...)
	hwreport.SortFindings(r.Findings)
	r.Findings = slices.CompactFunc(r.Findings, func(a, b hwreport.Finding) bool { return a.ID == b.ID })
	r.Complete = true
	r.Verdict = r.Judge()
}
