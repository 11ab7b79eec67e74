package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/vm"
)

// TestMediaARM64 starts arm64's media as firmware does. Servers give the kernel
// ACPI tables, boards a device tree: each names the serial console in its own
// way, and the command line of the media does not.
func TestMediaARM64(t *testing.T) {
	skip(t)
	p, err := pressedARM64()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		family, file, kind, firmware string
		tree                         bool // a device tree, no ACPI
	}{
		{family: "iso", file: artifact.ISOFile, kind: "cd", firmware: "AAVMF"},
		{family: "iso", file: artifact.ISOFile, kind: "usb", firmware: "Secure Boot"},
		{family: "disk-image-arm64-uefi", file: artifact.RawFile, kind: "virtio", firmware: "Secure Boot"},
		{family: "disk-image-arm64-uefi", file: artifact.RawFile, kind: "nvme", firmware: "AAVMF", tree: true},
	} {
		name := []string{c.family, c.kind, c.firmware}
		o := options{media: true, key: p.client, uefi: p.firmware(t, c.firmware),
			disks: []vm.Disk{{File: p.file(c.family, c.file), Model: c.kind, ReadOnly: c.kind != "nvme", Serial: "BEE-MEDIUM"}}}
		if c.tree {
			name = append(name, "device tree")
			o.args = []string{"-machine", "acpi=off"}
		}
		t.Run(strings.Join(name, " "), func(t *testing.T) {
			m := start(t, p.lab, o)
			m.arrives(c.firmware == "Secure Boot")
			if out, status := m.as("root", "ls /sys/firmware/acpi/tables/SPCR", nil); (status == 0) == c.tree {
				t.Errorf("the console of ACPI: status %d, %s", status, out)
			}
			if c.kind != "usb" {
				m.sitsDown()
			}
		})
	}
}

// sitsDown uses the machine's own consoles: a shell on the serial line, and the
// screen, which shows the same.
func (m *machine) sitsDown() {
	m.t.Helper()
	m.wait(settledLine)
	m.until("the screen shows the machine's state", func() (string, bool) {
		out := m.root("cat /dev/vcs1")
		return out, strings.Contains(out, "Enter: a shell")
	})
	for _, line := range []struct {
		typed  string
		answer *regexp.Regexp
	}{
		{"\n", regexp.MustCompile(`root@\S+:~#`)},
		{"echo answer=$((6*7))\n", regexp.MustCompile(`answer=42`)},
	} {
		if err := m.process.Console.Send(line.typed); err != nil {
			m.t.Fatal(err)
		}
		m.wait(line.answer)
	}
}

// TestQCOW2 starts the disk as hypervisors do that import it: nobody's key is in
// it, one comes by NoCloud.
func TestQCOW2(t *testing.T) {
	skip(t)
	for _, c := range []struct {
		arch, firmware string
		made           func() (*lab, error)
	}{{"amd64", "SeaBIOS", shared}, {"arm64", "AAVMF", sharedARM64}} {
		t.Run(c.arch, func(t *testing.T) {
			b, err := c.made()
			if err != nil {
				t.Fatal(err)
			}
			s := newSeedMaker(t)
			m := start(t, b, options{
				media: true, uefi: b.firmware(t, c.firmware),
				disks: []vm.Disk{{File: b.qcow2(t), Format: "qcow2", ReadOnly: true}, {File: filepath.Join(s.dir, "seed.iso"), ReadOnly: true}},
				client: func(m *machine) {
					key, err := m.client.PublicKey()
					if err != nil {
						t.Fatal(err)
					}
					s.iso("seed.iso", "instance-id: iid-1\nlocal-hostname: imported\n", "#cloud-config\nssh_authorized_keys:\n- "+key+"\n")
				},
			})
			m.wait(passwordLine)
			m.wait(seedLine)
			m.arrives(false)
			if out := m.root("hostname"); out != "imported" {
				t.Errorf("the seed did not name the machine: %q", out)
			}
		})
	}
}

// qcow2 is the disk for hypervisors, made of the lab's image.
func (b *lab) qcow2(t *testing.T) string {
	t.Helper()
	out := filepath.Dir(filepath.Dir(b.images))
	if err := artifact.Build(t.Context(), artifact.Config{Root: root, Arch: b.arch, Manifest: "thin", Out: out, Families: []string{"qcow2"}}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(artifact.Dir(out, "qcow2", b.arch), artifact.QCOW2File)
}
