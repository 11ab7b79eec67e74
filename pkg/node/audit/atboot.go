package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// bootMode writes the report while it grows and tells the supervisor what is
// in it. What goes wrong is said, loudly; the boot goes on.
type bootMode struct {
	file           string // of the report
	machine        Machine
	collectors     []Collector
	drivers        io.Reader // ends when the drivers are there that the boot loads; nil: they are
	stdout, stderr io.Writer
	written        time.Time // last state of the growing report
}

func (b *bootMode) run() {
	var sketch *hwreport.Report
	if b.drivers != nil {
		sketch = b.firstLook()
	}
	r := Run(context.Background(), Config{Collectors: b.collectors, Machine: b.machine.again(b.machine.Ask), Sketch: sketch, Partial: b.partial})
	for _, c := range r.Collectors() {
		if c.Status != hwreport.OK {
			fmt.Fprintf(b.stderr, "audit: collector %s: %s %s\n", c.Name, c.Status, c.Error)
		}
	}
	failures, warnings, infos := r.Count()
	fmt.Fprintf(b.stdout, "audit: %s in %d ms: %d failures, %d warnings, %d notes\n", r.Verdict, r.Duration.Milliseconds(), failures, warnings, infos)
	if err := Write(b.file, r); err != nil {
		fmt.Fprintf(b.stderr, "audit: %v; the report is lost, run audit --json for another\n", err)
		notify.Degraded("the report could not be written: " + err.Error())
		return
	}
	notify.Status(string(r.Verdict))
	switch r.Verdict {
	case hwreport.Broken:
		notify.Degraded(fmt.Sprintf("%d failures, first: %s", failures, r.Findings[0].Message))
	case hwreport.Incomplete:
		notify.Degraded("a collector could not finish; see the report")
	}
}

// firstLook reads what is in files while drivers are being loaded, so that there is a
// report where one of them hangs. It asks no device: some are being set up, and a slow
// one must not hold up the look that counts. It comes back when the drivers are there,
// with what it saw; nil: they were there before its end.
func (b *bootMode) firstLook() *hwreport.Report {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		if _, err := io.Copy(io.Discard, b.drivers); err != nil {
			fmt.Fprintf(b.stderr, "audit: wait for the drivers: read standard input: %v; going on without\n", err)
		}
	}()
	s := sketch(Run(ctx, Config{Collectors: b.collectors, Machine: b.machine.again(device.Nothing{}), Partial: func(r *hwreport.Report) { b.partial(sketch(r)) }}))
	if ctx.Err() != nil {
		b.hurry()
		return nil
	}
	b.written = time.Time{}
	b.partial(s)
	notify.Status("had a first look, waits for the drivers")
	<-ctx.Done()
	b.hurry()
	return s
}

// hurry takes back the niceness that the first look has: drivers go before that.
func (b *bootMode) hurry() {
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, 0); err != nil {
		fmt.Fprintf(b.stderr, "audit: set the priority: %v; going on\n", err)
	}
}

// sketch is what a first look saw. No collector is at its end with that, and what it
// found may be nothing but a driver that is not there yet.
func sketch(r *hwreport.Report) *hwreport.Report {
	s := *r
	s.Findings, s.Complete = []hwreport.Finding{}, false
	for _, c := range s.Collectors() {
		if c.Status != hwreport.Skipped {
			c.Status, c.Error, c.Duration = hwreport.Running, "", 0
		}
	}
	s.Verdict = s.Judge()
	return &s
}

// partial writes a state of the growing report, not too often.
func (b *bootMode) partial(r *hwreport.Report) {
	if time.Since(b.written) < spacing {
		return
	}
	if err := Write(b.file, r); err != nil {
		fmt.Fprintf(b.stderr, "audit: %v; going on\n", err)
	}
	b.written = time.Now()
}

// spacing is the least time between two states of a growing report.
const spacing = 300 * time.Millisecond

// Write writes a report to the file name, mode 0644, whole or not at all.
func Write(name string, r *hwreport.Report) (err error) {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".bee-audit-*")
	if err != nil {
		return fmt.Errorf("write audit report: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write audit report %s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
