package bootparam

import (
	"slices"
	"strings"
)

// Consoles names the devices below /dev that a person may sit at: active is
// /sys/class/tty/console/active, where the one behind /dev/console comes last.
// tty0 is whichever virtual terminal is in front; bee stays on the first.
//
// Where the command line names no console, firmware may have named the serial
// one (ACPI's SPCR table), and the kernel leaves the screen alone then
// (register_console, kernel/printk/printk.c): it is one all the same.
func Consoles(active, cmdline string) []string {
	var names []string
	add := func(name string) {
		if name == "tty0" {
			name = "tty1"
		}
		// netconsole is no terminal.
		if !strings.Contains(name, "/") && !strings.HasPrefix(name, "netcon") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range strings.Fields(active) {
		add(name)
	}
	if !slices.ContainsFunc(Split(cmdline), func(word string) bool { return strings.HasPrefix(word, "console=") }) {
		add("tty0")
	}
	return names
}
