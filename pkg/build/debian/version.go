package debian

import (
	"strings"
)

// CompareVersions orders two package versions as dpkg does (deb-version(7)):
// epoch, upstream version, revision; '~' sorts before everything, even the end.
func CompareVersions(a, b string) int {
	ae, au, ar := splitVersion(a)
	be, bu, br := splitVersion(b)
	if c := compareNumbers(ae, be); c != 0 {
		return c
	}
	if c := comparePart(au, bu); c != 0 {
		return c
	}
	return comparePart(ar, br)
}

func splitVersion(v string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// comparePart alternates between runs of non-digits and runs of digits.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		var at, bt string
		at, a = run(a, false)
		bt, b = run(b, false)
		if c := compareText(at, bt); c != 0 {
			return c
		}
		at, a = run(a, true)
		bt, b = run(b, true)
		if c := compareNumbers(at, bt); c != 0 {
			return c
		}
	}
	return 0
}

func run(s string, digits bool) (head, tail string) {
	i := 0
	for i < len(s) && isDigit(s[i]) == digits {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// compareNumbers compares digits of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func compareText(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := order(a, i) - order(b, i); c != 0 {
			return c
		}
	}
	return 0
}

// order is a character's weight: '~', the end, letters, everything else.
func order(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return int(c)
	default:
		return int(c) + 256
	}
}
