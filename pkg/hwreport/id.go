package hwreport

import (
	"fmt"
	"strings"
)

// ID makes a stable id of its kind and the first name that is not empty, in
// the order from worldwide unique to a place in the machine:
// ID("disk", wwn, serial, slot).
func ID(kind string, names ...string) string {
	for _, n := range names {
		if n = tidy(n); n != "" {
			return kind + ":" + n
		}
	}
	return kind + ":?"
}

// tidy keeps printable ASCII without blanks, which is what stands in a file
// name, a URL or a grep pattern without quoting.
func tidy(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ', r == '\t':
			return '_'
		case r < ' ' || r > '~':
			return -1
		}
		return r
	}, strings.TrimSpace(s))
}

// IDs hands out ids that are unique: the second of the same name gets "~2".
// Whoever calls it goes through the parts in an order of the machine, not of
// the kernel's enumeration.
type IDs struct{ seen map[string]int }

// Unique returns id, or id with a number when it was handed out before.
func (u *IDs) Unique(id string) string {
	if u.seen == nil {
		u.seen = make(map[string]int)
	}
	u.seen[id]++
	if n := u.seen[id]; n > 1 {
		return fmt.Sprintf("%s~%d", id, n)
	}
	return id
}
