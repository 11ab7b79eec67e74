package deb822

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse(strings.NewReader("# comment\nA: one\nB:\n two\n  three\n .\nc: x y\n z\n\n\nA: next\n"))
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Get("a") != "one" || got[1].Get("A") != "next" || got[1].Line != 11 {
		t.Errorf("%+v", got)
	}
	if d := cmp.Diff([]string{"x", "y", "z"}, got[0].Words("C")); d != "" {
		t.Error(d)
	}
	if _, ok := got[0].Lookup("none"); ok {
		t.Error("a field that is not there was found")
	}
	for _, bad := range []string{" continuation\n", "no colon\n", "A: 1\nA: 2\n", ": x\n"} {
		if got, err := Parse(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
	if _, err := Parse(strings.NewReader("A: " + strings.Repeat("x", MaxLine+1))); err == nil {
		t.Error("a line without bounds")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("A: one\n two\n\nB: x\n")
	f.Fuzz(func(t *testing.T, text string) {
		stanzas, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, s := range stanzas {
			if len(s.Fields) == 0 {
				t.Fatal("an empty stanza")
			}
		}
	})
}
