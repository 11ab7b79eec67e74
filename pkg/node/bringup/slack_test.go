package bringup

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// threads makes a /proc with the slack of each thread; the first number of a name
// is that of its process.
func threads(t *testing.T, slack map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, ns := range slack {
		process, thread, _ := strings.Cut(name, "/")
		for _, dir := range []string{process + "/task/" + thread, thread} {
			if err := os.MkdirAll(filepath.Join(root, "proc", dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, "proc", thread, "timerslack_ns"), []byte(ns+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func slackOf(t *testing.T, root, thread string) string {
	t.Helper()
	text, err := os.ReadFile(slackFile(root, thread))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestTimerSlackIsForOwnThreads(t *testing.T) {
	root := threads(t, map[string]string{"1/1": "50000", "1/7": "50000", "9/9": "50000"})
	if err := os.Symlink("1", filepath.Join(root, "proc/self")); err != nil {
		t.Fatal(err)
	}
	// A thread that ended while it was looked at.
	if err := os.Mkdir(filepath.Join(root, "proc/1/task/8"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := TimerSlack(3 * time.Millisecond).do(root); err != nil {
		t.Fatal(err)
	}
	for thread, want := range map[string]string{"1": "3000000", "7": "3000000"} {
		if got := slackOf(t, root, thread); got != want {
			t.Errorf("thread %s has %q", thread, got)
		}
	}
	if got := slackOf(t, root, "9"); got != "50000" {
		t.Errorf("the thread of another has %q", got)
	}
	if err := BootSlack.do(t.TempDir()); err == nil {
		t.Error("no /proc, and no error")
	}
}

func TestEndOfTimerSlack(t *testing.T) {
	root := threads(t, map[string]string{"1/1": "5000000", "1/7": "5000000", "9/9": "5000000", "10/10": "123", "11/11": "50000"})
	if err := BootSlack.end(root); err != nil {
		t.Fatal(err)
	}
	for thread, want := range map[string]string{"1": "50000", "7": "50000", "9": "50000", "10": "123", "11": "50000"} {
		if got := slackOf(t, root, thread); got != want {
			t.Errorf("thread %s has %s, want %s", thread, got, want)
		}
	}
	// One that does not take it: that is told, and not tried for ever.
	root = threads(t, map[string]string{"1/1": "5000000"})
	if err := os.Remove(slackFile(root, "1")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(slackFile(root, "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := BootSlack.end(root); err == nil || !strings.Contains(err.Error(), "timer slack") {
		t.Errorf("%v", err)
	}
}

func TestGivenSlack(t *testing.T) {
	runtime.LockOSThread() // it ends with the test's goroutine
	for slack, want := range map[time.Duration]bool{time.Duration(BootSlack): true, time.Duration(kernelSlack): false} {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		if got := BootSlack.Given(); got != want {
			t.Errorf("a thread with a slack of %v has that of a boot: %v", slack, got)
		}
	}
}
