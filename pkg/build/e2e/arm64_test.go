package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/vm"
	"github.com/bee-os/bee/pkg/hwreport"
)

// bootARM64 starts an arm64 machine that ends with the test.
func bootARM64(t *testing.T, o options) *machine {
	t.Helper()
	skip(t)
	b, err := sharedARM64()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, b, o)
}

// TestARM64 is one arm64 machine as QEMU starts a kernel itself: no firmware, a
// device tree, and a power button on a GPIO line.
func TestARM64(t *testing.T) {
	skip(t)
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	m := bootARM64(t, options{disks: []vm.Disk{{File: disk, Serial: "E2E-DISK-7"}}, devices: []string{"virtio-rng-pci", "i6300esb"}})
	m.trust()
	m.wait(auditDone)
	for _, c := range []struct {
		name string
		f    func(*testing.T, *machine)
	}{
		{"report", testReportARM64}, {"ahead", testAhead}, {"sessions", testSessions}, {"files", testFiles}, {"smoketest", testSmoke},
		{"modules", testModulesARM64}, {"killed services come back", testKilled}, {"nothing is left of a stopped service", testStop},
		{"power button", testPowerButton},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub := *m
			sub.t = t
			c.f(t, &sub)
		})
	}
}

// testReportARM64 holds the report against what QEMU was given. There is no
// SMBIOS: what it would say is absent, and not guessed.
func testReportARM64(t *testing.T, m *machine) {
	r := m.report()
	sys, c, mem := r.Board.Data.System, r.CPU.Data, r.Memory.Data
	for what, is := range map[string]bool{
		"mode":        r.Boot.Data.Mode.Or("") == "devicetree",
		"SMBIOS":      r.Board.Data.SMBIOS.State() == hwreport.IsAbsent,
		"product":     sys.Product.Or("") == "linux,dummy-virt",
		"serial":      sys.Serial.State() == hwreport.IsAbsent,
		"cpu":         c.Model.Or("") == "QEMU TCG CPU max",
		"guest":       c.Hypervisor.Or(false),
		"cores":       c.Cores.Or(0) == 2 && c.Packages.Or(0) == 1,
		"threads":     c.Threads.Or(0) == 2,
		"microcode":   c.Microcode.State() == hwreport.IsAbsent,
		"mapped":      mem.Mapped.Or(0) == 1<<30,
		"installed":   mem.Installed.State() == hwreport.IsAbsent,
		"secure boot": r.Boot.Data.SecureBoot.State() == hwreport.IsAbsent,
	} {
		if !is {
			t.Errorf("%s is not what QEMU was given: board %+v, cpu %+v, memory %+v", what, sys, c, mem)
		}
	}
	// The kernel's own word on the processor (arch/arm64/kernel/cpuinfo.c): bits 16
	// to 19, the architecture, are not in /proc/cpuinfo.
	midr := strings.TrimPrefix(m.root("cat /sys/devices/system/cpu/cpu0/regs/identification/midr_el1"), "0x00000000")
	if got := c.Signature.Or(""); got != midr {
		t.Errorf("the processor is %q, the kernel says %q", got, midr)
	}
	for _, v := range c.Vulnerabilities.Or(nil) {
		if v.Status == "" {
			t.Errorf("vulnerability %s has no status", v.Name)
		}
	}
	if d := r.Storage.Data.Disks.Or(nil); len(d) != 1 || d[0].Serial.Or("") != "E2E-DISK-7" || d[0].Bytes.Or(0) != 1<<20 {
		t.Errorf("disks: %+v", d)
	}
	if n := r.Network.Data.Interfaces.Or(nil); len(n) != 1 || n[0].MAC.Or("") != mac || n[0].Driver.Or("") != "virtio_net" {
		t.Errorf("interfaces: %+v", n)
	}
}

// report is what the audit of the boot wrote; every collector must be well.
func (m *machine) report() *hwreport.Report {
	m.t.Helper()
	r, err := hwreport.Decode([]byte(m.root("cat /var/log/bee-audit.json")))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, c := range r.Collectors() {
		if c.Status != hwreport.OK {
			m.t.Errorf("collector %s: %s %s", c.Name, c.Status, c.Error)
		}
	}
	return r
}

