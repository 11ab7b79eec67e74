package kmod

import "strings"

// wildcards are the characters that end a pattern's literal prefix.
const wildcards = `*?[\`

func special(c byte) bool { return strings.IndexByte(wildcards, c) >= 0 }

// match says whether s matches the pattern as fnmatch(3) without flags does:
// '*' any characters, '?' one, '[a-f]' one of a set, '[!…]' and '[^…]' one not
// of it, '\' quotes. A bracket that does not close matches itself. It takes
// time proportional to len(pattern)·len(s) at worst: only the last '*' is ever
// taken back.
func match(pattern, s string) bool {
	var p, i int
	star, mark := -1, 0
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, i
				p++
				continue
			}
			if n, ok := matchOne(pattern[p:], s[i]); ok {
				p += n
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne compares one character of the text with the first element of the
// pattern, which is not '*', and gives the length of that element.
func matchOne(pattern string, c byte) (n int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		if n, ok := matchSet(pattern, c); n > 0 {
			return n, ok
		}
	}
	return 1, pattern[0] == c
}

// matchSet compares c with a bracket expression; n is 0 where it does not
// close.
func matchSet(pattern string, c byte) (n int, ok bool) {
	i := 1
	negate := false
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		negate = true
		i++
	}
	found := false
	for first := true; i < len(pattern); first = false {
		lo := pattern[i]
		if lo == ']' && !first {
			return i + 1, found != negate
		}
		hi := lo
		i++
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			hi = pattern[i+1]
			i += 2
		}
		if lo <= c && c <= hi {
			found = true
		}
	}
	return 0, false
}

// normalizeAlias writes '-' as '_' outside brackets, as libkmod does with
// patterns and with what is looked up.
func normalizeAlias(s string) string {
	b := []byte(s)
	set := false
	for i, c := range b {
		switch {
		case c == '[':
			set = true
		case c == ']':
			set = false
		case c == '-' && !set:
			b[i] = '_'
		}
	}
	return string(b)
}
