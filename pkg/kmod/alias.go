package kmod

import (
	"fmt"
	"slices"
	"strings"
)

// sortedMark is the first line of an alias table that RenderAlias wrote: no
// other comment, every pattern normalised, lines in byte order. Such a table
// is searched as it is.
const sortedMark = "# bee: normalised, sorted\n"

// aliasTable holds lines "pattern module", in byte order, each ended by a
// newline.
type aliasTable string

// aliasWord starts every line of modules.alias.
const aliasWord = "alias "

func (x *Index) parseAlias(text string) error {
	if rest, ok := strings.CutPrefix(text, sortedMark); ok {
		if rest != "" && !strings.HasSuffix(rest, "\n") {
			return fmt.Errorf("the last line is cut off")
		}
		x.alias = aliasTable(rest)
		return nil
	}
	var lines []string
	err := eachLine(text, func(n int, line string) error {
		f := strings.Fields(line)
		if len(f) != 3 || f[0]+" " != aliasWord {
			return fmt.Errorf("line %d: not of the form \"alias PATTERN MODULE\"", n)
		}
		lines = append(lines, aliasWord+normalizeAlias(f[1])+" "+Normalize(f[2])+"\n")
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(lines)
	x.alias = aliasTable(strings.Join(slices.Compact(lines), ""))
	return nil
}

// Lookup gives the modules whose aliases match a device's modalias (sysfs
// .../modalias) or an alias such as fs-ext4, each once, in the order of
// modules.dep.
func (x *Index) Lookup(modalias string) []string {
	var found []string
	x.alias.find(normalizeAlias(modalias), func(mod string) {
		if !slices.Contains(found, mod) {
			found = append(found, mod)
		}
	})
	rank := func(name string) int {
		if i, ok := x.byName[name]; ok {
			return i
		}
		return len(x.modules)
	}
	slices.SortStableFunc(found, func(a, b string) int { return rank(a) - rank(b) })
	return found
}

// few is the number of bytes below which matching every line is cheaper than
// narrowing further.
const few = 1024

// find calls f with the module of every line whose pattern matches s.
//
// The lines are walked like a prefix tree: [lo,hi) are those that agree with s
// in the first n characters. Lines that go on with a wildcard at n are matched
// one by one, the rest is narrowed to those that go on as s does.
func (t aliasTable) find(s string, f func(module string)) {
	lo, hi := 0, len(t)
	for n := 0; hi-lo > few; n++ {
		// Skip what the whole range has in common.
		first, last := t.pattern(lo), t.pattern(t.lineStart(hi-1))
		for n < min(len(s), len(first), len(last)) && first[n] == last[n] && first[n] == s[n] && !special(s[n]) {
			n++
		}
		for _, w := range []byte(wildcards) {
			a, b := t.narrow(lo, hi, n, w)
			t.matchAll(a, b, s, f)
		}
		if n == len(s) {
			// A pattern without wildcards ends here, before the space.
			a, b := t.narrow(lo, hi, n, ' ')
			t.matchAll(a, b, s, f)
			return
		}
		if special(s[n]) {
			return // no modalias holds one: such lines were matched above
		}
		lo, hi = t.narrow(lo, hi, n, s[n])
	}
	t.matchAll(lo, hi, s, f)
}

func (t aliasTable) matchAll(lo, hi int, s string, f func(module string)) {
	for lo < hi {
		end := lo + strings.IndexByte(string(t[lo:]), '\n')
		pattern, mod, ok := strings.Cut(string(t[min(lo+len(aliasWord), end):end]), " ")
		if ok && match(pattern, s) {
			f(mod)
		}
		lo = end + 1
	}
}

// narrow gives the part of [lo,hi), whose lines agree in the first n
// characters, where the next one is c.
func (t aliasTable) narrow(lo, hi, n int, c byte) (int, int) {
	return t.search(lo, hi, n, int(c)), t.search(lo, hi, n, int(c)+1)
}

// search gives the start of the first line in [lo,hi) whose character n is at
// least c, or hi.
func (t aliasTable) search(lo, hi, n, c int) int {
	for lo < hi {
		mid := t.lineStart(lo + (hi-lo)/2)
		at := mid + len(aliasWord) + n
		end := mid + strings.IndexByte(string(t[mid:]), '\n') + 1
		if at < end && int(t[at]) >= c {
			hi = mid
		} else {
			lo = end
		}
	}
	return lo
}

// lineStart gives the start of the line that holds the byte at i.
func (t aliasTable) lineStart(i int) int {
	return strings.LastIndexByte(string(t[:i]), '\n') + 1
}

// pattern gives the text of the line at start from its pattern on, its newline
// included.
func (t aliasTable) pattern(start int) string {
	line := string(t[start:])
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	return line[min(len(aliasWord), len(line)):]
}
