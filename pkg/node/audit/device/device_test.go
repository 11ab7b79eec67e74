package device

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/bee-os/bee/pkg/bom"
)

// TestLayout holds the structures against what the ioctl numbers encode, which
// the kernel checks.
func TestLayout(t *testing.T) {
	if n := unsafe.Sizeof(request{}); n != sendCommand>>16&0x3fff {
		t.Errorf("struct ipmi_req has %d bytes", n)
	}
	if n := unsafe.Sizeof(response{}); n != receiveTrunc>>16&0x3fff {
		t.Errorf("struct ipmi_recv has %d bytes", n)
	}
	if n := unsafe.Sizeof(nvmeAdmin{}); n != nvmeAdminCmd>>16&0x3fff {
		t.Errorf("struct nvme_passthru_cmd has %d bytes", n)
	}
	if n := unsafe.Sizeof(sgIO{}); n != 88 { // scsi/sg.h on 64 bits
		t.Errorf("struct sg_io_hdr has %d bytes", n)
	}
}

// TestOnlyReaders asks for what would change something: nothing gets as far as
// the device.
func TestOnlyReaders(t *testing.T) {
	l := NewLive(time.Second)
	for name, q := range map[string]Question{
		"format NVM":              NVMeCommand("dev/nope", 0x80, 1, 0, 0, 0),
		"sanitize":                NVMeCommand("dev/nope", 0x84, 1, 0, 0, 0),
		"FORMAT UNIT":             SCSICommand("dev/nope", 0, 0x04, 0, 0, 0, 0, 0),
		"WRITE (10)":              SCSICommand("dev/nope", 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0),
		"ATA security":            SCSICommand("dev/nope", 0, 0x85, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf4, 0),
		"SMART disable":           SCSICommand("dev/nope", 0, 0x85, 0, 0, 0, 0xd9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb0, 0),
		"chassis control":         IPMIMessage(0x00, 0x02, 0),
		"clear SEL":               IPMIMessage(0x0a, 0x47),
		"write FRU":               IPMIMessage(0x0a, 0x12, 0, 0, 0, 1),
		"set link":                EthtoolCommand("nope", 48, 0x4d),
		"TPM clear":               TPMCommand("dev/nope", []byte{0x80, 1, 0, 0, 0, 10, 0, 0, 0x01, 0x26}),
		"a maker's writer":        VendorCommand("storcli64", "/c0", "delete", "config"),
		"a maker's other program": VendorCommand("megacli", "-AdpAllInfo"),
		"a way out":               VendorCommand("../../bin/sh", "-c", "x"),
		"an odd word":             VendorCommand("mstflint", "-d", "a b", "q"),
		"no kind at all":          {Device: "dev/nope", Kind: "x"},
	} {
		if _, err := l.Ask(context.Background(), q); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "let through") && !strings.Contains(err.Error(), "kind") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := l.Ask(context.Background(), NVMeCommand("dev/nope", 6, 0, 1, 0, 4096)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a device that is not there: %v", err)
	}
}

// TestHungDevice asks one that never answers: the first question costs its
// patience, the next one nothing.
func TestHungDevice(t *testing.T) {
	l := NewLive(20 * time.Millisecond)
	hang := make(chan struct{})
	defer close(hang)
	var asked atomic.Int32
	ask := func(Question, time.Duration) ([]byte, error) {
		asked.Add(1)
		<-hang
		return nil, nil
	}
	for range 3 {
		_, err := l.timed(context.Background(), Question{Device: "dev/x", Kind: NVMe}, ask)
		if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "timed out after 20ms") {
			t.Error(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if f := NewFailure(TimedOut(time.Second)); !errors.Is(f, ErrTimeout) || errors.Is(f, fs.ErrNotExist) {
		t.Error(f)
	}
}

func TestEveryVendorToolIsKnown(t *testing.T) {
	for _, name := range bom.VendorTools {
		if vendorReaders()[name] == nil {
			t.Errorf("%s may be in an image, and nothing asks it", name)
		}
	}
	if len(vendorReaders()) != len(bom.VendorTools) || !readerAllowed("mstflint", []string{"-d", "0000:3b:00.0", "q"}) || !readerAllowed("sas3ircu", []string{"0", "display"}) {
		t.Error("the lists differ")
	}
	if _, err := NewLive(time.Second).Ask(context.Background(), VendorCommand("storcli64", "/call", "show", "all", "J", "nolog")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestNVMLReport: only the program itself, without arguments; not in this image.
func TestNVMLReport(t *testing.T) {
	l := NewLive(time.Second)
	if _, err := l.Ask(context.Background(), NVMLReport(100)); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "compat root") {
		t.Errorf("a program that is not there: %v", err)
	}
	for _, q := range []Question{{Device: "bin/sh", Kind: NVML}, {Device: NVMLReport(1).Device, Kind: NVML, Request: []byte("--watch=1s")}} {
		if _, err := l.Ask(context.Background(), q); err == nil || !strings.Contains(err.Error(), "let through") {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// TestRunWhole has programs that end in every way but the right one.
func TestRunWhole(t *testing.T) {
	sh := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	for name, c := range map[string]struct {
		argv []string
		says string
	}{
		"segfault":  {sh("kill -SEGV $$"), "x did not end well: signal: segmentation fault"},
		"status":    {sh("echo partly; echo first >&2; echo why >&2; exit 3"), "x did not end well: exit status 3: first"},
		"too much":  {sh("echo 0123456789"), "x wrote more than 8 bytes"},
		"hang":      {sh("echo {; exec sleep 60"), "x does not end: timed out after 300ms"},
		"no loader": {[]string{"/no/such"}, "x does not start"},
	} {
		if _, err := runWhole("x", c.argv, 8, 300*time.Millisecond); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if b, err := runWhole("x", sh("echo {}"), 8, time.Minute); err != nil || string(b) != "{}\n" {
		t.Errorf("%q %v", b, err)
	}
}
