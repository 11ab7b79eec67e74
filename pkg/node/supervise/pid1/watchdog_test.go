package pid1

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/node/power"
)

// armed returns a watchdog on a plain file, which knows no ioctl, and whether
// its feeding was stopped.
func armed(t *testing.T) (w *watchdog, path string, stopped func() bool) {
	path = filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dog, err := power.OpenWatchdog(path, time.Minute)
	if dog == nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &watchdog{dog: dog, stop: cancel}, path, func() bool { return ctx.Err() != nil }
}

func TestDisarmSaysSoOnce(t *testing.T) {
	w, path, stopped := armed(t)
	for range 2 {
		if err := w.disarm(); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "V" || !stopped() {
		t.Errorf("written %q, %v; feeding stopped: %v", b, err, stopped())
	}
}

func TestLastBiteEndsTheFeeding(t *testing.T) {
	w, path, stopped := armed(t)
	w.lastBite(time.Minute)
	if b, err := os.ReadFile(path); err != nil || len(b) != 0 || !stopped() {
		t.Errorf("written %q, %v; feeding stopped: %v: it must stay armed, unfed", b, err, stopped())
	}
}

func TestReleaseWaitsForNoLock(t *testing.T) {
	w, _, _ := armed(t)
	w.mu.Lock()
	if !w.release() {
		t.Error("a watchdog that could not be looked at needs no feeding?")
	}
	w.mu.Unlock()
	if w.release() {
		t.Error("one that was disarmed still has to be fed")
	}
	if new(watchdog).release() {
		t.Error("none has to be fed")
	}
}
