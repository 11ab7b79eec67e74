package fat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxName is the length of a long name in UTF-16 units.
const maxName = 255

// shortSigns are the characters of an 8.3 name besides capitals and digits
// (fatgen103, "Short Directory Entries").
const shortSigns = "$%'-_@~`!(){}^#&"

// shortName is an 8.3 name as a directory entry has it: padded with blanks.
type shortName [11]byte

func makeShort(base, ext string) shortName {
	var s shortName
	copy(s[:], fmt.Sprintf("%-8s%-3s", base, ext))
	return s
}

// String is the name with its dot.
func (s shortName) String() string {
	base, ext := strings.TrimRight(string(s[:8]), " "), strings.TrimRight(string(s[8:]), " ")
	if ext == "" {
		return base
	}
	return base + "." + ext
}

// checkName says why a name cannot stand in a folder.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`"*:<>?|\`, r) }):
		return errors.New(`FAT allows no control characters and none of "*:<>?|\ in a name`)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return errors.New("FAT drops a dot or blank at the end of a name")
	case len(utf16.Encode([]rune(name))) > maxName:
		return fmt.Errorf("the name is longer than %d UTF-16 units", maxName)
	}
	return nil
}

// fold is the form in which FAT takes two names for the same.
func fold(name string) string { return strings.ToUpper(name) }

// exactShort is the 8.3 name of a name that fits that form, but for capitals.
func exactShort(name string) (shortName, bool) {
	base, ext, dot := strings.Cut(fold(name), ".")
	if base == "" || len(base) > 8 || len(ext) > 3 || dot && ext == "" || strings.ContainsFunc(base+ext, notShort) {
		return shortName{}, false
	}
	return makeShort(base, ext), true
}

func notShort(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(shortSigns, r)
}

// aliases gives out the 8.3 names of one folder.
type aliases struct {
	taken map[shortName]bool
	next  map[shortName]int // by the name cut to six characters: the number to try
}

func newAliases() *aliases {
	return &aliases{map[shortName]bool{}, map[shortName]int{}}
}

// alias makes the 8.3 name of a name that does not fit: its beginning, a tilde
// and a number ("The Basis-Name Generation Algorithm").
func (a *aliases) alias(name string) shortName {
	squeezed := strings.TrimLeft(strings.ReplaceAll(fold(name), " ", ""), ".")
	base, ext := squeezed, ""
	if i := strings.LastIndexByte(squeezed, '.'); i >= 0 {
		base, ext = squeezed[:i], squeezed[i+1:]
	}
	base = replace(strings.ReplaceAll(base, ".", ""))
	ext = replace(ext)
	ext = ext[:min(len(ext), 3)]
	if base == "" {
		base = "_"
	}
	key := makeShort(base[:min(len(base), 6)], ext)
	for n := a.next[key] + 1; ; n++ {
		tail := "~" + strconv.Itoa(n)
		s := makeShort(base[:min(len(base), 8-len(tail))]+tail, ext)
		if !a.taken[s] {
			a.taken[s], a.next[key] = true, n
			return s
		}
	}
}

// replace puts an underscore for what an 8.3 name cannot hold.
func replace(s string) string {
	return strings.Map(func(r rune) rune {
		if notShort(r) {
			return '_'
		}
		return r
	}, s)
}
