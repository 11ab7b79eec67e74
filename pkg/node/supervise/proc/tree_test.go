package proc

import "testing"

func TestParseStat(t *testing.T) {
	st, ok := parseStat("7 (a) b (c) S 3 7 9 0 -1 4194304")
	if !ok || st != (stat{'S', 3, 9}) {
		t.Errorf("%+v %v", st, ok)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 3", "7 (a) S x 7 9 0"} {
		if st, ok := parseStat(bad); ok {
			t.Errorf("%q was taken as %+v", bad, st)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("7 (a) b) S 3 7 9 0")
	f.Fuzz(func(t *testing.T, s string) { parseStat(s) })
}
