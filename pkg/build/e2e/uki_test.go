package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/pcr"
)

var (
	refusedLine = regexp.MustCompile(`BdsDxe: failed to (?:load|start) Boot\d+ .*: (Access Denied|Security Violation)`)
	nothingLine = regexp.MustCompile(`No bootable option or device was found`)
	kernelLine  = regexp.MustCompile(`Linux version \d`)
)

// TestUKI boots the image, signed with the user's key, on firmware that trusts
// this key alone: Secure Boot and lockdown are on, the machine is as good as any,
// and the TPM holds what was predicted.
func TestUKI(t *testing.T) {
	s := makeSecureLab(t)
	image := s.sign(t, s.user)
	m := s.boot(t, s.vars, map[string]string{removable: image}, forwarded())
	m.wait(auditDone)
	m.trust()
	if got := m.root("cat /sys/kernel/security/lockdown"); !strings.Contains(got, "[integrity]") {
		t.Errorf("lockdown: %s", got)
	}
	if got := m.root("dmesg"); !strings.Contains(got, "Secure boot enabled") {
		t.Error("the kernel does not say that Secure Boot is on")
	}
	if out, status := m.as("root", "smoketest", nil); status != 0 {
		t.Errorf("smoketest: status %d\n%s", status, out)
	}
	m.predicted(prediction(t, image))
	for _, n := range []int{12, 13} {
		if got := m.register(n); strings.Trim(got, "0") != "" {
			t.Errorf("PCR %d is %s: something from beside the image took part", n, got)
		}
	}
}

// prediction is what is known of an image file.
func prediction(t *testing.T, image string) []pcr.Event {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	events, err := pcr.UKI(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// predicted holds the TPM's registers against a prediction, and against the
// firmware's log, which says too that Secure Boot is on.
func (m *machine) predicted(events []pcr.Event) {
	m.t.Helper()
	log, err := m.client.Run(m.ctx, "root", m.port, "cat /sys/kernel/security/tpm0/binary_bios_measurements", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	said, err := pcr.Log(log)
	if err != nil {
		m.t.Fatal(err)
	}
	for who, values := range map[string]map[int]pcr.Digest{"the prediction": pcr.Predict(events), "the log": pcr.Predict(said)} {
		for register, want := range values {
			if got := m.register(register); got != want.String() {
				m.t.Errorf("PCR %d is %s; %s says %s", register, got, who, want)
			}
		}
	}
	on := pcr.Measure(7, secureBootOn(), "")
	if !slices.ContainsFunc(said, func(e pcr.Event) bool { return e.PCR == on.PCR && e.Digest == on.Digest }) {
		m.t.Error("the firmware did not measure that Secure Boot is on")
	}
	if m.t.Failed() {
		for _, e := range said {
			m.t.Logf("PCR %d %s %s", e.PCR, e.Digest, e.Note)
		}
	}
}

// register is what a register of the TPM holds.
func (m *machine) register(n int) string {
	m.t.Helper()
	return strings.ToLower(m.root(fmt.Sprintf("cat /sys/class/tpm/tpm0/pcr-sha256/%d", n)))
}

// TestGRUBMeasured boots the same kernel and initrd through shim and GRUB, as
// Microsoft and Debian signed them, and holds the TPM against what package pcr says
// of each file and command. The initrd rests on nothing but these registers.
func TestGRUBMeasured(t *testing.T) {
	s := makeSecureLab(t)
	key, err := s.client.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	// GRUB gives the quotes on, around the whole parameter, and measures its own
	// commands without them.
	const console = "/vmlinuz console=ttyS0 "
	param := "bee.ssh_key=" + key
	line := console + `"` + param + `"`
	config := filepath.Join(t.TempDir(), "grub.cfg")
	if err := os.WriteFile(config, []byte("linux "+line+"\ninitrd /initrd.img\nboot\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	kernel, initrd := filepath.Join(s.images, artifact.KernelFile), filepath.Join(s.images, artifact.InitrdFile)
	shim, grub := s.loader(t, "shim-signed", "usr/lib/shim/shimx64.efi.signed"), s.loader(t, "grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
	m := s.boot(t, s.firmware("OVMF_VARS_4M.ms.fd"), map[string]string{
		removable: shim, "EFI/BOOT/grubx64.efi": grub, "EFI/debian/grub.cfg": config, "vmlinuz": kernel, "initrd.img": initrd,
	}, forwarded())
	m.wait(auditDone)
	m.trust()
	m.predicted(slices.Concat(
		pcr.Applications(program(t, shim), program(t, grub), program(t, kernel)),
		pcr.GRUBConfig(whole(t, config), "grub.cfg"),
		[]pcr.Event{
			pcr.GRUBCommand("linux " + console + param), pcr.GRUBFile(whole(t, kernel), "vmlinuz"), pcr.GRUBKernelCommandLine(line),
			pcr.GRUBCommand("initrd /initrd.img"), pcr.GRUBFile(whole(t, initrd), "initrd.img"), pcr.GRUBCommand("boot"),
		},
		pcr.GRUBKernel(line, whole(t, initrd)),
	))
}

// program is the hash that an EFI program is measured by.
func program(t *testing.T, name string) pcr.Digest {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := pcr.Application(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// whole is the hash of a file.
func whole(t *testing.T, name string) pcr.Digest {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// secureBootOn is what firmware measures of the variable SecureBoot (UEFI_VARIABLE_DATA
// of the PC Client Platform Firmware Profile) where it is 1.
func secureBootOn() []byte {
	b := []byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c} // EFI_GLOBAL_VARIABLE
	const name = "SecureBoot"
	b = binary.LittleEndian.AppendUint64(b, uint64(len(name)))
	b = binary.LittleEndian.AppendUint64(b, 1)
	for _, c := range name {
		b = binary.LittleEndian.AppendUint16(b, uint16(c))
	}
	return append(b, 1)
}

// TestUKIRefused offers the same firmware the same image with one byte of the
// initrd changed, without a signature, and signed with a key that it does not
// know: it starts none of them.
func TestUKIRefused(t *testing.T) {
	s := makeSecureLab(t)
	for name, image := range map[string]string{
		"one byte of the initrd": s.spoil(t), "no signature": s.image, "another key": s.sign(t, makePair(t, t.TempDir(), "another")),
	} {
		t.Run(name, func(t *testing.T) {
			m := s.boot(t, s.vars, map[string]string{removable: image})
			m.wait(refusedLine)
			m.wait(nothingLine)
			if text := m.process.Console.Text(); kernelLine.MatchString(text) || strings.Contains(text, "bee") {
				t.Error("the kernel was started")
			}
		})
	}
}

// spoil changes one byte of a signed image's initrd.
func (s *secureLab) spoil(t *testing.T) string {
	t.Helper()
	name := s.sign(t, s.user)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	initrd, err := os.ReadFile(filepath.Join(s.images, artifact.InitrdFile))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, initrd)
	if at < 0 {
		t.Fatal("the image does not hold the initrd")
	}
	b[at+len(initrd)/2] ^= 1
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