// testModulesARM64: every device of the machine has its driver.
func testModulesARM64(t *testing.T, m *machine) {
	if arch := m.root("uname -m"); arch != "aarch64" {
		t.Errorf("the machine is %s", arch)
	}
	loaded := m.root("lsmod")
	for _, name := range []string{"virtio_net", "virtio_blk", "virtio_rng", "gpio_keys", "evdev", "i6300esb"} {
		if !strings.Contains(loaded, name) {
			t.Errorf("module %s is not loaded:\n%s", name, loaded)
		}
	}
	for _, dev := range []string{"/dev/rtc0", "/dev/watchdog0", "/dev/hwrng", "/dev/input/event0"} {
		m.root("test -e " + dev) // ls ends with 0 all the same
	}
	if r := m.report(); len(r.Findings) > 0 {
		for _, f := range r.Findings {
			if f.Section == "drivers" {
				t.Errorf("%s: %s", f.ID, f.Message)
			}
		}
	}
}

// testPowerButton presses it: the machine goes down in order.
func testPowerButton(t *testing.T, m *machine) {
	m.until("somebody listens to the power button", func() (string, bool) {
		s := m.service("powerkey")
		return s.State + " " + s.Reason, s.State == "ready"
	})
	if err := m.process.QMP.Powerdown(m.ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.ended(45 * time.Second); err != nil {
		t.Fatal(err)
	}
	if text := m.process.Console.Text(); strings.Contains(text, "Kernel panic") || !strings.Contains(text, "power") {
		t.Errorf("the console does not tell of it:\n%s", m.process.Console.Tail(20))
	}
}

// TestARM64UEFI is the same machine as servers are: UEFI, ACPI, SMBIOS.
func TestARM64UEFI(t *testing.T) {
	skip(t)
	b, err := sharedARM64()
	if err != nil {
		t.Fatal(err)
	}
	m := start(t, b, options{
		uefi: b.firmware(t, "AAVMF"),
		// The firmware has random numbers for the kernel only where the machine has.
		devices: []string{"virtio-rng-pci"},
		smbios: []vm.SMBIOS{
			{Type: 1, Fields: map[string]string{"manufacturer": "Acme", "product": "Rocket", "serial": "SN-42"}},
			{Type: 17, Fields: map[string]string{"loc_pfx": "DIMM", "manufacturer": "RamCo", "serial": "R-1", "part": "P-1"}},
		},
	})
	m.trust()
	m.wait(auditDone)
	r := m.report()
	sys := r.Board.Data.System
	for what, is := range map[string]bool{
		"mode":         r.Boot.Data.Mode.Or("") == "efi",
		"Secure Boot":  r.Boot.Data.SecureBoot.State() != hwreport.IsUnknown && !r.Boot.Data.SecureBoot.Or(false), // this firmware has none
		"manufacturer": sys.Manufacturer.Or("") == "Acme",
		"product":      sys.Product.Or("") == "Rocket",
		"serial":       sys.Serial.Or("") == "SN-42",
		"firmware":     strings.Contains(r.Board.Data.Firmware.Vendor.Or(""), "EDK II"),
		"guest":        r.CPU.Data.Hypervisor.Or(false),
		"installed":    r.Memory.Data.Installed.Or(0) == 1<<30,
	} {
		if !is {
			t.Errorf("%s is not what QEMU was given: board %+v, boot %+v", what, r.Board.Data, r.Boot.Data)
		}
	}
	if vars := m.root("ls /sys/firmware/efi/efivars"); !strings.Contains(vars, "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c") {
		t.Errorf("the firmware's variables: %s", vars)
	}
	if out, status := m.as("root", "smoketest", nil); status != 0 {
		t.Errorf("smoketest: status %d\n%s", status, out)
	}
	testPowerButton(t, m) // of ACPI
}
