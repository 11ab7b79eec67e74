package audit

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/tree"
)

// usage is what --help shows.
const usage = `usage: audit [options]              look at the machine and show what was found
       audit diff [--json] A B      what changed from report A to report B
       audit check --golden FILE    hold the machine against a report of what it
             or --profile FILE      should be, or against limits
       audit capture [--redact] FILE
                                    keep everything that a collector reads,
                                    answers of devices included, in one archive

  --json          the whole report
  --html          a page that stands alone, with the PCIe tree and the DIMM map
  --qr            a QR code of who the machine is and how it does
  --schema        the JSON Schema of the report
  --only A,B      these sections alone
  --watch         look again every --interval (10s) and tell what changed
  --root PATH     look at a folder, or play back an archive of audit capture
  --boot          write the report to /` + hwreport.Path + `, for the boot: exit
                  status 0 whatever it finds
  --ahead         of --boot: drivers are still being loaded, standard input ends
                  when they are there; look at files alone until then
  --report FILE   of check: a report instead of looking at the machine
  --redact        hashes instead of serial numbers and addresses; the key stands
                  in the file that --key FILE names, or is made and forgotten

The exit status is 0 when all is fine, 1 with warnings, 2 with failures, 3 when
a collector could not finish or the command line is wrong. diff exits with 1
where something changed; check with 2 where something is not as it should be.

Run as root: much of what it reads is for root alone.
`

// width of the summary, columns.
const width = 100

// patience is how long one read of a file or one question to a device may take.
const patience = 2 * time.Second

// options is the command line.
type options struct {
	root, only, golden, profile, report, key string
	json, html, qr, schema, watch, redact    bool
	boot, ahead                              bool
	interval                                 time.Duration
	args                                     []string
	stdout, stderr                           io.Writer
}

