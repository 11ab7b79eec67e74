package fat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The example of the specification ("The Long Directory Entry").
func TestLongName(t *testing.T) {
	short, ok := exactShort("The quick brown.fox")
	if ok {
		t.Fatalf("it fits 8.3 as %s", short)
	}
	a := newAliases()
	if short = a.alias("The quick brown.fox"); short.String() != "THEQUI~1.FOX" {
		t.Fatal(short)
	}
	const want = "42 w. n. .. f. o. 0f 00 07 x. 0000 ffff ffff ffff ffff 0000 ffff ffff" +
		" 01 T. h. e. _. q. 0f 00 07 u. i. c. k. _. b. 0000 r. o."
	var got []string
	for e := range slices.Chunk(appendLong(nil, "The quick brown.fox", short), entrySize) {
		unit := func(at int) {
			switch s := fmt.Sprintf("%02x%02x", e[at+1], e[at]); {
			case s == "0000" || s == "ffff":
				got = append(got, s)
			default:
				got = append(got, strings.ReplaceAll(string(e[at]), " ", "_")+".")
			}
		}
		got = append(got, fmt.Sprintf("%02x", e[0]))
		for _, at := range longAt[:5] {
			unit(at)
		}
		got = append(got, fmt.Sprintf("%02x %02x %02x", e[11], e[12], e[13]))
		for _, at := range longAt[5:11] {
			unit(at)
		}
		got = append(got, fmt.Sprintf("%02x%02x", e[26], e[27]))
		for _, at := range longAt[11:] {
			unit(at)
		}
	}
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

// Aliases are what Windows and mtools make, and never the same twice.
func TestAliases(t *testing.T) {
	a := newAliases()
	for name, want := range map[string]string{
		"a.b.c": "AB~1.C", ".config": "CONFIG~1", "+": "_~1", "a+b=c.d": "A_B_C~1.D", "ä.ö": "_~1._", "x.html": "X~1.HTM", "... .x": "X~1",
	} {
		if got := a.alias(name).String(); got != want {
			t.Errorf("%q becomes %s, want %s", name, got, want)
		}
	}
	seen := map[shortName]bool{}
	for i := range 12_000 {
		s := a.alias(fmt.Sprintf("kernel number %d", i))
		if seen[s] || strings.ContainsAny(s.String(), " ") {
			t.Fatalf("%s is given twice, or no name", s)
		}
		seen[s] = true
	}
	if s := a.alias("kernel again").String(); s != "KE~12001" {
		t.Errorf("%q is not the next", s)
	}
}
