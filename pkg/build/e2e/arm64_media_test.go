package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/lock"
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
			if _, status := m.as("root", "test -e /sys/firmware/acpi/tables/SPCR", nil); (status == 0) == c.tree {
				t.Errorf("ACPI names a console: %v, and the machine has a device tree: %v", status == 0, c.tree)
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

// TestUKIARM64 boots the family uki on firmware that trusts the user's key alone.
// The same firmware refuses it with one byte changed.
func TestUKIARM64(t *testing.T) {
	skip(t)
	p, err := pressedARM64()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	user := makePair(t, dir, "user")
	enrol(t, l, dir, filepath.Join(p.sandbox.Tree(), firmwares["arm64"]["AAVMF"][1]))
	err = artifact.Build(t.Context(), artifact.Config{Root: root, Arch: p.arch, Manifest: "thin", Out: p.out,
		Keys: filepath.Join(p.client.Dir, "key.pub"), Families: []string{"uki"}, SecureBoot: user})
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(p.file("uki", artifact.UKIFile))
	if err != nil {
		t.Fatal(err)
	}
	boot := func(t *testing.T, image []byte) *machine {
		file, disk, vars := filepath.Join(t.TempDir(), "bee.efi"), filepath.Join(t.TempDir(), "disk"), filepath.Join(t.TempDir(), "vars.fd")
		if err := os.WriteFile(file, image, 0o600); err != nil {
			t.Fatal(err)
		}
		fatMedium(t, disk, map[string]string{"EFI/BOOT/BOOTAA64.EFI": file})
		copyTo(t, vars, filepath.Join(dir, "vars.fd"))
		return start(t, p.lab, options{media: true, key: p.client, disks: []vm.Disk{{File: disk, ReadOnly: true}},
			uefi: vm.UEFI{Code: filepath.Join(p.sandbox.Tree(), firmwares["arm64"]["Secure Boot"][0]), Vars: vars}})
	}
	t.Run("signed", func(t *testing.T) { boot(t, image).arrives(true) })
	t.Run("one byte changed", func(t *testing.T) {
		spoiled := bytes.Clone(image)
		spoiled[len(spoiled)/2] ^= 1 // of the initramfs
		m := boot(t, spoiled)
		m.wait(refusedLine)
		m.wait(nothingLine)
		if text := m.process.Console.Text(); kernelLine.MatchString(text) || strings.Contains(text, "PID 1") {
			t.Error("the kernel was started")
		}
	})
}
