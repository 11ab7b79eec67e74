package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/vm"
)

// TestMediaMeasured starts the disk under Secure Boot on a machine with a TPM,
// which holds what the disk's manifest predicts.
func TestMediaMeasured(t *testing.T) {
	skip(t)
	p, err := pressed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.file("raw", manifest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	described, err := manifest.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	predicted := described.PCRs["sha256"]
	if predicted["4"] == "" {
		t.Fatalf("the manifest predicts %v", described.PCRs)
	}
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	with := *p.lab
	if with.sandbox, err = sandbox.Open(t.Context(), l, os.Stderr, runtime.GOARCH, "tools-vm", "tools-test", "tools-hardware"); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	tpm := startTPM(t, with.sandbox, folder)
	m := start(t, &with, options{
		media: true, key: p.client, uefi: p.firmware(t, "Secure Boot"), folder: folder,
		disks: []vm.Disk{{File: filepath.Clean(p.file("raw", artifact.RawFile)), ReadOnly: true}},
		args:  []string{"-chardev", "socket,id=tpmchar,path=" + tpm, "-tpmdev", "emulator,id=tpm0,chardev=tpmchar", "-device", "tpm-crb,tpmdev=tpm0"},
	})
	m.arrives(true)
	for register, want := range predicted {
		n, err := strconv.Atoi(register)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.register(n); got != want {
			t.Errorf("PCR %d is %s, and the manifest predicts %s", n, got, want)
		}
	}
}
