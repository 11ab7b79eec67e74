package tpm

import (
	"os"
	"slices"
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

func TestSWTPM(t *testing.T) {
	i, err := ParseProperties(load(t, "properties"))
	if err != nil || i.Manufacturer != "IBM" || i.Vendor != "SWTPM" || i.Revision != "1.64" {
		t.Errorf("%+v, %v", i, err)
	}
	banks, err := ParseBanks(load(t, "banks"))
	if err != nil || !slices.Contains(banks, "sha256") {
		t.Errorf("%q, %v", banks, err)
	}
	if list, err := ParseHandles(load(t, "handles")); err != nil || len(list) != 0 {
		t.Errorf("%x, %v", list, err)
	}
	n, agile, err := CountEvents(load(t, "eventlog"))
	if err != nil || !agile || n != 14 {
		t.Errorf("%d events, agile %v, %v", n, agile, err)
	}
}

func TestHandles(t *testing.T) {
	b := []byte{0x80, 1, 0, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x01, 0xc0, 0, 2}
	list, err := ParseHandles(b)
	if err != nil || len(list) != 1 || EKCertificates()[list[0]] != "RSA 2048" {
		t.Errorf("%x, %v", list, err)
	}
}

func TestBadInput(t *testing.T) {
	good := load(t, "properties")
	for name, b := range map[string][]byte{
		"empty": nil, "short": good[:9], "wrong length": append(slices.Clone(good), 0), "an error": {0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1}, "another capability": load(t, "banks"),
	} {
		if _, err := ParseProperties(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	log := load(t, "eventlog")
	if n, _, err := CountEvents(log[:len(log)-3]); err == nil || n != 13 {
		t.Errorf("a log that is cut: %d events, %v", n, err)
	}
	if _, _, err := CountEvents(nil); err == nil {
		t.Error("no log")
	}
}

func FuzzTPM(f *testing.F) {
	for _, name := range []string{"properties", "banks", "handles", "eventlog"} {
		f.Add(load(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseProperties(b)
		ParseBanks(b)
		ParseHandles(b)
		if n, _, _ := CountEvents(b); n < 0 || n > len(b) {
			t.Error(n)
		}
	})
}
