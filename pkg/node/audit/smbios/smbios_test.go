package smbios

import (
	"errors"
	"testing"
)

// table is a type 1 with two strings, a type 17 without any, the end.
var table = []byte("\x01\x08\x01\x00\x01\x02\x09\x00bee\x00 two\x01 \x00\x00" +
	"\x11\x06\x02\x00\x34\x12\x00\x00" +
	"\x7f\x04\x03\x00\x00\x00")

func TestParse(t *testing.T) {
	got := Parse(table)
	if len(got.Structures) != 2 || len(got.Broken) != 0 {
		t.Fatalf("Parse = %+v", got)
	}
	s := got.Of(1)[0]
	for off, want := range map[int]string{4: "bee", 5: "two", 7: "", 99: ""} {
		if text, err := s.String(off); text != want || err != nil {
			t.Errorf("String(%d) = %q, %v, want %q", off, text, err, want)
		}
	}
	if _, err := s.String(6); !errors.Is(err, ErrBadIndex) {
		t.Errorf("String(6) = %v, want ErrBadIndex", err)
	}
	if w, ok := got.Of(17)[0].Word(4); w != 0x1234 || !ok {
		t.Errorf("Word = %#x, %v", w, ok)
	}
	if _, ok := got.Of(17)[0].Dword(4); ok {
		t.Error("Dword read behind the end")
	}
}

func TestParseKeepsWhatStandsBeforeDamage(t *testing.T) {
	for _, bad := range []string{"\x02\x02\x01\x00\x00\x00", "\x02\xff\x01\x00", "\x02"} {
		got := Parse(append(append([]byte{}, table[:28]...), bad...))
		if len(got.Structures) != 2 || len(got.Broken) != 1 {
			t.Errorf("with %q: %d structures, broken %v", bad, len(got.Structures), got.Broken)
		}
	}
	if got := Parse(table[:12]); len(got.Structures) != 1 || len(got.Broken) != 1 {
		t.Errorf("cut off in the strings: %d structures, broken %v", len(got.Structures), got.Broken)
	}
}

func TestVersion(t *testing.T) {
	for in, want := range map[string]string{"_SM3_\x00\x18\x03\x02\x01": "3.2.1", "_SM_\x00\x1f\x02\x08": "2.8", "": "", "_SM3_": ""} {
		if got, err := Version([]byte(in)); got != want || (err == nil) != (want != "") {
			t.Errorf("Version(%q) = %q, %v", in, got, err)
		}
	}
}

// TestEntryPointInFront has dumps as dmidecode --dump-bin writes them, and as
// they lie in memory.
func TestEntryPointInFront(t *testing.T) {
	table := append([]byte{1, 8, 1, 0, 1, 0, 0, 0}, "ACME\x00\x00"...)
	entry3 := append([]byte("_SM3_\x00\x18\x03\x05\x00\x01\x00\x00\x10\x00\x00"), 0x20, 0, 0, 0, 0, 0, 0, 0)
	entry2 := append([]byte("_SM_\x00\x1f\x02\x08"), make([]byte, 24)...)
	entry2[0x18], entry2[0x1a] = 0x20, 0x0f // somewhere in memory
	for want, entry := range map[string][]byte{"3.5.0": entry3, "2.8": entry2} {
		dump := append(append([]byte(nil), entry...), make([]byte, 32-len(entry))...)
		got := Parse(append(dump, table...))
		if got.Version != want || len(got.Broken) != 0 || len(got.Of(1)) != 1 {
			t.Errorf("%s: %+v", want, got)
		}
	}
	if got := Parse([]byte("_SM3_\x00\x18\x03\x05\x00")); len(got.Structures) != 0 {
		t.Errorf("an entry point alone: %+v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(table)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range Parse(b).Structures {
			for off := range s.Len() + 8 {
				s.String(off)
				s.Byte(off)
				s.Word(off)
				s.Dword(off)
				s.Qword(off)
			}
		}
	})
}
