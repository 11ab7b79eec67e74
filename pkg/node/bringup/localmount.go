package bringup

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
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

// writeFstab replaces /etc/fstab by what /proc/mounts says (fstab(5)).
func writeFstab(root string) error {
	in, err := os.Open(root + "/proc/mounts")
	if err != nil {
		return fmt.Errorf("write /etc/fstab: %w", err)
	}
	defer in.Close()
	text, err := fstab(in)
	if err != nil {
		return fmt.Errorf("write /etc/fstab: %w", err)
	}
	path := root + "/etc/fstab"
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("write /etc/fstab: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write /etc/fstab: %w", err)
	}
	return nil
}

// fstab makes the text from that of /proc/mounts, whose lines have the same
// form.
func fstab(mounts io.Reader) (string, error) {
	var b strings.Builder
	b.WriteString("# What bee mounted at boot. Nothing reads this file: it is here to be looked at.\n")
	s := bufio.NewScanner(mounts)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 4 {
			return "", fmt.Errorf("parse mount line %q", s.Text())
		}
		fmt.Fprintf(&b, "%-12s %-26s %-10s %s 0 0\n", f[0], f[1], f[2], f[3])
	}
	return b.String(), s.Err()
}
