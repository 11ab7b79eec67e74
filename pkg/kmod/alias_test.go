package kmod

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"*", "", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*b*c", "aXbYbZc", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"[a-c]x", "bx", true},
		{"[!a-c]x", "bx", false},
		{"[^a-c]x", "dx", true},
		{"[]a]", "]", true},
		{"[a-]", "-", true},
		{"[a", "[a", true},
		{`\*`, "*", true},
		{`\*`, "x", false},
		{"usb:v0BDApd8152d[0-3]*", "usb:v0BDAp", false},
		{"usb:v0B*d[0-3]*", "usb:v0BDAp8152d2000", true},
	} {
		if got := match(c.pattern, c.s); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// linear is the judge of find: every line is tried.
func linear(t aliasTable, s string) []string {
	var found []string
	t.matchAll(0, len(t), s, func(m string) { found = append(found, m) })
	slices.Sort(found)
	return found
}

func TestFindLargeTable(t *testing.T) {
	var b strings.Builder
	for v := range 40 {
		for d := range 40 {
			fmt.Fprintf(&b, "alias pci:v%08Xd%08Xsv*sd*bc*sc*i* m%d_%d\n", v, d, v, d)
		}
		fmt.Fprintf(&b, "alias pci:v%08Xd*sv*sd*bc02sc*i* any%d\n", v, v)
	}
	b.WriteString("alias * all\nalias p?i:* question\nalias [op]ci:* set\nalias pci:v00000003d00000004sv1sd2bc02sc00i00 exact\n")
	x := &Index{}
	if err := x.parseAlias(b.String()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"pci:v00000003d00000004sv1sd2bc02sc00i00",
		"pci:v00000003d00000004sv1sd2bc03sc00i00",
		"pci:v00000027d00000027sv1sd2bc02sc00i00",
		"pci:v00000028d00000027sv1sd2bc02sc00i00",
		"pci:", "pci", "", "usb:x", "oci:", "pci:v*",
	} {
		var got []string
		x.alias.find(s, func(m string) { got = append(got, m) })
		slices.Sort(got)
		if want := linear(x.alias, s); !slices.Equal(got, want) {
			t.Errorf("find(%q) = %q, want %q", s, got, want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("alias pci:v1* a\nalias pci:v[0-9] b\n", "pci:v1")
	f.Add("alias a-b?[c-d] m-x\n", "a_bxc")
	f.Add("alias \\a x\nalias [a x\n", "a")
	f.Fuzz(func(t *testing.T, table, s string) {
		x := &Index{}
		if x.parseAlias(table) != nil {
			return
		}
		// Filler lines force the search to narrow.
		var b strings.Builder
		for i := range 64 {
			fmt.Fprintf(&b, "alias pci:v%04Xd* filler%d\nalias %c filler\n", i*7, i, 'A'+i%26)
		}
		y := &Index{}
		if y.parseAlias(strings.TrimSuffix(string(x.alias), "\n")+"\n"+b.String()) != nil {
			return
		}
		s = normalizeAlias(s)
		var got []string
		y.alias.find(s, func(m string) { got = append(got, m) })
		slices.Sort(got)
		if want := linear(y.alias, s); !slices.Equal(got, want) {
			t.Errorf("find(%q) = %q, want %q", s, got, want)
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add("a.ko: b.ko\nb.ko:\n", "alias x a\n", "softdep a pre: b\n", "c.ko\n")
	f.Fuzz(func(t *testing.T, dep, alias, soft, builtin string) {
		x, err := Open(fstest.MapFS{
			"modules.dep":     {Data: []byte(dep)},
			"modules.alias":   {Data: []byte(alias)},
			"modules.softdep": {Data: []byte(soft)},
			"modules.builtin": {Data: []byte(builtin)},
		}, ".")
		if err != nil {
			return
		}
		order, err := x.Closure(x.Modules()...)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, m := range order {
			if seen[m] {
				t.Fatalf("%s twice in %q", m, order)
			}
			seen[m] = true
			x.Deps(m)
			x.Lookup(m)
		}
	})
}
