// Gpuworker puts one NVIDIA GPU under load and tells what it computes wrong:
// matrix products on the arithmetic units and the tensor cores, compared on the
// GPU, patterns over its memory, and copies over the bus. It speaks to the
// driver through libcuda.so.1, which it looks for when it runs, and needs
// nothing else of NVIDIA's; it is a program of the compat root, built with cgo.
//
//	gpuworker --gpu ADDRESS [--time 60s] [--tests pcie,memory,bf16,…]
//	          [--memory PERCENT] [--compare-cublas]
//
// What it finds it writes as JSON, one line each (package gpuline). burn gpu
// starts one a GPU. The exit status is 0 when all asked for ran, whatever was
// found, and 3 when not: the last line says why.
//
// --compare-cublas holds each tensor product against cuBLAS, where
// libcublas.so.12 or .13 can be found: for whoever changes the kernels.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// failure is the exit status of a worker that could not do what was asked.
const failure = 3

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// options is the command line.
type options struct {
	address string
	time    time.Duration
	memory  int // percent of what is free
	cublas  bool
	tests   []string
}

func parse(args []string) (options, error) {
	var o options
	var tests string
	f := flag.NewFlagSet("gpuworker", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.address, "gpu", "", "")
	f.DurationVar(&o.time, "time", time.Minute, "")
	f.IntVar(&o.memory, "memory", 95, "")
	f.BoolVar(&o.cublas, "compare-cublas", false, "")
	f.StringVar(&tests, "tests", "", "")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if tests != "" {
		o.tests = strings.Split(tests, ",")
	}
	for _, t := range o.tests {
		if !slices.ContainsFunc(plan(), func(p phase) bool { return p.name == t }) {
			return o, fmt.Errorf("no test is called %q", t)
		}
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.address == "":
		return o, errors.New("--gpu names no GPU")
	case o.time <= 0 || o.memory < 1 || o.memory > 100:
		return o, errors.New("--time and --memory must be positive, --memory at most 100")
	}
	return o, nil
}

// teller writes lines.
type teller struct{ enc *json.Encoder }

func (t teller) tell(l gpuline.Line) error { return t.enc.Encode(l) }

// run is the program. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	t := teller{json.NewEncoder(stdout)}
	o, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "gpuworker: %v\n", err)
		t.tell(gpuline.Line{Failed: &gpuline.Failed{Error: err.Error()}})
		return failure
	}
	test, err := burn(o, t)
	if err == nil {
		err = t.tell(gpuline.Line{Done: true})
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "gpuworker: %v\n", err)
	failed := gpuline.Failed{Test: test, Error: err.Error()}
	var c *callError
	if errors.As(err, &c) {
		failed.Call, failed.Code, failed.Load = c.call, c.code, c.load()
	}
	t.tell(gpuline.Line{Failed: &failed})
	return failure
}
