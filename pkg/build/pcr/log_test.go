package pcr

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
)

// testdata/ovmf.log is what a guest of the end-to-end test TestUKI showed, where
// the log was held against the TPM's registers.
func TestLog(t *testing.T) {
	b, err := os.ReadFile("testdata/ovmf.log")
	if err != nil {
		t.Fatal(err)
	}
	events, err := Log(b)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range events {
		if e.PCR == KernelImage || e.PCR == BootLoader || e.PCR == Files {
			names = append(names, e.Note)
		}
	}
	want := []string{"EV_EFI_ACTION Calling EFI Application from Boot Option", "EV_SEPARATOR", "EV_EFI_BOOT_SERVICES_APPLICATION",
		"EV_IPL .linux", "EV_IPL .linux", "EV_IPL .osrel", "EV_IPL .osrel", "EV_IPL .cmdline", "EV_IPL .cmdline", "EV_IPL .initrd", "EV_IPL .initrd", "EV_IPL .sbat", "EV_IPL .sbat",
		"EV_EVENT_TAG", "EV_EVENT_TAG"}
	if !slices.Equal(names, want) {
		t.Errorf("events are %q", names)
	}
	// What the firmware measures beside the program is what Applications says.
	own := Applications()
	for _, e := range own {
		if !slices.ContainsFunc(events, func(x Event) bool { return x.PCR == e.PCR && x.Digest == e.Digest }) {
			t.Errorf("the log has no %s", e.Note)
		}
	}
	for n := range len(b) {
		if short, err := Log(b[:n]); err == nil && len(short) >= len(events) {
			t.Errorf("%d bytes of the log are as good as all", n)
		}
	}
}

// The registers as Python's hashlib computes them.
func TestExtend(t *testing.T) {
	events := []Event{Measure(4, []byte("one"), ""), Measure(4, []byte("two"), ""), Separator(7)}
	got := Predict(events)
	if len(got) != 2 {
		t.Errorf("registers: %v", got)
	}
	for register, want := range map[int]string{4: golden4, 7: golden7} {
		if strings.ReplaceAll(want, " ", "") != got[register].String() {
			t.Errorf("PCR %d is %s, wanted %s", register, got[register], want)
		}
	}
	if got := Predict(events[:1])[4]; got == (Digest{}) || got == events[0].Digest {
		t.Errorf("after one measurement it is %s", got)
	}
}

// section is one of an image that image makes.
type section struct {
	name string
	text string
}

// image is a PE32+ image with these sections, which none of our code made.
func image(sections ...section) []byte {
	b := make([]byte, 1024)
	copy(b, "MZ")
	b[60] = 0x40
	at := 0x40 + copy(b[0x40:], "PE\x00\x00")
	put := func(v any) {
		n, err := binary.Encode(b[at:], binary.LittleEndian, v)
		if err != nil {
			panic(err)
		}
		at += n
	}
	put(pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: uint16(len(sections)), SizeOfOptionalHeader: 240})
	put(pe.OptionalHeader64{Magic: 0x20b, SectionAlignment: 4096, FileAlignment: 512, SizeOfHeaders: 1024, NumberOfRvaAndSizes: 16})
	for i, s := range sections {
		h := pe.SectionHeader32{VirtualAddress: uint32(0x1000 * (i + 1)), VirtualSize: uint32(len(s.text)), PointerToRawData: uint32(len(b)), SizeOfRawData: 512}
		copy(h.Name[:], s.name)
		put(h)
		b = append(b, make([]byte, 512)...)
		copy(b[len(b)-512:], s.text)
	}
	return b
}

// Images whose measurements are not known are refused by name.
func TestUKIRefuses(t *testing.T) {
	linux, initrd, cmdline := section{".linux", "kernel"}, section{".initrd", "initrd"}, section{".cmdline", "quiet"}
	cut := image(linux, initrd, cmdline)
	for want, b := range map[string][]byte{
		"no PE image": []byte("hello"), "no section .linux": image(initrd, cmdline), "no section .initrd": image(linux, cmdline), "no .cmdline": image(linux, initrd),
		"two sections .linux": image(linux, linux, initrd, cmdline), "sections end": cut[:len(cut)-1],
		"section .profile": image(linux, initrd, cmdline, section{".profile", "ID=a"}), "section .dtbauto": image(linux, initrd, cmdline, section{".dtbauto", "x"}),
		"no section .linux, or an empty one": image(section{".linux", ""}, initrd, cmdline), "no .cmdline, or an empty one": image(linux, section{".initrd", ""}, cmdline),
		"section .pcrsig": image(linux, initrd, cmdline, section{".pcrsig", "x"}), "section .ucode": image(linux, initrd, cmdline, section{".ucode", "x"}),
	} {
		if _, err := UKI(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	good := image(linux, initrd, cmdline)
	if _, err := UKI(bytes.NewReader(good), int64(len(good))); err != nil {
		t.Errorf("what the others lack is not all that is needed: %v", err)
	}
}

func FuzzUKI(f *testing.F) {
	f.Add(image(section{".linux", "kernel"}, section{".initrd", "initrd"}, section{".cmdline", "quiet"}, section{".osrel", "ID=bee"}))
	f.Add(image(section{".linux", "kernel"}, section{".initrd", ""}, section{".cmdline", "quiet"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if events, err := UKI(bytes.NewReader(b), int64(len(b))); err == nil && len(events) < 3+2*3+2 {
			t.Errorf("%d events", len(events))
		}
	})
}

func FuzzLog(f *testing.F) {
	b, err := os.ReadFile("testdata/ovmf.log")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:200])
	f.Add(b[:73])
	f.Fuzz(func(t *testing.T, b []byte) {
		if events, err := Log(b); err == nil && len(events) > len(b)/12 {
			t.Errorf("%d events in %d bytes", len(events), len(b))
		}
	})
}

// In four parts: a whole one would look like an input that is not in bee.lock.
const (
	golden4 = "b88f3f290fe4ac11 da329c5515b418b9 37de9be1abffb4ff 40de976ef83a28ee"
	golden7 = "3d458cfe55cc03ea 1f443f1562beec8d f51c75e14a9fcf9a 7234a13f198e7969"
)
