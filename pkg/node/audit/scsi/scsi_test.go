package scsi

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// load is an answer of the kernel's scsi_debug.
func load(t testing.TB, name string) Answer {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSCSIDebug(t *testing.T) {
	id, err := ParseInquiry(load(t, "inquiry").Data)
	if err != nil || id.Vendor != "Linux" || id.Product != "scsi_debug" || id.Revision != "0191" || id.Type != 0 || id.Version != 7 {
		t.Errorf("%+v, %v", id, err)
	}
	if s, err := ParseSerial(load(t, "serial").Data); err != nil || s != "16000" {
		t.Errorf("%q, %v", s, err)
	}
	names, err := ParseDesignators(load(t, "designators").Data)
	if err != nil || !slices.Contains(names, Designator{0, "naa.3333333000003e80"}) {
		t.Errorf("%v, %v", names, err)
	}
	if rpm, form, err := ParseRotation(load(t, "rotation").Data); err != nil || rpm != 1 || form != "less than 1.8 in" {
		t.Errorf("%d %q, %v", rpm, form, err)
	}
	pages, err := ParseSupported(load(t, "supported").Data)
	if err != nil || !slices.Contains(pages, PageTemperature) || !slices.Contains(pages, PageExceptions) {
		t.Errorf("%x, %v", pages, err)
	}
	list, err := ParseLog(PageTemperature, load(t, "temperature").Data)
	if err != nil || len(list) != 2 || list[0].Value[1] != 38 || list[1].Value[1] != 65 {
		t.Errorf("%+v, %v", list, err)
	}
	refused := load(t, "defects") // READ DEFECT DATA: unknown to it
	if key, asc, _, ok := refused.SenseCode(); !ok || key != 5 || asc != 0x20 || refused.Err() == nil || !strings.Contains(refused.Err().Error(), "illegal request") {
		t.Errorf("%+v: %v", refused, refused.Err())
	}
}

func TestNumbersAndTests(t *testing.T) {
	page := []byte{PageRead, 0, 0, 12, 0, 6, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2}
	list, err := ParseLog(PageRead, page)
	if err != nil || len(list) != 1 || list[0].Code != 6 || list[0].Number() != 258 {
		t.Errorf("%+v, %v", list, err)
	}
	if n := (Parameter{Value: []byte{1, 0, 0, 0, 0, 0, 0, 0, 0}}).Number(); n != 1<<63-1 {
		t.Errorf("nine bytes are %d", n)
	}
	value := make([]byte, 16)
	value[0], value[2], value[3] = 2<<5|7, 1, 0
	tests := ParseSelfTests([]Parameter{{1, value}, {2, make([]byte, 16)}, {3, value[:4]}})
	if len(tests) != 1 || tests[0].KindName() != "extended" || tests[0].ResultName() != "failed: known segment" || tests[0].Hours != 256 {
		t.Errorf("%+v", tests)
	}
	grown := Answer{Data: []byte{0, 0x0d, 0, 24}}
	if n, err := ParseDefects(grown); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestBadInput(t *testing.T) {
	if _, err := ParseAnswer([]byte{0, 9, 1}); err == nil {
		t.Error("sense data that is not there")
	}
	if list, err := ParseLog(PageRead, []byte{PageRead, 0, 0, 20, 0, 1, 0, 1, 5, 0, 2, 0, 9}); err == nil || len(list) != 1 {
		t.Errorf("a page that is cut: %+v, %v", list, err)
	}
	if _, err := ParseLog(PageRead, load(t, "temperature").Data); err == nil {
		t.Error("another page than was asked for")
	}
	if list, err := ParseDesignators([]byte{0, 0x83, 0, 6, 1, 3, 0, 200, 1, 2}); err == nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := ParseSerial([]byte{0, 0x80, 0xff, 0xff}); err == nil {
		t.Error("a page that states more than came")
	}
}

func FuzzSCSI(f *testing.F) {
	for _, name := range []string{"inquiry", "serial", "designators", "rotation", "supported", "temperature", "exceptions", "defects"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(load(f, name).Data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseAnswer(b); err == nil {
			_ = a.Err()
			ParseDefects(a)
		}
		ParseInquiry(b)
		ParseSerial(b)
		ParseDesignators(b)
		ParseRotation(b)
		ParseSupported(b)
		for _, page := range []byte{PageRead, PageTemperature, PageSelfTest, PageExceptions} {
			list, _ := ParseLog(page, b)
			for _, p := range list {
				if p.Number() < 0 {
					t.Error(p)
				}
			}
			for _, s := range ParseSelfTests(list) {
				if s.KindName() == "" || s.ResultName() == "" {
					t.Errorf("%+v", s)
				}
			}
		}
	})
}
