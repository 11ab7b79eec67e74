package modload

import (
	"strings"
	"testing"
)

func TestParseUevent(t *testing.T) {
	got, err := ParseUevent([]byte("add@/devices/pci0000:00/0000:00:03.0\x00ACTION=add\x00SUBSYSTEM=pci\x00MODALIAS=pci:v00001AF4\x00SEQNUM=7\x00"))
	if want := (Uevent{"add", "devices/pci0000:00/0000:00:03.0", "pci:v00001AF4"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "libudev\x00\xfe\xed\xca\xfe", "@/devices", "add"} {
		if u, err := ParseUevent([]byte(bad)); err == nil {
			t.Errorf("%q gives %+v", bad, u)
		}
	}
}

func TestListen(t *testing.T) {
	s, err := Listen() // needs no privilege; the buffer is smaller then
	if err != nil {
		t.Fatal(err)
	}
	if s.fd < 0 {
		t.Error("no socket")
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00MODALIAS=pci:v1\x00"))
	f.Add([]byte("@/\x00\x00MODALIAS"))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := ParseUevent(b)
		if err != nil {
			return
		}
		if u.Action == "" || strings.ContainsRune(u.Action+u.Path+u.Modalias, 0) {
			t.Errorf("%q gives %+v", b, u)
		}
	})
}
