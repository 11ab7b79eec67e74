package modload

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/kmod"
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
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("ask for the kernel's release: %w", err)
	}
	dir := path.Join("lib/modules", unix.ByteSliceToString(name.Release[:]))
	root := os.DirFS("/")
	index, err := kmod.Open(root, dir)
	if err != nil {
		return fmt.Errorf("%w; is this initrd made for this kernel?", err)
	}
	s := &Service{
		Root: "/",
		Loader: &Loader{
			Root: root, Dir: dir, Index: index, Policy: NewPolicy(string(cmdline), params),
			Inserter: Kernel{"/"}, Parallel: max(2, runtime.NumCPU()),
		},
		Out: out, Events: events,
		Ready: notify.Ready, Degraded: notify.Degraded,
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
