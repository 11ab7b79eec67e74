package debian

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/build/deb822"
)

// Package is one stanza of a Packages index, as far as resolving needs it.
type Package struct {
	Name, Version, Arch string
	Depends             []Relation // Pre-Depends and Depends
	Provides            []Provide
	Path                string // Filename
	Size                int64
	SHA256              string
}

// Relation is what one comma of a Depends field holds: any of the alternatives.
type Relation []Alternative

// Alternative is a package that may satisfy a relation.
type Alternative struct {
	Name    string
	Op      string // << <= = >= >>, "" for any version
	Version string
}

// String writes the relation as a control file does.
func (r Relation) String() string {
	alts := make([]string, len(r))
	for i, a := range r {
		alts[i] = a.Name
		if a.Op != "" {
			alts[i] += " (" + a.Op + " " + a.Version + ")"
		}
	}
	return strings.Join(alts, " | ")
}

// Provide is a virtual package, with a version or none.
type Provide struct{ Name, Version string }

// ReadPackages calls each for every package of an index.
func ReadPackages(r io.Reader, each func(Package)) error {
	for in := deb822.NewReader(r); ; {
		s, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read Packages: %w", err)
		}
		p, err := parsePackage(s)
		if err != nil {
			return fmt.Errorf("read Packages: line %d: %w", s.Line, err)
		}
		each(p)
	}
}

func parsePackage(s deb822.Stanza) (Package, error) {
	p := Package{
		Name: s.Get("Package"), Version: s.Get("Version"), Arch: s.Get("Architecture"),
		Path: s.Get("Filename"), SHA256: s.Get("SHA256"),
	}
	if p.Name == "" || p.Version == "" || p.Arch == "" {
		return p, fmt.Errorf("package %q: name, version or architecture is missing", p.Name)
	}
	if path.Clean("/"+p.Path) != "/"+p.Path || !strings.HasPrefix(p.Path, "pool/") {
		return p, fmt.Errorf("package %s: Filename %q is not a clean path below pool/", p.Name, p.Path)
	}
	if !isDigest(p.SHA256) {
		return p, fmt.Errorf("package %s: SHA256 %q is not a digest", p.Name, p.SHA256)
	}
	var err error
	if p.Size, err = strconv.ParseInt(s.Get("Size"), 10, 64); err != nil || p.Size <= 0 {
		return p, fmt.Errorf("package %s: Size %q is not a size", p.Name, s.Get("Size"))
	}
	for _, field := range []string{"Pre-Depends", "Depends"} {
		rel, err := ParseRelations(s.Get(field))
		if err != nil {
			return p, fmt.Errorf("package %s: %s: %w", p.Name, field, err)
		}
		p.Depends = append(p.Depends, rel...)
	}
	provides, err := ParseRelations(s.Get("Provides"))
	if err != nil {
		return p, fmt.Errorf("package %s: Provides: %w", p.Name, err)
	}
	for _, r := range provides {
		p.Provides = append(p.Provides, Provide{r[0].Name, r[0].Version})
	}
	return p, nil
}

// ParseRelations reads a dependency field of a binary package (Debian policy
// 7.1): "a (>= 1) | b, c:any". Architecture qualifiers are dropped.
func ParseRelations(text string) ([]Relation, error) {
	var out []Relation
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		var r Relation
		for alt := range strings.SplitSeq(part, "|") {
			a, err := parseAlternative(strings.TrimSpace(alt))
			if err != nil {
				return nil, err
			}
			r = append(r, a)
		}
		out = append(out, r)
	}
	return out, nil
}

func parseAlternative(text string) (Alternative, error) {
	name, constraint, versioned := strings.Cut(text, "(")
	name, _, _ = strings.Cut(strings.TrimSpace(name), ":")
	if name == "" || strings.ContainsAny(name, " \t\n[<") {
		return Alternative{}, fmt.Errorf("%.80q is not a dependency", text)
	}
	if !versioned {
		return Alternative{Name: name}, nil
	}
	constraint, rest, closed := strings.Cut(constraint, ")")
	version := strings.TrimSpace(strings.TrimLeft(constraint, "<>= "))
	op := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(constraint), version))
	switch op {
	case "<<", "<=", "=", ">=", ">>":
	default:
		return Alternative{}, fmt.Errorf("%.80q: unknown relation %q", text, op)
	}
	if !closed || strings.TrimSpace(rest) != "" || version == "" || strings.ContainsAny(version, " \t\n") {
		return Alternative{}, fmt.Errorf("%.80q is not a dependency", text)
	}
	return Alternative{Name: name, Op: op, Version: version}, nil
}

// Accepts tells whether a version satisfies the alternative.
func (a Alternative) Accepts(version string) bool {
	if a.Op == "" {
		return true
	}
	if version == "" {
		return false // an unversioned Provides satisfies no versioned relation
	}
	c := CompareVersions(version, a.Version)
	switch a.Op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	default:
		return c > 0
	}
}
