package pid1

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// failedEarlier is what PID 1 is told of a program that was started before it and
// failed: by which, one that ended with a status, or one that could not start.
func failedEarlier(which string) int {
	if which != "talk" {
		return -int(syscall.ENOENT)
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"earlier", "-test.no-such-flag"}, &syscall.ProcAttr{Env: os.Environ()})
	if err != nil {
		panic(err)
	}
	return pid
}

// TestEarlierFails: a boot goes on without it, and says so.
func TestEarlierFails(t *testing.T) {
	for which, want := range map[string]string{
		"talk": "load network drivers ahead of the services: exit status 2;",
		"late": "load network drivers ahead of the services: no such file or directory;",
	} {
		t.Run(which, func(t *testing.T) {
			g := boot(t, which, "quiet")
			g.ready(g.client(), map[string]string{"talk": "talker", "late": "late"}[which])
			g.eventually("its end is said", func() bool { return strings.Contains(g.read("log/bee.log"), want) })
		})
	}
}
