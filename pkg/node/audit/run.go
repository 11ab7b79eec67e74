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
	"github.com/bee-os/bee/pkg/node/audit/smbios"
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
	c.collect = func(ctx context.Context, m Machine) func(*hwreport.Report) {
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
			r.findings, r.err = collect(ctx, m, &r.data)
		}()
		var got result
		status := hwreport.OK
		select {
		case got = <-done:
			if got.err != nil {
				status = hwreport.Failed
			}
		case <-ctx.Done():
			status, got.err = hwreport.Timeout, fmt.Errorf("gave no answer within %v", deadline)
		}
		took := time.Since(began)
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
}

// NewMachine is a machine whose files lie below root. Its SMBIOS tables are
// read once, by whoever asks first.
func NewMachine(root fs.FS, live bool) Machine {
	return Machine{Root: root, Live: live, DMI: sync.OnceValues(func() (smbios.Tables, error) { return smbios.Read(root) })}
}

// Run runs the collectors and returns the whole report. It takes no longer
// than the longest deadline.
func Run(ctx context.Context, c Config) *hwreport.Report {
	began := time.Now()
	r := &hwreport.Report{Schema: hwreport.Schema, Started: began.UTC().Round(0), Findings: []hwreport.Finding{}}
	r.BootID = text(c.Machine.Root, "proc/sys/kernel/random/boot_id")
	for _, s := range r.Collectors() {
		s.Status = hwreport.Skipped
		s.Source = []string{}
	}
	put := make(chan func(*hwreport.Report))
	for _, col := range c.Collectors {
		s := col.section(r)
		s.Name, s.Status, s.Deadline, s.Source = col.Name, hwreport.Running, col.Deadline, col.Source
		go func() { put <- col.collect(ctx, c.Machine) }()
	}
	for i, name := range hwreport.SectionNames() {
		r.Collectors()[i].Name = name
	}
	if c.Partial != nil && len(c.Collectors) > 0 {
		c.Partial(r)
	}
	for i := range c.Collectors {
		(<-put)(r)
		r.Duration = time.Since(began)
		last := i == len(c.Collectors)-1
		if last {
			finish(r)
		} else if c.Partial != nil {
			r.Verdict = r.Judge()
		}
		if c.Partial != nil && !last {
			c.Partial(r)
		}
	}
	return r
}

// finish makes the report whole.
func finish(r *hwreport.Report) {
	hwreport.Fill(r, hwreport.NotCollected)
	r.Findings = append(r.Findings, across(r)...)
	hwreport.SortFindings(r.Findings)
	r.Findings = slices.CompactFunc(r.Findings, func(a, b hwreport.Finding) bool { return a.ID == b.ID })
	r.Complete = true
	r.Verdict = r.Judge()
}
