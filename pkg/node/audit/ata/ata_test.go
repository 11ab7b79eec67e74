package ata

import (
	"errors"
	"os"
	"testing"

	"github.com/bee-os/bee/pkg/node/audit/scsi"
)

// load is an answer of QEMU's disk: the data behind status and sense data.
func load(t testing.TB, name string) scsi.Answer {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := scsi.ParseAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestQEMU(t *testing.T) {
	d, err := ParseIdentify(load(t, "identify").Data)
	if err != nil || d.Serial != "SATA-1" || d.Model != "QEMU HARDDISK" || d.WWN != "5000c50012345678" || d.RPM != 7200 || d.Sectors != 524288 || d.Logical != 512 || !d.SMART || !d.SMARTEnabled || !d.TRIM {
		t.Errorf("%+v, %v", d, err)
	}
	list, err := ParseAttributes(load(t, "data").Data, load(t, "thresholds").Data)
	if err != nil || len(list) != 7 || list[3].ID != 5 || list[3].Threshold != 36 || !list[3].Known || list[3].Name() != "Reallocated_Sector_Ct" || list[3].Failed() != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if n, err := ParseErrorCount(load(t, "errors").Data); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if l, err := ParseSelfTests(load(t, "selftests").Data); err != nil || len(l) != 0 {
		t.Errorf("%v, %v", l, err)
	}
	if ok, err := ParseStatus(load(t, "status").Sense); err != nil || !ok {
		t.Errorf("%v, %v", ok, err)
	}
}

func checksum(b []byte) []byte {
	var s byte
	for _, c := range b[:511] {
		s += c
	}
	b[511] = -s
	return b
}

func TestFailing(t *testing.T) {
	for want, a := range map[string]Attribute{
		"now":  {Value: 30, Worst: 30, Threshold: 36, Known: true},
		"past": {Value: 40, Worst: 30, Threshold: 36, Known: true},
		"":     {Value: 30, Worst: 30, Threshold: 36}, // nobody told the limit
	} {
		if got := a.Failed(); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
	sense := make([]byte, 22) // descriptor format with the ATA return descriptor (SAT-5 12.2.6)
	sense[0], sense[7], sense[8], sense[9], sense[17], sense[19] = 0x72, 14, 0x09, 12, 0xf4, 0x2c
	if ok, err := ParseStatus(sense); err != nil || ok {
		t.Errorf("a threshold is exceeded: %v, %v", ok, err)
	}
	log := make([]byte, 512)
	log[508] = 2 // the second row is the newest
	copy(log[2:], []byte{1, 0x00, 10, 0})
	copy(log[26:], []byte{2, 0x78, 20, 0})
	list, err := ParseSelfTests(checksum(log))
	if err != nil || len(list) != 2 || list[0].Result() != "failed: read element" || list[0].KindName() != "extended" || list[0].Hours != 20 || list[1].Result() != "passed" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestBadInput(t *testing.T) {
	zeros := make([]byte, 512)
	if _, err := ParseAttributes(zeros, nil); !errors.Is(err, ErrZeros) {
		t.Error(err)
	}
	data := append([]byte(nil), load(t, "data").Data...)
	data[511]++
	if list, err := ParseAttributes(data, zeros); !errors.Is(err, ErrChecksum) || len(list) != 7 || list[0].Known {
		t.Errorf("%d rows, %v", len(list), err)
	}
	if _, err := ParseIdentify(zeros); err == nil {
		t.Error("an identity of zeros")
	}
	for name, err := range map[string]error{"identify": second(ParseIdentify(nil)), "data": second(ParseAttributes(zeros[:100], nil)), "self-tests": second(ParseSelfTests(nil)), "errors": second(ParseErrorCount(nil)), "status": second(ParseStatus([]byte{0x72}))} {
		if err == nil {
			t.Errorf("a short %s", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzATA(f *testing.F) {
	for _, name := range []string{"identify", "data", "thresholds", "errors", "selftests"} {
		f.Add(load(f, name).Data)
	}
	f.Add(load(f, "status").Sense)
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseIdentify(b); err == nil && (d.Logical < 512 || d.Logical > 2<<20) {
			t.Error(d.Logical)
		}
		list, _ := ParseAttributes(b, b)
		if len(list) > 30 {
			t.Error(len(list))
		}
		for _, a := range list {
			if w := a.Failed(); w != "" && !a.Known {
				t.Error(w)
			}
		}
		tests, _ := ParseSelfTests(b)
		for _, s := range tests {
			if s.Result() == "" || s.KindName() == "" {
				t.Errorf("%+v", s)
			}
		}
		ParseErrorCount(b)
		ParseStatus(b)
	})
}
