package modload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/node/bringup"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// Main is the coldplug service on a machine. It returns the exit status.
func Main(out io.Writer) int {
	if err := serve(out); err != nil {
		fmt.Fprintf(out, "coldplug: %v\n", err)
		return 1
	}
	return 0
}

func serve(out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// What is plugged in during the first pass must not be missed.
	events, err := Listen()
	if err != nil {
		return err
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		fmt.Fprintf(out, "read kernel parameters: %v; no blacklist and no option is known\n", err)
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	root := os.DirFS("/")
	dir, index, err := openIndex(root)
	if err != nil {
		return err
	}
	s := &Service{
		Root: "/",
		Loader: &Loader{
			Root: root, Dir: dir, Index: index, Policy: NewPolicy(string(cmdline), params),
			// More than there are processors: most of a load may be waiting for a device.
			Inserter: Kernel{"/"}, Parallel: max(16, runtime.NumCPU()),
		},
		MountEFI: func() []error { return bringup.Run([]bringup.Row{bringup.EFIVars}) },
		Out:      out, Events: events, Yield: func() { beNice(out) },
		Ready: func() {
			if err := answerKernel("/"); err != nil {
				fmt.Fprintln(out, err)
			}
			notify.Ready()
		},
		Degraded: notify.Degraded,
	}
	failed := make(chan error, 1)
	go func() { failed <- s.Run(ctx) }()
	select {
	case <-ctx.Done(): // nothing is half done that matters
		return nil
	case err := <-failed:
		return err
	}
}

// answerKernel puts modprobe where the kernel, and people, look for it: from then on
// the kernel gets the modules that it lacks itself, such as the one of a file
// system that is mounted (sysctl/kernel.rst, modprobe).
func answerKernel(root string) error {
	if _, err := os.Lstat(root + "/" + kmod.ModprobePath); errors.Is(err, os.ErrNotExist) {
		return nil // an image without the command
	}
	if err := os.Symlink("../"+kmod.ModprobePath, root+"/bin/modprobe"); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("put modprobe in its place: %w; modules that the kernel asks for must be loaded by hand, with /%s", err, kmod.ModprobePath)
	}
	return nil
}

// beNice lowers the priority of every thread of the process: an operator waited for
// the network cards; what is left must not take the processor from DHCP and the first
// SSH session. Threads to come inherit it.
func beNice(out io.Writer) {
	runtime.GOMAXPROCS(runtime.NumCPU()) // PID 1 had it begin with one
	setNice(out, lowNice)
}

// setNice gives all threads of this process a niceness.
func setNice(out io.Writer, nice int) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		fmt.Fprintf(out, "set the priority: %v\n", err)
		return
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err == nil {
			err = unix.Setpriority(unix.PRIO_PROCESS, tid, nice)
		}
		if err != nil && err != unix.ESRCH { // a thread that ended meanwhile
			fmt.Fprintf(out, "set the priority: %v\n", err)
		}
	}
}
