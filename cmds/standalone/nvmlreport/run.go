//go:build cgo && linux

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// start asks the library of this machine.
func start(args []string) int {
	return run(args, os.Stdin, os.Stdout, os.Stderr, nvml.New())
}

const usage = `usage: nvmlreport [--watch=PERIOD]

Tells, as JSON, what NVML knows of the GPUs: once, or with --watch one line each
period until standard input ends, and one more then.
`

// run is the program; it returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, lib nvml.Interface) int {
	flags := flag.NewFlagSet("nvmlreport", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	period := flags.Duration("watch", 0, "")
	watches := false
	err := flags.Parse(args)
	flags.Visit(func(f *flag.Flag) { watches = watches || f.Name == "watch" })
	switch {
	case err == flag.ErrHelp:
		fmt.Fprint(stdout, usage)
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case err == nil && watches && *period <= 0:
		err = fmt.Errorf("--watch=%v: it must be longer than nothing", *period)
	}
	if err != nil {
		fmt.Fprintf(stderr, "nvmlreport: %v\n%s", err, usage)
		return 2
	}
	if watches {
		err = watch(*period, stdin, stdout, lib)
	} else {
		err = json.NewEncoder(stdout).Encode(report(lib))
	}
	if err != nil {
		fmt.Fprintf(stderr, "nvmlreport: %v\n", err)
		return 1
	}
	return 0
}

// watch writes samples until standard input ends, a signal comes or nobody
// reads any more. A tick that comes while one is being read is left out. The end
// of standard input is worth a sample of its own: who ends it wants to know what
// the counters have come to.
func watch(period time.Duration, stdin io.Reader, stdout io.Writer, lib nvml.Interface) error {
	l := library{lib}
	if err := l.open(); err != nil {
		return fmt.Errorf("watch GPUs: %w", err)
	}
	defer lib.Shutdown()
	devices, err := l.handles()
	if err != nil {
		return fmt.Errorf("watch GPUs: %w", err)
	}
	if len(devices) == 0 {
		return fmt.Errorf("watch GPUs: NVML knows of none")
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(end)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, stdin) // an error ends it too
	}()
	out := json.NewEncoder(stdout)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for last := false; ; {
		if err := out.Encode(l.samples(devices)); err != nil {
			return fmt.Errorf("write samples of GPUs: %w", err)
		}
		if last {
			return nil
		}
		select {
		case <-ended:
			last = true
		case <-end:
			return nil
		case <-tick.C:
		}
	}
}
