package nvidia

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/node/compat"
	"github.com/bee-os/bee/pkg/node/kmsg"
	"github.com/bee-os/bee/pkg/node/modload"
	"github.com/bee-os/bee/pkg/node/nvidia/nvstate"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

const usage = `usage: nvidia load [--force]
       nvidia status

load loads NVIDIA's driver from the image by absolute path, makes its device
files and turns persistence mode on, where there is a GPU. --force does so
without one: what the kernel answers is shown.
status shows what became of it.
`

// Main is the command nvidia. It returns the exit status: 0 done or nothing to
// do, 1 something failed, 2 a wrong command line.
func Main(args []string, stdout, stderr io.Writer) int {
	switch strings.Join(args, " ") {
	case "load":
		return loadMain(false, stdout, stderr)
	case "load --force":
		return loadMain(true, stdout, stderr)
	case "status":
		return status(stdout, stderr)
	}
	fmt.Fprint(stderr, usage)
	return 2
}

func loadMain(force bool, stdout, stderr io.Writer) int {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		fmt.Fprintf(stderr, "nvidia: read kernel parameters: %v; no option is known\n", err)
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	root := os.DirFS("/")
	plan, err := MakePlan(root, params.NVIDIAModeset, force)
	tell := func(s nvstate.State) {
		if err := s.Write("/"); err != nil {
			fmt.Fprintf(stderr, "nvidia: %v\n", err)
		}
	}
	if errors.Is(err, ErrNoGPU) || errors.Is(err, ErrNoDriver) {
		fmt.Fprintf(stdout, "nvidia: %v\n", err)
		tell(nvstate.State{GPUs: plan.GPUs, Nothing: err.Error()})
		notify.Skipped(err.Error())
		return 0
	}
	var m machine
	if err == nil {
		m, err = thisMachine(string(cmdline), params, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "nvidia: %v\n", err)
		tell(nvstate.State{GPUs: plan.GPUs, Problems: []string{err.Error()}})
		return 1
	}
	if _, err := m.load(context.Background(), plan); err != nil {
		fmt.Fprintf(stderr, "nvidia: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nnvidia: "))
		return 1
	}
	return 0
}

// thisMachine is the one that the program runs on.
func thisMachine(cmdline string, params bootparam.Params, out io.Writer) (machine, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return machine{}, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	dir := path.Join("lib/modules", unix.ByteSliceToString(name.Release[:]))
	root := os.DirFS("/")
	index, err := kmod.Open(root, dir)
	if err != nil {
		return machine{}, fmt.Errorf("%w; is this initrd made for this kernel?", err)
	}
	policy := modload.NewPolicy(cmdline, params)
	kernel := modload.Kernel{Root: "/"}
	loader := &modload.Loader{Root: root, Dir: dir, Index: index, Policy: policy, Inserter: kernel, Parallel: 1}
	log, err := newKernelLog()
	if err != nil {
		return machine{}, err
	}
	return machine{
		root: root, out: out, options: policy.Options, forbids: policy.Forbidden,
		depend: func(module string) error {
			if loaded(root, module) || index.Builtin(module) {
				return nil
			}
			return loader.Load(kmod.Normalize(module), "nvidia", modload.Now)
		},
		insert: func(file, options string) error { return kernel.Insert(file, options, modload.Now) },
		log:    log.since, node: func(n Node) error { return makeNode("/dev", n) },
		persistence: persistence, save: func(s nvstate.State) error { return s.Write("/") },
	}, nil
}

// kernelLog reads what the kernel said since the last look.
type kernelLog struct{ r *kmsg.Reader }

func newKernelLog() (*kernelLog, error) {
	r, _, err := kmsg.Open(false) // stays open until the program ends
	if err != nil {
		return nil, err
	}
	return &kernelLog{r}, nil
}

// printkDelay is how long what the driver says may take to get into the log.
const printkDelay = 50 * time.Millisecond

func (k *kernelLog) since() []string {
	time.Sleep(printkDelay)
	var lines []string
	for {
		rec, err := k.r.Next()
		if err != nil {
			return lines
		}
		if rec.Facility == 0 {
			lines = append(lines, rec.Text)
		}
	}
}

// persistence turns persistence mode on, so that the driver does not let go of
// the GPUs between two programs (nvidia-smi(1), -pm).
func persistence(ctx context.Context) (string, error) {
	args, err := compat.Args(os.DirFS("/"), "nvidia-smi", "-pm", "1")
	if err != nil {
		return "", fmt.Errorf("turn persistence mode on: %w", err)
	}
	text, err := runOrLeave(ctx, args)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("turn persistence mode on: nvidia-smi did not end in %v", persistencePatience)
	case err != nil:
		return "", fmt.Errorf("turn persistence mode on: nvidia-smi: %w: %s", err, text)
	}
	return string(text), nil
}

// leaveAfter is how long a process that was killed may take to go. One that
// waits inside the kernel for a sick GPU never does.
const leaveAfter = 2 * time.Second

// runOrLeave runs a program and returns what it said. When ctx ends the program
// is killed, and left alone if that does not end it.
func runOrLeave(ctx context.Context, args []string) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env, cmd.WaitDelay = []string{"PATH=/bin", "LC_ALL=C"}, time.Second
		text, err := cmd.CombinedOutput()
		done <- result{bytes.TrimSpace(text), err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.text, r.err
	case <-time.After(leaveAfter):
		return nil, fmt.Errorf("it cannot be killed: %w", ctx.Err())
	}
}

func status(stdout, stderr io.Writer) int {
	s, err := nvstate.Read(os.DirFS("/"))
	if err != nil {
		fmt.Fprintf(stderr, "nvidia: %v\n", err)
		return 1
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", " ")
	if err := e.Encode(s); err != nil {
		fmt.Fprintf(stderr, "nvidia: %v\n", err)
		return 1
	}
	return 0
}
