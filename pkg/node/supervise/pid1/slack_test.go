package pid1

import (
	"os"
	"strings"
	"testing"
)

// What PID 1 starts in a boot has timers that may be late, until the boot is over.
func TestTimersMayBeLateInABoot(t *testing.T) {
	g := boot(t, "late", "quiet")
	said := func(want string) {
		t.Helper()
		g.eventually(want, func() bool { return strings.Contains(g.read("log/late.log"), want+" <nil>") })
	}
	said("slack 5000000")
	said("slack 50000")
	if log := g.read("log/bee.log"); strings.Contains(log, "slack") {
		t.Errorf("something went wrong:\n%s", log)
	}
}

// Where PID 1 panics in the boot, rescue mode ends it for them.
func TestTimersAfterAPanic(t *testing.T) {
	g := boot(t, "panic", "")
	said := func(want string) {
		t.Helper()
		g.eventually(want, func() bool { return strings.Contains(g.read("log/late.log"), want+" <nil>") })
	}
	said("slack 5000000")
	if err := os.WriteFile(g.file("panic"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	said("slack 50000")
}