// Main is the command. It returns the exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	// A run makes some ten MiB of garbage and ends: collecting it costs more
	// than the memory. The limit holds where a machine has more to tell.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20)
	o := options{stdout: stdout, stderr: stderr}
	verb := ""
	if len(args) > 0 && slices.Contains([]string{"diff", "check", "capture"}, args[0]) {
		verb, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, f := range []struct {
		name string
		to   *string
		def  string
	}{{"root", &o.root, "/"}, {"only", &o.only, ""}, {"golden", &o.golden, ""}, {"profile", &o.profile, ""}, {"report", &o.report, ""}, {"key", &o.key, ""}} {
		flags.StringVar(f.to, f.name, f.def, "")
	}
	for _, f := range []struct {
		name string
		to   *bool
	}{{"json", &o.json}, {"html", &o.html}, {"qr", &o.qr}, {"schema", &o.schema}, {"watch", &o.watch}, {"boot", &o.boot}, {"ahead", &o.ahead}, {"redact", &o.redact}} {
		flags.BoolVar(f.to, f.name, false, "")
	}
	flags.DurationVar(&o.interval, "interval", 10*time.Second, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	o.args = flags.Args()
	if err == nil {
		err = o.arguments(verb)
	}
	if err != nil {
		fmt.Fprintf(stderr, "audit: %v\n%s", err, usage)
		return 3
	}
	status, err := o.run(verb)
	if err != nil {
		fmt.Fprintf(stderr, "audit: %v\n", err)
		return 3
	}
	return status
}

// arguments checks how many there are and that options fit together.
func (o *options) arguments(verb string) error {
	want := map[string]int{"": 0, "diff": 2, "check": 0, "capture": 1}[verb]
	switch {
	case len(o.args) > want:
		return fmt.Errorf("unexpected argument %q", o.args[want])
	case len(o.args) < want:
		return fmt.Errorf("%s needs %d file names", verb, want)
	case verb == "check" && (o.golden == "") == (o.profile == ""):
		return errors.New("check needs one of --golden FILE and --profile FILE")
	case o.interval <= 0:
		return fmt.Errorf("--interval %v: it must be longer than nothing", o.interval)
	case o.boot && filepath.Clean(o.root) != "/":
		return errors.New("--boot is for this machine, not for --root")
	case o.ahead && !o.boot:
		return errors.New("--ahead is for --boot")
	}
	return nil
}

func (o *options) run(verb string) (int, error) {
	switch {
	case verb == "diff":
		return o.diff()
	case verb == "check":
		return o.check()
	case verb == "capture":
		return o.capture()
	case o.schema:
		_, err := io.WriteString(o.stdout, hwreport.JSONSchema)
		return 0, err
	case o.boot:
		m, _, err := open("/")
		if err != nil {
			return 0, err
		}
		b := bootMode{file: filepath.Join("/", hwreport.Path), machine: m, collectors: Collectors, stdout: o.stdout, stderr: o.stderr}
		if o.ahead {
			b.drivers = os.Stdin
		}
		b.run()
		return 0, nil
	case o.watch:
		return o.watchOn()
	}
	r, err := o.look(nil)
	if err != nil {
		return 0, err
	}
	if err := o.show(r); err != nil {
		return 0, err
	}
	return r.Verdict.ExitStatus(), nil
}

// open makes the machine behind --root: this one, a folder, or an archive.
func open(root string) (Machine, *tree.Meta, error) {
	if filepath.Clean(root) == "/" {
		return NewMachine(tree.NewLive("/", patience), device.NewLive(patience)), nil, nil
	}
	fi, err := os.Stat(root)
	if err != nil {
		return Machine{}, nil, fmt.Errorf("look at %s: %w", root, err)
	}
	if fi.IsDir() {
		t, err := tree.ReadDir(root)
		if errors.Is(err, tree.ErrNoArchive) {
			return filesAlone(os.DirFS(root)), nil, nil
		}
		if err != nil {
			return Machine{}, nil, fmt.Errorf("look at %s: %w", root, err)
		}
		return NewMachine(t, t), &t.Meta, nil
	}
	f, err := os.Open(root)
	if err != nil {
		return Machine{}, nil, err
	}
	defer f.Close()
	t, err := tree.Read(f)
	if err != nil {
		return Machine{}, nil, fmt.Errorf("look at %s: %w", root, err)
	}
	if !t.Captured() {
		return filesAlone(t), nil, nil
	}
	return NewMachine(t, t), &t.Meta, nil
}

// filesAlone is a tree that somebody copied: names of PCI devices come from
// this machine if it has none.
func filesAlone(root fs.FS) Machine {
	m := NewMachine(root, device.Nothing{})
	m.Names = os.DirFS("/")
	return m.shared()
}

// chosen is the collectors of --only.
func (o *options) chosen() ([]Collector, error) {
	if o.only == "" {
		return Collectors, nil
	}
	var list []Collector
	for _, name := range strings.Split(o.only, ",") {
		i := slices.IndexFunc(Collectors, func(c Collector) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--only %s: there is no such section; there are %s", name, strings.Join(hwreport.SectionNames(), ", "))
		}
		list = append(list, Collectors[i])
	}
	return list, nil
}

// look runs the collectors, or reads the file of --report.
func (o *options) look(partial func(*hwreport.Report)) (*hwreport.Report, error) {
	if o.report != "" {
		return readReport(o.report)
	}
	list, err := o.chosen()
	if err != nil {
		return nil, err
	}
	m, past, err := open(o.root)
	if err != nil {
		return nil, err
	}
	r := Run(context.Background(), Config{Collectors: list, Machine: m, Past: past, Partial: partial})
	if o.redact {
		key, err := o.secret()
		if err != nil {
			return nil, err
		}
		return hwreport.Redact(r, key)
	}
	return r, nil
}

func readReport(name string) (*hwreport.Report, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r, err := hwreport.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

func (o *options) show(r *hwreport.Report) error {
	switch {
	case o.json:
		b, err := r.Encode()
		if err != nil {
			return err
		}
		_, err = o.stdout.Write(b)
		return err
	case o.html:
		return writeHTML(o.stdout, r)
	case o.qr:
		return writeQR(o.stdout, r)
	}
	return lines(o.stdout, hwreport.Summary(r, width))
}

func lines(w io.Writer, list []string) error {
	for _, line := range list {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
