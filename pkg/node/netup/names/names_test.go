package names

import (
	"strings"
	"testing"
)

func TestHostLabel(t *testing.T) {
	for in, want := range map[string]string{
		"rack7": "rack7", "rack7.example.org": "rack7", "RACK7": "rack7", "": "", "-x": "", "x-": "", "a b": "", "a\nb": "", "../etc": "", "a;reboot": "", "localhost": "",
		strings.Repeat("a", 64): "",
	} {
		if got := HostLabel(in); got != want && !strings.EqualFold(got, want) {
			t.Errorf("HostLabel(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAppendSearch(t *testing.T) {
	got := AppendSearch(nil, "example.org", "bad name", "x\nnameserver 6.6.6.6", "example.org", "sub.example.org.")
	for _, n := range got {
		if strings.ContainsAny(n, " \n\t") {
			t.Errorf("%q was believed", n)
		}
	}
	if len(got) != 2 {
		t.Errorf("%q", got)
	}
	var many []string
	for i := range 100 {
		many = append(many, strings.Repeat("a", i%50+1)+".org")
	}
	if n := len(AppendSearch(nil, many...)); n > MaxSearch {
		t.Errorf("%d domains", n)
	}
}

func FuzzHostLabel(f *testing.F) {
	f.Add("rack7.example.org")
	f.Fuzz(func(t *testing.T, s string) {
		if l := HostLabel(s); strings.ContainsAny(l, " \n\t./;'\"\\") || len(l) > 63 {
			t.Errorf("%q", l)
		}
	})
}
