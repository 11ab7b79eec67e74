// Package firmware chooses the firmware of an image. The lists in
// firmware-list/ are the only authority on what ships; the kernel modules of
// the image say what they would ask for; the pinned packages have the files.
package firmware

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Policy is one list, a hardware family. Its lines:
//
//	GLOB      may ship: does where a module of the image declares it
//	+ GLOB    ships always: drivers that build the name as they run
//	- GLOB    never ships, whatever another list says
//	# why     comment
//
// A glob is matched as by path.Match against the path below /lib/firmware; one
// that ends in '/' takes everything below.
type Policy struct {
	Name  string
	rules []rule
}

type rule struct {
	verb byte // ' ', '+', '-'
	glob string
	line int
}

// ReadPolicy reads the list name from fsys (name.list).
func ReadPolicy(fsys fs.FS, name string) (Policy, error) {
	text, err := fs.ReadFile(fsys, name+".list")
	if err != nil {
		return Policy{}, fmt.Errorf("read firmware list %q: %w", name, err)
	}
	p, err := ParsePolicy(name, string(text))
	if err != nil {
		return Policy{}, fmt.Errorf("parse firmware list %s.list: %w", name, err)
	}
	return p, nil
}

// ParsePolicy reads a list. Its error names the line.
func ParsePolicy(name, text string) (Policy, error) {
	p := Policy{Name: name}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		r := rule{verb: ' ', glob: line, line: n}
		if line[0] == '+' || line[0] == '-' {
			r.verb, r.glob = line[0], strings.TrimSpace(line[1:])
		}
		if _, err := path.Match(r.glob, ""); err != nil || r.glob == "" || strings.ContainsAny(r.glob, " \t") || path.IsAbs(r.glob) {
			return Policy{}, fmt.Errorf("line %d: %q is no path below /lib/firmware", n, line)
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

func (r rule) matches(file string) bool {
	if strings.HasSuffix(r.glob, "/") {
		return strings.HasPrefix(file, r.glob)
	}
	ok, err := path.Match(r.glob, file)
	return ok && err == nil // checked by ParsePolicy
}
