package bringup

import (
	"context"
	"fmt"
	"io"
	"os"
)

// local is what the services expect of the root file system beyond the mounts.
var local = []Row{
	Dir{"/var/log", 0o755},
	Dir{"/var/tmp", 0o777 | os.ModeSticky},
	Dir{"/etc", 0o755},
	Dir{"/root", 0o700},
	Dir{"/run/bee", 0o755},
	Symlink{"/run", "/var/run"},
	Symlink{"/proc/self/mounts", "/etc/mtab"},
}

// LocalMount makes what services expect of the file systems and writes into
// /etc/fstab what is mounted. It fails only where a directory cannot be made:
// an fstab is for people to read.
func LocalMount(_ context.Context, log io.Writer) error { return localMount(log, "") }

func localMount(log io.Writer, root string) error {
	if errs := run(local, root); len(errs) > 0 {
		for _, err := range errs {
			fmt.Fprintln(log, err)
		}
		return fmt.Errorf("prepare the root file system: %w", errs[0])
	}
	if err := writeFstab(root); err != nil {
		fmt.Fprintln(log, err)
	}
	return nil
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
