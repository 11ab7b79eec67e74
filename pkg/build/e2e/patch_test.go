package e2e

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/paramblock"
	"github.com/bee-os/bee/pkg/build/vm"
)

// TestPatchedMedia changes the parameters of media that are built, and starts
// them: from BIOS, and under Secure Boot, where GRUB is Debian's.
func TestPatchedMedia(t *testing.T) {
	skip(t)
	p, err := pressed()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ family, file, kind, firmware string }{
		{"iso", artifact.ISOFile, "cd", "SeaBIOS"},
		{"iso", artifact.ISOFile, "usb", "Secure Boot"},
		{"raw", artifact.RawFile, "virtio", "OVMF"},
	} {
		t.Run(strings.Join([]string{c.family, c.kind, c.firmware}, " "), func(t *testing.T) {
			image := filepath.Join(t.TempDir(), c.file)
			copyTo(t, image, p.file(c.family, c.file))
			words := []string{"bee.hostname=patched-" + c.kind, "bee.module=e1000 debug=2"}
			if err := paramblock.Patch(t.Context(), paramblock.Job{File: image, Words: words, Out: io.Discard}); err != nil {
				t.Fatal(err)
			}
			m := start(t, p.lab, options{media: true, key: p.client, uefi: p.firmware(t, c.firmware), disks: []vm.Disk{{File: image, Model: c.kind, ReadOnly: true}}})
			m.arrives(c.firmware == "Secure Boot")
			if got := m.root("hostname"); got != "patched-"+c.kind {
				t.Errorf("the host is called %q", got)
			}
			line := m.root("cat /proc/cmdline")
			if !strings.Contains(line, `"bee.module=e1000 debug=2"`) || !strings.Contains(line, "bee.block=") {
				t.Errorf("the kernel was given %s", line)
			}
			// The node warns of a block whose words arrived otherwise.
			if got := m.root("svc events"); strings.Contains(got, "bee.block") {
				t.Errorf("events speak of the block:\n%s", got)
			}
		})
	}
}
