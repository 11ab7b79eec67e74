package bootparam

import (
	"strings"
	"testing"
)

func TestConsoles(t *testing.T) {
	for _, c := range []struct{ active, cmdline, want string }{
		{"tty0 ttyS0\n", "quiet console=ttyS0,115200 console=tty0", "tty1 ttyS0"},
		{"ttyS0\n", "quiet console=ttyS0", "ttyS0"},
		{"ttyAMA0\n", "quiet bee.debug", "ttyAMA0 tty1"},      // ACPI's SPCR
		{"ttyAMA0 tty0\n", "quiet bee.debug", "ttyAMA0 tty1"}, // stdout-path of a device tree
		{"tty0\n", "", "tty1"},
		{"ttyS0\n", `dyndbg="x console=y"`, "ttyS0 tty1"}, // inside of another's value
		{"ttyS0 netcon0 ../evil\n", "console=ttyS0", "ttyS0"},
		{"tty0 tty1\n", "console=tty0", "tty1"},
		{"", "console=", ""},
	} {
		if got := strings.Join(Consoles(c.active, c.cmdline), " "); got != c.want {
			t.Errorf("Consoles(%q, %q) = %q, want %q", c.active, c.cmdline, got, c.want)
		}
	}
}
