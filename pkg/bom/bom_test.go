package bom

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() BOM {
	return BOM{
		Schema: Schema, Name: "bee", Version: Version, Variant: "thin", Arch: "amd64",
		Kernel: "6.12.1", BuildDate: time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC), Go: "go1.26",
		RAM:     RAM{Unpacked: 4096, Budget: 1 << 20},
		Inputs:  []Input{{"linux", "6.12.1-1", "amd64", strings.Repeat("a", 64)}},
		Missing: []Missing{{"a/b.bin", "m", "no pinned package has it"}},
	}
}

func TestRoundTrip(t *testing.T) {
	text, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(fstest.MapFS{Path: {Data: text}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sample(), got); d != "" {
		t.Fatal(d)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"name":"bee"}`, `{"schema":99,"name":"bee"}`, `{"schema":1,"name":"other"}`} {
		if _, err := Decode([]byte(text)); err == nil {
			t.Errorf("Decode(%q) took it", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	text, _ := sample().Encode()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Decode(text)
		if err != nil {
			return
		}
		if _, err := b.Encode(); err != nil && b.BuildDate.Year() < 10000 && b.BuildDate.Year() >= 0 {
			t.Fatal(err)
		}
	})
}
