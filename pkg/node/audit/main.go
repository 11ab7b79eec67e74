package audit

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// usage is what --help shows.
const usage = `usage: audit [--root DIR] [--json] [--boot]

Looks at the machine and shows what it found. The exit status is 0 when all is
fine, 1 with warnings, 2 with failures, 3 when a collector could not finish.

  --root DIR   look at a captured tree instead of this machine
  --json       write the whole report instead of a summary
  --boot       write the report to /` + hwreport.Path + `, for the boot: exit
               status 0 whatever it finds

Run as root: much of what it reads is for root alone.
`

// width of the summary, columns.
const width = 100

// Main is the command. It returns the exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	root := flags.String("root", "/", "")
	asJSON := flags.Bool("json", false, "")
	atBoot := flags.Bool("boot", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stdout, usage)
			return 0
		}
		if err == nil {
			err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
		}
		fmt.Fprintf(stderr, "audit: %v\n%s", err, usage)
		return 3
	}
	if fi, err := os.Stat(*root); err != nil || !fi.IsDir() {
		fmt.Fprintf(stderr, "audit: look at %s: it is no folder that can be read\n", *root)
		return 3
	}
	m := NewMachine(os.DirFS(*root), filepath.Clean(*root) == "/")
	if *atBoot {
		bootMode(m, *root, stdout, stderr)
		return 0
	}
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: m})
	if err := show(r, *asJSON, stdout); err != nil {
		fmt.Fprintf(stderr, "audit: %v\n", err)
		return 3
	}
	return r.Verdict.ExitStatus()
}

func show(r *hwreport.Report, asJSON bool, w io.Writer) error {
	if asJSON {
		b, err := r.Encode()
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	for _, line := range hwreport.Summary(r, width) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// bootMode writes the report and tells the supervisor what is in it. What goes
// wrong is said, loudly; the boot goes on.
func bootMode(m Machine, root string, stdout, stderr io.Writer) {
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: m})
	for _, c := range r.Collectors() {
		if c.Status != hwreport.OK {
			fmt.Fprintf(stderr, "audit: collector %s: %s %s\n", c.Name, c.Status, c.Error)
		}
	}
	failures, warnings, infos := r.Count()
	fmt.Fprintf(stdout, "audit: %s in %d ms: %d failures, %d warnings, %d notes\n", r.Verdict, r.Duration.Milliseconds(), failures, warnings, infos)
	if err := Write(filepath.Join(root, hwreport.Path), r); err != nil {
		fmt.Fprintf(stderr, "audit: %v; the report is lost, run audit --json for another\n", err)
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
