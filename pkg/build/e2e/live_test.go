package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestRun is `BEE_RUN=once go tool mage run` as a person types it: it builds,
// boots, logs in, shows what the audit found in a machine that QEMU was told to
// be, and powers it off.
func TestRun(t *testing.T) {
	skip(t)
	cmd := exec.CommandContext(t.Context(), "go", "tool", "mage", "run")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "BEE_RUN=once", "MANIFEST=thin", "BEE_APPEND=bee.hostname=run-test")
	cmd.WaitDelay = time.Minute
	text, err := cmd.CombinedOutput()
	out := string(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"bee: SSH answers", "bee mage run, serial BEE-0001", "2 cores", "1 GiB, 1 of 1 slots", "serial BEE-DISK-1", "eth0", "10.0.2.15/24",
		"log in", "verdict", "bee: powered off",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	// It waits for nobody: a node that turns the operator away for a while is a
	// fault of the node.
	if strings.Contains(out, "asking again") {
		t.Error("the node refused a connection")
	}
	if t.Failed() {
		t.Log(out)
	}
	cmd = exec.CommandContext(t.Context(), "go", "tool", "mage", "run")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "BEE_RUN=twice")
	if text, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(text), "BEE_RUN") {
		t.Errorf("BEE_RUN=twice: %v\n%s", err, text)
	}
}
