package bringup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bee-os/bee/pkg/bootparam"
)

// LocalMount mounts what services expect beside what PID 1 itself needs, and
// makes their directories. The error names every row that failed; all others
// are done.
func LocalMount(_ context.Context, log io.Writer) error { return tell(log, run(local, "")) }

// Settings sets the kernel, makes links, and writes into /etc/fstab what is
// mounted. The error names all that failed; the rest is done.
func Settings(p bootparam.Params) func(context.Context, io.Writer) error {
	return func(_ context.Context, log io.Writer) error { return set(p, log, "") }
}

func set(p bootparam.Params, log io.Writer, root string) error {
	var errs []error
	cmdline, err := os.ReadFile(root + "/proc/cmdline")
	if err != nil {
		errs = append(errs, fmt.Errorf("read kernel command line: %w; messages of the kernel stay off the console", err))
	}
	errs = append(errs, run(settings(p, string(cmdline)), root)...)
	if err := writeFstab(root); err != nil {
		errs = append(errs, err)
	}
	return tell(log, errs)
}

// tell writes each error to the log, a line each, and returns them as one.
func tell(log io.Writer, errs []error) error {
	for _, err := range errs {
		fmt.Fprintln(log, err)
	}
	return errors.Join(errs...)
}

// fstabHead begins /etc/fstab.
const fstabHead = "# What bee mounted at boot. Nothing reads this file: it is here to be looked at.\n"

// writeFstab replaces /etc/fstab by what /proc/mounts says, whose lines have the
// form of fstab(5).
func writeFstab(root string) error {
	text, err := os.ReadFile(root + "/proc/mounts")
	if err != nil {
		return fmt.Errorf("write /etc/fstab: %w", err)
	}
	path := root + "/etc/fstab"
	if err := os.WriteFile(path+".new", append([]byte(fstabHead), text...), 0o644); err != nil {
		return fmt.Errorf("write /etc/fstab: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write /etc/fstab: %w", err)
	}
	return nil
}
