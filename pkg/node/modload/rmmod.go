package modload

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/kmod"
)

const rmmodUsage = `usage: rmmod [-v] MODULE…
MODULE is a loaded module's name, or a file that it may have come from. Nothing
else is taken out: modprobe -r does that with what MODULE needed.
  -v  say what is done
`

// RmmodMain is the command rmmod on a machine (rmmod(8)). It returns the exit
// status: 1 if any module stays.
func RmmodMain(args []string, stdout, stderr io.Writer) int {
	return rmmodMain(args, stdout, stderr, deleteModule)
}

func rmmodMain(args []string, stdout, stderr io.Writer, unload func(name string) error) int {
	verbose := false
	var names []string
	for i, arg := range args {
		if arg == "--" {
			names = append(names, args[i+1:]...)
			break
		}
		switch arg {
		case "-v", "--verbose":
			verbose = true
		case "-h", "--help":
			io.WriteString(stdout, rmmodUsage)
			return 0
		default:
			if len(arg) > 1 && arg[0] == '-' {
				fmt.Fprintf(stderr, "rmmod: unknown option %q\n%s", arg, rmmodUsage)
				return 2
			}
			names = append(names, arg)
		}
	}
	if len(names) == 0 {
		fmt.Fprintf(stderr, "rmmod: no module is named\n%s", rmmodUsage)
		return 2
	}
	status := 0
	for _, arg := range names {
		name, isFile := kmod.NameOf(arg)
		if !isFile {
			name = kmod.Normalize(arg)
		}
		if err := remove(unload, name); err != nil {
			fmt.Fprintf(stderr, "rmmod: %v\n", err)
			status = 1
		} else if verbose {
			fmt.Fprintf(stdout, "rmmod %s\n", name)
		}
	}
	return status
}

// deleteModule takes one module out of the kernel, now or not at all
// (delete_module(2)).
func deleteModule(name string) error { return unix.DeleteModule(name, unix.O_NONBLOCK) }

// remove takes one module out, and says why it cannot be.
func remove(unload func(name string) error, module string) error {
	err := unload(module)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EBUSY):
		return fmt.Errorf("remove module %s: it is in use; lsmod says by whom", module)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("remove module %s: it is not loaded", module)
	}
	return fmt.Errorf("remove module %s: %w", module, err)
}
