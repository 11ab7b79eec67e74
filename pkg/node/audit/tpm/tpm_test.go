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

func TestPCRs(t *testing.T) {
	c, ok := ReadPCRs("sha256", 1<<23|1)
	if !ok || len(c) != 20 || c[17] != 1 || c[19] != 0x80 {
		t.Errorf("%x", c)
	}
	b := []byte{0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0x80, 0, 0, 0, 2, 0, 2, 0xab, 0xcd, 0, 2, 0x12, 0x34}
	b[5] = byte(len(b))
	got, err := ParsePCRs(b)
	if err != nil || got[0] != "abcd" || got[23] != "1234" || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	b[5]--
	if _, err := ParsePCRs(b[:len(b)-1]); err == nil {
		t.Error("a register that is cut")
	}
	if _, ok := ReadPCRs("md5", 1); ok {
		t.Error("a bank without a name")
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
		ParsePCRs(b)
		if n, _, _ := CountEvents(b); n < 0 || n > len(b) {
			t.Error(n)
		}
	})
}
