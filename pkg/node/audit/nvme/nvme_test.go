package nvme

import (
	"errors"
	"os"
	"testing"
)

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The answers of QEMU's controller, as nvme-cli reads them too (see
// COMPARED.md).
func TestQEMU(t *testing.T) {
	c, err := ParseController(load(t, "identify-controller"))
	if err != nil || c.Serial != "NVME-1" || c.Model != "QEMU NVMe Ctrl" || c.VendorID != 0x1b36 || c.VersionText() != "1.4.0" || c.WarningKelvin != 343 || c.CriticalK != 373 || c.FirmwareSlots != 1 || c.ErrorEntries != 1 || c.SelfTest {
		t.Errorf("%+v, %v", c, err)
	}
	h, err := ParseHealth(load(t, "health"))
	if err != nil || h.CriticalWarning != 8 || h.Kelvin != 323 {
		t.Errorf("%+v, %v", h, err)
	}
	if w := Warnings(0x8d); len(w) != 4 || w[2] != "read-only" || w[3] != "reserved bits 0x80" {
		t.Errorf("%q", w)
	}
	n, err := ParseNamespace(load(t, "identify-namespace"))
	if size, ok := n.Bytes(n.Blocks); err != nil || n.BlockBytes != 512 || !ok || size != 256<<20 {
		t.Errorf("%+v, %v", n, err)
	}
	if list := ParseActive(load(t, "active-namespaces"), 8); len(list) != 1 || list[0] != 1 {
		t.Errorf("%v", list)
	}
	active, next, slots, err := ParseFirmware(load(t, "firmware"))
	if err != nil || active != 1 || next != 0 || slots[0] != "1.0" {
		t.Errorf("%d %d %q, %v", active, next, slots, err)
	}
}

func TestErrorsAndSelfTests(t *testing.T) {
	b := make([]byte, ErrorLogSize(3))
	b[0], b[12], b[13], b[16], b[24] = 7, 0x81, 0x02, 0x10, 1 // status 0x281 with the phase bit
	if list := ParseErrors(b); len(list) != 1 || list[0] != (Error{Count: 7, Status: 0x140, LBA: 16, Namespace: 1}) {
		t.Errorf("%+v", list)
	}
	s := make([]byte, SelfTestSize)
	for i := range 20 {
		s[4+28*i] = 0x0f // not used
	}
	s[0], s[1] = 1, 42
	s[4], s[8] = 0x27, 0xe8 // extended, known segments failed, at 232 h
	running, percent, list, err := ParseSelfTests(s)
	if err != nil || running != 1 || percent != 42 || len(list) != 1 || SelfTestKind(list[0].Code) != "extended" || SelfTestResult(list[0].Result) != "failed: known segments" || list[0].Hours != 232 {
		t.Errorf("%d %d %+v, %v", running, percent, list, err)
	}
}

func TestBadInput(t *testing.T) {
	zeros := make([]byte, IdentifySize)
	if _, err := ParseController(zeros); err == nil {
		t.Error("a controller of zeros")
	}
	if _, err := ParseHealth(zeros); err == nil {
		t.Error("a health log of zeros")
	}
	for name, err := range map[string]error{"controller": second(ParseController(nil)), "health": second(ParseHealth(zeros[:511])), "namespace": second(ParseNamespace(zeros[:100]))} {
		if err == nil {
			t.Errorf("a short %s", name)
		}
	}
	n := Namespace{Blocks: 1 << 62, BlockBytes: 4096}
	if _, ok := n.Bytes(n.Blocks); ok {
		t.Error("a size beyond counting")
	}
	if list := ParseActive([]byte{2, 0, 0, 0, 1, 0, 0, 0}, 8); len(list) != 1 {
		t.Errorf("a list that does not ascend: %v", list)
	}
}

func second[T any](_ T, err error) error { return errors.Join(err) }

func FuzzNVMe(f *testing.F) {
	for _, name := range []string{"identify-controller", "identify-namespace", "active-namespaces", "health", "firmware"} {
		f.Add(load(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseController(b); err == nil && c.FirmwareSlots > 7 {
			t.Error(c.FirmwareSlots)
		}
		ParseHealth(b)
		ParseErrors(b)
		ParseSelfTests(b)
		ParseFirmware(b)
		if n, err := ParseNamespace(b); err == nil {
			if size, ok := n.Bytes(n.Blocks); ok && size < 0 {
				t.Error(size)
			}
		}
		if len(ParseActive(b, 16)) > 16 {
			t.Error("more than asked for")
		}
	})
}
