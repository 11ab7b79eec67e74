package e2e

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
)

// press is a lab whose media carry the key of its client: firmware passes no
// parameter on.
type press struct {
	*lab
	client *ssh.Client
	out    string // images/
}

// pressed is the press of arch, pressedARM64 that of arm64. Each is made when the
// first test needs it.
var (
	pressed      = sync.OnceValues(func() (*press, error) { return makePress(shared, "iso", "raw", "ipxe") })
	pressedARM64 = sync.OnceValues(func() (*press, error) {
		return makePress(sharedARM64, "iso", "disk-image-arm64-uefi", "disk-image-rpi4", "ipxe")
	})
)

func makePress(made func() (*lab, error), families ...string) (*press, error) {
	b, err := made()
	if err != nil {
		return nil, err
	}
	p := &press{lab: b, out: filepath.Join(filepath.Dir(filepath.Dir(b.images)), "media")}
	dir := filepath.Join(p.out, "client")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if p.client, err = ssh.New(context.Background(), b.sandbox, dir); err != nil {
		return nil, err
	}
	return p, artifact.Build(context.Background(), artifact.Config{Root: root, Arch: b.arch, Manifest: "thin", Out: p.out,
		Keys: filepath.Join(dir, "key.pub"), Families: families})
}

// file is an image of the lab.
func (p *press) file(family, name string) string {
	return filepath.Join(artifact.Dir(p.out, family, p.arch), name)
}

// firmwares are the files of Debian's UEFI, code and variables, by architecture.
// Under "Secure Boot" Microsoft's keys are enrolled.
var firmwares = map[string]map[string][2]string{
	"amd64": {
		"OVMF":        {"usr/share/OVMF/OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_VARS_4M.fd"},
		"Secure Boot": {"usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
	},
	"arm64": {
		"AAVMF":       {"usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "usr/share/AAVMF/AAVMF_VARS.fd"},
		"Secure Boot": {"usr/share/AAVMF/AAVMF_CODE.secboot.fd", "usr/share/AAVMF/AAVMF_VARS.ms.fd"},
	},
}

// firmware is what starts a medium, with variables of its own.
func (b *lab) firmware(t *testing.T, name string) vm.UEFI {
	t.Helper()
	if name == "SeaBIOS" {
		return vm.UEFI{}
	}
	files, ok := firmwares[b.arch][name]
	if !ok {
		t.Fatalf("no firmware %q is known for %s", name, b.arch)
	}
	vars := filepath.Join(t.TempDir(), "vars.fd")
	copyTo(t, vars, filepath.Join(b.sandbox.Tree(), files[1]))
	return vm.UEFI{Code: filepath.Join(b.sandbox.Tree(), files[0]), Vars: vars, Secure: b.arch == "amd64" && name == "Secure Boot"}
}

func copyTo(t *testing.T, dst, src string) {
	t.Helper()
	in, err := os.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMedia starts every medium in every way that it promises: firmware, kind
// of disk. At the end of each stand an operator who logs in and the audit.
func TestMedia(t *testing.T) {
	skip(t)
	p, err := pressed()
	if err != nil {
		t.Fatal(err)
	}
	for _, medium := range []struct {
		family, file string
		kinds        []string
		firmware     []string
	}{
		{"iso", artifact.ISOFile, []string{"cd", "usb"}, []string{"SeaBIOS", "OVMF", "Secure Boot"}},
		{"raw", artifact.RawFile, []string{"virtio", "sata", "nvme", "usb"}, []string{"SeaBIOS", "OVMF"}},
		{"raw", artifact.RawFile, []string{"virtio"}, []string{"Secure Boot"}},
	} {
		for _, kind := range medium.kinds {
			for _, firmware := range medium.firmware {
				t.Run(strings.Join([]string{medium.family, kind, firmware}, " "), func(t *testing.T) {
					m := start(t, p.lab, options{media: true, key: p.client, uefi: p.firmware(t, firmware),
						disks: []vm.Disk{{File: p.file(medium.family, medium.file), Model: kind, ReadOnly: kind != "sata" && kind != "nvme", Serial: "BEE-MEDIUM"}}})
					m.arrives(firmware == "Secure Boot")
				})
			}
		}
	}
}

// arrives checks that the machine is the one that every boot path ends in: an
// operator logs in, the audit is whole, Secure Boot is as the firmware has it.
func (m *machine) arrives(secure bool) {
	m.t.Helper()
	m.trust()
	m.until("the audit is whole", func() (string, bool) {
		out, _ := m.as("root", "cat /var/log/bee-audit.json", nil)
		return out, strings.Contains(out, `"complete": true`)
	})
	if got := m.root("cat /sys/kernel/security/lockdown 2>/dev/null || true"); secure != strings.Contains(got, "[integrity]") {
		m.t.Errorf("lockdown is %q, and Secure Boot is %v", got, secure)
	}
	out, status := m.as("bee", "sudo smoketest", nil)
	if status != 0 && strings.Contains(out, "timed out") {
		// A busy host: the collectors have their second once more.
		m.root("svc restart audit; while ! svc list | grep -q 'audit.*done'; do sleep 0.2; done")
		out, status = m.as("bee", "sudo smoketest", nil)
	}
	if status != 0 {
		m.t.Errorf("smoketest: status %d\n%s", status, out)
	}
}
