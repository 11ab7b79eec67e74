//go:build cgo && linux

package main

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
)

// TestMain makes the test's own program nvmlreport where it is asked to, so that
// it can be run beside a library that is made here.
func TestMain(m *testing.M) {
	if os.Getenv("NVMLREPORT_TEST_RUN") != "" {
		os.Exit(start(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// TestLibrary runs the program with a library of an old release that lacks most
// functions, crashes, hangs or is of another release than the driver, and with
// what is none.
func TestLibrary(t *testing.T) {
	cc, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		skip(t, "no C compiler: %v", err)
	}
	dir := t.TempDir()
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", filepath.Join(dir, "libnvidia-ml.so.1"), "testdata/fake.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ask := func(dir, does string) (*hwreport.NVML, string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if does == "hang" {
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		}
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), "NVMLREPORT_TEST_RUN=1", "LD_LIBRARY_PATH="+dir, "FAKE_NVML="+does)
		var out, said strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			return nil, said.String(), err
		}
		n, err := hwreport.DecodeNVML([]byte(out.String()))
		return n, said.String(), err
	}
	n, said, err := ask(dir, "")
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	list := n.Devices.Or(nil)
	if n.Library.Or("") != "11.450.1" || len(list) != 2 || list[0].Address != "0000:3b:00.0" || list[0].Model.Or("") != "Fake" || list[1].Code != hwreport.NVMLLost {
		t.Errorf("%+v", n)
	}
	if d := list[0]; !strings.Contains(d.UUID.Reason(), "has no nvmlDeviceGetUUID") || d.Temperature.GPU.Reason() != "Unknown Error" || !strings.Contains(d.Fabric.Reason(), "has no") || d.Error != "" {
		t.Errorf("%+v", d)
	}
	if n, _, err := ask(dir, "mismatch"); err != nil || n.Code != hwreport.NVMLMismatch || n.Library.Or("") != "11.450.1" || n.Driver.State() != hwreport.IsUnknown {
		t.Errorf("%+v %v", n, err)
	}
	broken := t.TempDir() // an empty folder would lead on to the library of a machine that has one
	if err := os.WriteFile(filepath.Join(broken, "libnvidia-ml.so.1"), []byte(strings.Repeat("no library ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, _, err := ask(broken, ""); err != nil || n.Code != hwreport.NVMLNoLibrary {
		t.Errorf("no library: %+v %v", n, err)
	}
	for does, want := range map[string]string{"segfault": "SIGSEGV", "abort": "SIGABRT"} {
		if _, said, err := ask(dir, does); err == nil || !strings.HasPrefix(strings.TrimSpace(said), want) {
			t.Errorf("%s: %v, %.200q", does, err, said)
		}
	}
	if _, _, err := ask(dir, "hang"); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("hang: %v", err)
	}
}
