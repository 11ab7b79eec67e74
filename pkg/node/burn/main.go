package burn

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
)

// usage is what --help shows.
const usage = `usage: burn [options] gpu|cpu|mem|disk-read|all …     put hardware under load
       gpuburn [options]                              the same as burn gpu

  --time 60s      how long; every kind runs at the same time
  --json[=FILE]   the report as JSON, to the standard output or a file
  --gpus LIST     these GPUs alone: all, or numbers in the order of the PCI bus,
                  UUIDs or PCI addresses, with commas between
  --min-tflops X  fail a GPU whose best product is slower, TFLOP/s;
                  or test=X,… for fp32, fp64, tf32, fp16, bf16
  --threads N     processors that burn cpu and burn mem use (all)
  --size BYTES    memory that burn mem tests: 4G, 512M (what can be spared)
  DISK …          behind disk-read: these disks alone, as sda or /dev/sda (all)

GPUs multiply matrices, hold the products against each other, and test their
memory. Processors compute what is known. Memory is filled with patterns. Disks
are read, each from its beginning, as far as the time reaches, and never written;
one that was named and not read to its end makes a warning.

The report also goes to /` + hwreport.BurnPath + `.

The exit status is 0 when all passed, 1 with warnings, 2 with failures, 3 when
something could not be tested or the run was ended early, and 64 when the
command line is wrong. A failure outweighs what could not be tested.

Run as root.
`

// Exit statuses beyond those of a verdict.
const badUsage = 64 // sysexits(3): EX_USAGE

// options is the command line.
type options struct {
	kinds   []string
	time    time.Duration
	gpus    string
	minimum map[string]float64 // FLOP/s; "" is the best of all
	threads int
	size    int64
	disks   []string
	json    bool
	file    string
}

// Main is the command burn. It returns the exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "burn: %v\n%s", err, usage)
		return badUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // who asks twice is not kept waiting
	return run(ctx, machine(), o, stdout, stderr)
}

// MainGPU is the command gpuburn. It returns the exit status.
func MainGPU(args []string, stdout, stderr io.Writer) int {
	return Main(append([]string{"gpu"}, args...), stdout, stderr)
}

func parse(args []string) (options, error) {
	o := options{time: time.Minute, minimum: make(map[string]float64)}
	f := flag.NewFlagSet("burn", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.DurationVar(&o.time, "time", o.time, "")
	f.StringVar(&o.gpus, "gpus", "all", "")
	f.IntVar(&o.threads, "threads", 0, "")
	f.BoolFunc("json", "", func(s string) error {
		if o.json = true; s != "true" {
			o.json, o.file = false, s
		}
		return nil
	})
	f.Func("size", "", func(s string) (err error) {
		o.size, err = parseSize(s)
		return err
	})
	f.Func("min-tflops", "", func(s string) error { return parseMinimum(o.minimum, s) })
	for len(args) > 0 { // options may stand behind words
		if err := f.Parse(args); err != nil {
			return o, err
		}
		if args = f.Args(); len(args) == 0 {
			break
		}
		switch word := args[0]; {
		case word == "all":
			for _, k := range kinds() {
				o.kinds = append(o.kinds, k.name)
			}
		case slices.ContainsFunc(kinds(), func(k kind) bool { return k.name == word }):
			o.kinds = append(o.kinds, word)
		case slices.Contains(o.kinds, "disk-read"):
			o.disks = append(o.disks, strings.TrimPrefix(word, "/dev/"))
		default:
			return o, fmt.Errorf("%q is nothing that can be put under load", word)
		}
		args = args[1:]
	}
	slices.Sort(o.kinds)
	o.kinds = slices.Compact(o.kinds)
	switch {
	case len(o.kinds) == 0:
		return o, errors.New("what is to be put under load?")
	case o.time < time.Second:
		return o, fmt.Errorf("--time %v is shorter than a second", o.time)
	case o.threads < 0:
		return o, fmt.Errorf("--threads %d is negative", o.threads)
	}
	return o, nil
}

// parseSize reads bytes with K, M, G or T behind them, by 1024.
func parseSize(s string) (int64, error) {
	digits, shift := s, 0
	if i := strings.IndexAny(strings.ToUpper(s), "KMGT"); i == len(s)-1 && i > 0 {
		digits, shift = s[:i], 10*(1+strings.IndexByte("KMGT", strings.ToUpper(s)[i]))
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return n << shift, nil
}

// parseMinimum reads "600" or "bf16=600,fp32=50".
func parseMinimum(into map[string]float64, s string) error {
	for item := range strings.SplitSeq(s, ",") {
		name, number, ok := strings.Cut(item, "=")
		if !ok {
			name, number = "", item
		}
		x, err := strconv.ParseFloat(number, 64)
		if err != nil || !(x > 0) || name != "" && !slices.Contains([]string{"fp32", "fp64", "tf32", "fp16", "bf16"}, name) {
			return fmt.Errorf("%q is no minimum", item)
		}
		into[name] = x * 1e12
	}
	return nil
}
