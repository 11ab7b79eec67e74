package bom

import (
	"bytes"
	"errors"
	"io/fs"
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
	got, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sample(), got); d != "" {
		t.Fatal(d)
	}
}

// TestHead: everything that stands before the lists, and nothing of those.
func TestHead(t *testing.T) {
	full := sample()
	full.NVIDIA = &NVIDIA{Version: "550.1", Modules: []Blob{{Path: "nvidia.ko"}}, Depends: []string{"drm"}}
	text, err := full.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := full
	want.Inputs, want.Missing = nil, nil
	for name, data := range map[string][]byte{
		"whole":     text,
		"cut off":   text[:bytes.Index(text, []byte(`"linux"`))],
		"new field": bytes.Replace(text, []byte(`"arch"`), []byte(`"later": [{"name": "x"}], "arch"`), 1),
	} {
		got, err := ReadHead(fstest.MapFS{Path: {Data: data}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if _, err := ReadHead(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a bill: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"name":"bee"}`, `{"schema":99,"name":"bee"}`, `{"schema":1,"name":"other"}`} {
		if _, err := Decode([]byte(text)); err == nil {
			t.Errorf("Decode(%q) took it", text)
		}
		if _, err := DecodeHead([]byte(text)); err == nil {
			t.Errorf("DecodeHead(%q) took it", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	text, _ := sample().Encode()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		head, headErr := DecodeHead(text)
		b, err := Decode(text)
		if err != nil {
			return
		}
		if headErr == nil && head.known() != nil {
			t.Fatalf("DecodeHead took what it does not know: %+v", head)
		}
		if _, err := b.Encode(); err != nil && b.BuildDate.Year() < 10000 && b.BuildDate.Year() >= 0 {
			t.Fatal(err)
		}
	})
}
