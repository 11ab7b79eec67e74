package licence

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/bee-os/bee/pkg/build/deb822"
)

// Copyright is a machine-readable copyright file.
type Copyright struct {
	Header string            // licence of the whole, where the header names one
	Files  []Files           // in file order
	Texts  map[string]string // stand-alone licences by short name, lower case

	known map[string]string // id by text that was looked at; empty: not known word for word
}

// Files is one stanza about some of the files.
type Files struct {
	Patterns []string
	Licence  string // short names with and, or, with
	Text     string // what stands below; may be empty
}

// errNotMachineReadable is what most older files are.
var errNotMachineReadable = errors.New("the file does not say that it follows copyright-format 1.0")

// ParseCopyright reads a copyright file in Debian's machine-readable form. The
// stanza syntax is that of deb822(5); only the fields that name licences are
// kept.
func ParseCopyright(r io.Reader) (Copyright, error) {
	c := Copyright{Texts: make(map[string]string), known: make(map[string]string)}
	in := deb822.NewReader(r)
	head, err := in.Next()
	if err != nil {
		return Copyright{}, fmt.Errorf("parse copyright: %w", err)
	}
	if f := strings.ToLower(head.Get("Format") + head.Get("Format-Specification")); !strings.Contains(f, "copyright-format") && !strings.Contains(f, "dep5") && !strings.Contains(f, "dep-5") {
		return Copyright{}, fmt.Errorf("parse copyright: %w", errNotMachineReadable)
	}
	c.Header, _ = firstLine(head.Get("License"))
	for {
		s, err := in.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return Copyright{}, fmt.Errorf("parse copyright: %w", err)
		}
		name, text := firstLine(s.Get("License"))
		if patterns, ok := s.Lookup("Files"); ok {
			c.Files = append(c.Files, Files{strings.Fields(patterns), name, text})
		} else if name != "" {
			c.Texts[strings.ToLower(name)] = text
		}
	}
}

// firstLine cuts a License field: the short name, then the text.
func firstLine(field string) (name, text string) {
	name, text, _ = strings.Cut(strings.TrimLeft(field, " \t"), "\n")
	return strings.Join(strings.Fields(name), " "), text
}

// stanzas are those that count: packaging alone (debian/*) is not in the result.
// Where there is none, the header speaks for the whole.
func (c Copyright) stanzas() []Files {
	var all, upstream []Files
	for _, f := range c.Files {
		if f.Licence == "" {
			continue
		}
		all = append(all, f)
		for _, p := range f.Patterns {
			if !strings.HasPrefix(strings.TrimPrefix(p, "./"), "debian/") && p != "debian" {
				upstream = append(upstream, f)
				break
			}
		}
	}
	switch {
	case len(upstream) > 0:
		return upstream
	case c.Header != "":
		return []Files{{Licence: c.Header}}
	}
	return all
}

var (
	commaWord = regexp.MustCompile(`(?i),\s+(and|or)\s+|;\s+(and|or)\s+`)
	orWord    = regexp.MustCompile(`(?i)\s+or\s+|\s*\|\s*`)
	andWord   = regexp.MustCompile(`(?i)\s+and\s+|\s*,\s*|\s*&\s*`)
)

// expression turns the licence of a stanza into SPDX. "or" binds less than
// "and", and a comma before either less than both (section "License short
// name"). It also gives the names that became a LicenseRef-.
func (c Copyright) expression(pkg string, f Files) (spdx string, odd []string) {
	marks := commaWord.FindAllString(f.Licence, -1)
	operator := " AND "
	for i, m := range marks {
		o := " " + strings.ToUpper(strings.Trim(m, ",; \t\n")) + " "
		if i > 0 && o != operator {
			return ref("Debian-" + pkg + "-" + f.Licence), []string{f.Licence} // nobody knows what it means
		}
		operator = o
	}
	var parts []string
	for _, part := range commaWord.Split(f.Licence, -1) {
		var choices []string
		for _, choice := range orWord.Split(part, -1) {
			var all []string
			for _, name := range andWord.Split(choice, -1) {
				if name = strings.TrimSpace(name); name == "" {
					continue
				}
				id, sure := c.one(pkg, name, f.Text)
				if !sure {
					odd = append(odd, name)
				}
				all = append(all, id)
			}
			if len(all) > 0 {
				choices = append(choices, join(" AND ", all))
			}
		}
		if len(choices) > 0 {
			parts = append(parts, join(" OR ", choices))
		}
	}
	if len(parts) == 0 {
		return ref("Debian-" + pkg), []string{f.Licence} // commas alone
	}
	return join(operator, parts), odd
}

// one is the SPDX id of one short name: by the name where Debian defines it,
// else by the text, where there is one that is known word for word.
func (c Copyright) one(pkg, name, text string) (id string, sure bool) {
	if id, ok := byName(name); ok {
		return id, true
	}
	if t := c.Texts[strings.ToLower(name)]; t != "" {
		text = t
	}
	if id := c.byText(text); id != "" {
		return id, true
	}
	return ref("Debian-" + pkg + "-" + name), false
}

// byText looks at each text once: many stanzas share one, and to look is what
// takes the time.
func (c Copyright) byText(text string) string {
	id, ok := c.known[text]
	if !ok {
		if ids, whole := scan([]byte(text)); whole && len(ids) == 1 {
			id = ids[0]
		}
		c.known[text] = id
	}
	return id
}
