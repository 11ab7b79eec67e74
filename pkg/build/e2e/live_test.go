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
	t.Run("amd64", func(t *testing.T) { testRun(t, "amd64", "bee mage run, serial BEE-0001", "1 GiB, 1 of 1 slots") })
	// Started without UEFI, it has no SMBIOS: the device tree says what it is.
	t.Run("arm64", func(t *testing.T) {
		testRun(t, "arm64", "linux,dummy-virt", "devicetree", "QEMU TCG CPU max", "1 GiB, ", "(tcg, 2 CPUs, 1024 MiB)")
	})
	cmd := exec.CommandContext(t.Context(), "go", "tool", "mage", "run")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "BEE_RUN=twice")
	if text, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(text), "BEE_RUN") {
		t.Errorf("BEE_RUN=twice: %v\n%s", err, text)
	}
}

// testRun holds what it says against what every machine has, and this one.
func testRun(t *testing.T, arch string, says ...string) {
	cmd := exec.CommandContext(t.Context(), "go", "tool", "mage", "run")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "BEE_RUN=once", "MANIFEST=thin", "ARCH="+arch, "BEE_APPEND=bee.hostname=run-test")
	cmd.WaitDelay = time.Minute
	text, err := cmd.CombinedOutput()
	out := string(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range append(says, "bee: SSH answers", "2 cores", "serial BEE-DISK-1", "eth0", "10.0.2.15/24", "log in", "verdict", "bee: powered off") {
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
}
