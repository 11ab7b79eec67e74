// Package burn puts hardware under load and judges how it does: GPUs,
// processors, memory and disks. It knows the makers' libraries only through
// programs of the compat root, one a GPU, which it starts, watches and ends.
package burn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/compat"
	"github.com/bee-os/bee/pkg/node/kmsg"
)

// kind is one sort of hardware. run puts it under load until the time is over
// or ctx ends; it returns an error where nothing of it could be tested.
type kind struct {
	name string
	run  func(ctx context.Context, j *job) error
}

// kinds lists them.
func kinds() []kind {
	return []kind{
		{"gpu", burnGPUs},
		{"cpu", burnCPU},
		{"mem", burnMemory},
		{"disk-read", burnDisks},
	}
}

// host is the machine, as far as a test replaces it.
type host struct {
	root         fs.FS
	command      func(program string, args ...string) ([]string, error) // of the compat root
	log          func() (logReader, error)                              // from now on
	grace        time.Duration                                          // that a worker may take beyond its time
	firstSample  time.Duration                                          // that workers wait for NVML's
	computations func() []computation
	open         func(disk string) (disk, error)
	env          []string // of children, beside their own
	report       string   // where the report goes; empty: nowhere
}

func machine() host {
	root := os.DirFS("/")
	return host{
		root:         root,
		command:      func(program string, args ...string) ([]string, error) { return compat.Args(root, program, args...) },
		log:          openLog,
		computations: computations,
		open:         openDisk,
		grace:        time.Minute,
		firstSample:  10 * time.Second,
		report:       "/" + hwreport.BurnPath,
	}
}

// job is one burn-in. Several goroutines fill it.
type job struct {
	host
	options
	started time.Time
	kernel  logReader // nil: the kernel's log cannot be read

	mu       sync.Mutex
	parts    []*part
	findings []hwreport.Finding
	untested []string

	logMu sync.Mutex
	said  []kmsg.Record // of the kernel's log
	lost  uint64        // records of it
}

// part is a part under load, with what it does now.
type part struct {
	hwreport.BurnPart
	now now
}

// now is a line of the live table.
type now struct {
	test   string
	rate   float64
	unit   string
	errors int64
	temp   hwreport.Field[int64] // °C
	power  hwreport.Field[int64] // mW
	clock  hwreport.Field[int64] // MHz
}

// add makes a part. What is done to it later goes through change.
func (j *job) add(p hwreport.BurnPart) *part {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.Tests == nil {
		p.Tests = []hwreport.BurnTest{}
	}
	if p.Load.Throttle == nil {
		p.Load.Throttle = make(map[string]int64)
	}
	if p.Load.XIDs == nil {
		p.Load.XIDs = []int64{}
	}
	added := &part{BurnPart: p}
	j.parts = append(j.parts, added)
	return added
}

// change changes parts while nobody looks.
func (j *job) change(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
}

// find tells something about a part.
func (j *job) find(s hwreport.Severity, code, subject, message string, evidence ...hwreport.Evidence) {
	j.change(func() { j.findings = append(j.findings, hwreport.NewFinding(s, code, subject, message, evidence...)) })
}

// left is how much of the time is left.
func (j *job) left() time.Duration { return max(0, j.options.time-time.Since(j.started)) }

// run is a burn-in from its beginning to the report. It returns the exit status.
func run(ctx context.Context, h host, o options, stdout, stderr io.Writer) int {
	j := &job{host: h, options: o, started: time.Now()}
	var err error
	if j.kernel, err = h.log(); err != nil {
		j.kernel = nil
		j.find(hwreport.Warning, "burn.unwatched", "", "the kernel's log cannot be read: "+err.Error())
	} else {
		defer j.kernel.close()
	}
	screen := stdout
	if o.json {
		screen = stderr // the standard output is for the report
	}
	stop, drained := j.show(screen), j.drain()
	var wait sync.WaitGroup
	for _, k := range kinds() {
		if slices.Contains(o.kinds, k.name) {
			wait.Go(func() { j.guarded(ctx, k) })
		}
	}
	wait.Wait()
	stop()
	drained()
	j.judgeKernel()
	r := j.result(ctx.Err() != nil)
	printSummary(screen, r)
	status := r.Verdict.ExitStatus()
	for _, err := range j.write(r, stdout) {
		fmt.Fprintf(stderr, "burn: %v\n", err)
		if status == 0 {
			status = hwreport.Incomplete.ExitStatus()
		}
	}
	return status
}

// guarded runs a kind: that it fails, or panics, spoils no other.
func (j *job) guarded(ctx context.Context, k kind) {
	defer func() {
		if v := recover(); v != nil {
			j.change(func() { j.untested = append(j.untested, fmt.Sprintf("%s: panic: %v\n%s", k.name, v, debug.Stack())) })
		}
	}()
	if err := k.run(ctx, j); err != nil {
		j.change(func() { j.untested = append(j.untested, fmt.Sprintf("%s: %v", k.name, err)) })
	}
}

// result makes the report.
func (j *job) result(interrupted bool) *hwreport.Burn {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &hwreport.Burn{
		Schema: hwreport.BurnSchema, Started: j.started, Asked: j.options.time.Seconds(), Took: time.Since(j.started).Seconds(),
		Interrupted: interrupted, Untested: append([]string{}, j.untested...), Parts: []hwreport.BurnPart{}, Findings: append([]hwreport.Finding{}, j.findings...),
	}
	for _, p := range j.parts {
		hwreport.Fill(&p.BurnPart, "not measured")
		r.Parts = append(r.Parts, p.BurnPart)
	}
	hwreport.SortFindings(r.Findings)
	r.Judge()
	return r
}

// write puts the report where it is wanted.
func (j *job) write(r *hwreport.Burn, stdout io.Writer) (errs []error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return []error{err}
	}
	b = append(b, '\n')
	// /var/log is ours: what was there in place of the report goes. What the user
	// names stays what it is.
	for _, to := range []struct {
		name  string
		write func(string, []byte) error
	}{{j.report, replaceFile}, {j.file, writeFile}} {
		if to.name == "" {
			continue
		}
		if err := to.write(to.name, b); err != nil {
			errs = append(errs, fmt.Errorf("write the report: %w", err))
		}
	}
	if j.json {
		if _, err := stdout.Write(b); err != nil {
			errs = append(errs, fmt.Errorf("write the report: %w", err))
		}
	}
	return errs
}

// writeFile writes what the user named. What is there and is no file, as a device
// or a pipe, is written to: it must not be replaced. Behind a symbolic link it is
// the file that is replaced.
func writeFile(name string, b []byte) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		// A new one, or one that replaceFile will complain about.
	case info.Mode().IsRegular():
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
	default:
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return errors.Join(err, f.Close())
	}
	return replaceFile(name, b)
}

// replaceFile replaces a file as a whole.
func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".burn-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
