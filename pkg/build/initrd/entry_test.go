package initrd

import (
	"debug/elf"
	"debug/gosym"
	"path/filepath"
	"testing"

	"github.com/bee-os/bee/pkg/build/busybox"
)

// TestEntryOfPID1: the builder's flags reach the linker, on every architecture.
func TestEntryOfPID1(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "init")
			if err := busybox.Compile(t.Context(), "../../..", busybox.Env(arch), out, busybox.Package{Path: initPath, Entry: initEntry}); err != nil {
				t.Fatal(err)
			}
			f, err := elf.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			lines, err := f.Section(".gopclntab").Data()
			if err != nil {
				t.Fatal(err)
			}
			table, err := gosym.NewTable(nil, gosym.NewLineTable(lines, f.Section(".text").Addr))
			if err != nil {
				t.Fatal(err)
			}
			if at := table.PCToFunc(f.Entry); at == nil || at.Name != initEntry {
				t.Errorf("PID 1 begins in %v, want %s", at, initEntry)
			}
		})
	}
}
