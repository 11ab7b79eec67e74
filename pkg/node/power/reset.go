package power

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/node/kmsg"
)

// Cause is one thing that is known of how the machine ran or ended before this
// boot.
type Cause struct {
	Source string // "watchdog", "pstore", "mce", "bert"
	Text   string
}

func (c Cause) String() string { return c.Source + ": " + c.Text }

// Bits of WDIOC_GETBOOTSTATUS, include/uapi/linux/watchdog.h.
var bootStatus = []struct {
	bit  uint64
	text string
}{
	{0x0001, "CPU overheated"},
	{0x0002, "fan failed"},
	{0x0004, "external relay 1"},
	{0x0008, "external relay 2"},
	{0x0010, "power was bad"},
	{0x0020, "the watchdog reset the machine"},
	{0x0040, "power over voltage"},
}

// LastReset tells what the machine remembers of its last end: the watchdog's
// boot status (/sys/class/watchdog/*/bootstatus), crash records (/sys/fs/pstore,
// mounted by bringup), and what the kernel found at its start: machine check
// banks and the boot error record table (ACPI BERT) that outlive a reset.
// records may be nil. What cannot be read is not known; errors name it.
func LastReset(root fs.FS, records func() (kmsg.Record, error)) ([]Cause, error) {
	var causes []Cause
	dogs, err := fs.Glob(root, "sys/class/watchdog/watchdog*/bootstatus")
	if err != nil {
		return nil, fmt.Errorf("look for watchdogs: %w", err)
	}
	for _, name := range dogs {
		b, err := fs.ReadFile(root, name)
		if err != nil {
			return causes, fmt.Errorf("read boot status of the watchdog: %w", err)
		}
		c, err := parseBootStatus(string(b))
		if err != nil {
			return causes, fmt.Errorf("parse %s: %w", name, err)
		}
		causes = append(causes, c...)
	}
	stored, err := pstore(root)
	causes = append(causes, stored...)
	if err != nil {
		return causes, err
	}
	if records == nil {
		return causes, nil
	}
	found, err := hardwareErrors(records)
	return append(causes, found...), err
}

func parseBootStatus(s string) ([]Cause, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 0, 64)
	if err != nil {
		return nil, err
	}
	var out []Cause
	for _, b := range bootStatus {
		if n&b.bit != 0 {
			out = append(out, Cause{"watchdog", b.text})
		}
	}
	return out, nil
}

// pstore lists the crash records. The first line that tells of a panic is
// shown, the file has the rest.
func pstore(root fs.FS) ([]Cause, error) {
	entries, err := fs.ReadDir(root, "sys/fs/pstore")
	if err != nil {
		return nil, nil // no pstore in this kernel or on this machine
	}
	var out []Cause
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "dmesg-") {
			continue
		}
		b, err := readHead(root, "sys/fs/pstore/"+e.Name(), 64<<10)
		if err != nil {
			return out, fmt.Errorf("read crash record: %w", err)
		}
		out = append(out, Cause{"pstore", crashLine(string(b)) + "; all of it in /sys/fs/pstore/" + e.Name()})
	}
	return out, nil
}

func readHead(root fs.FS, name string, n int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// crashLine picks the line of a crash record that says what happened.
func crashLine(s string) string {
	lines := strings.Split(s, "\n")
	for _, mark := range []string{"Kernel panic", "BUG:", "Oops", "general protection fault", "Unable to handle", "watchdog:"} {
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, mark) }); i >= 0 {
			line := lines[i]
			if strings.HasPrefix(line, "<") { // <4>[   12.3] text
				_, line, _ = strings.Cut(line, ">")
			}
			return strings.TrimSpace(line)
		}
	}
	return "crash record"
}

// hardwareErrors looks through the kernel's log for errors from before this
// boot: arch/x86/kernel/cpu/mce, drivers/acpi/apei/bert.c.
func hardwareErrors(next func() (kmsg.Record, error)) ([]Cause, error) {
	var out []Cause
	bert, mce := 0, 0
	for {
		r, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return out, fmt.Errorf("read the kernel's log: %w", err)
		}
		if r.Facility != 0 {
			continue
		}
		switch {
		case strings.HasPrefix(r.Text, "BERT: ") && strings.Contains(r.Text, "Error records from previous boot"):
			bert++
		case strings.Contains(r.Text, "[Hardware Error]"):
			if bert > 0 && mce == 0 && bert < 4 && strings.Contains(r.Text, "event severity") {
				out = append(out, Cause{"bert", "the firmware kept an error of the last boot: " + r.Text})
				bert = 4
			}
			if strings.HasPrefix(r.Text, "mce: [Hardware Error]: Machine check events logged") || strings.Contains(r.Text, "Machine Check: ") || strings.Contains(r.Text, "Machine Check Exception") {
				mce++
				if mce == 1 {
					out = append(out, Cause{"mce", r.Text})
				}
			}
		}
	}
	if bert > 0 && bert < 4 {
		out = append(out, Cause{"bert", "the firmware kept error records of the last boot, see dmesg"})
	}
	if mce > 1 {
		out = append(out, Cause{"mce", fmt.Sprintf("%d machine check lines in all, see dmesg", mce)})
	}
	return out, nil
}
