// Package deb822 reads the stanza format that Debian uses everywhere (deb822(5)):
// control files of packages, Release and Packages indexes, apt's .sources
// files. bee.lock is written in it too, so one parser serves them all. It is
// pure: bytes in, stanzas out.
package deb822

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxLine bounds one line, in bytes. Debian's longest, a Depends of a
// meta-package, stays below 64 KiB.
const MaxLine = 1 << 20

// maxFields bounds a stanza: Release files have about 20 fields, packages 30.
const maxFields = 1000

// Field is one "Name: value". Continuation lines are joined to Value with a
// newline each, their one leading blank removed.
type Field struct {
	Name  string
	Value string
	Line  int // 1-based line of the name
}

// Stanza is one paragraph: fields in file order.
type Stanza struct {
	Fields []Field
	Line   int // 1-based line of the first field
}

// Get returns the value of the named field, "" where it is absent. Names
// compare without case, as deb822(5) says.
func (s Stanza) Get(name string) string {
	v, _ := s.Lookup(name)
	return v
}

// Lookup is Get that tells an absent field from an empty one.
func (s Stanza) Lookup(name string) (string, bool) {
	for i := range s.Fields {
		if strings.EqualFold(s.Fields[i].Name, name) {
			return s.Fields[i].Value, true
		}
	}
	return "", false
}

// Words returns the named field's value split at white space, newlines too.
func (s Stanza) Words(name string) []string { return strings.Fields(s.Get(name)) }

// Lines returns the named field's non-empty lines, trimmed.
func (s Stanza) Lines(name string) []string {
	var out []string
	for line := range strings.SplitSeq(s.Get(name), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// Reader reads stanza by stanza, so that an index of 60 MB is never held whole.
type Reader struct {
	in   *bufio.Scanner
	line int
}

// NewReader reads from r. Lines that start with '#' are comments.
func NewReader(r io.Reader) *Reader {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), MaxLine)
	return &Reader{in: in}
}

// Next returns the next stanza, io.EOF after the last. Any other error names
// the line and is final.
func (r *Reader) Next() (Stanza, error) {
	var s Stanza
	for r.in.Scan() {
		r.line++
		text := strings.TrimSuffix(r.in.Text(), "\r")
		switch {
		case strings.HasPrefix(text, "#"):
			continue
		case strings.TrimSpace(text) == "":
			if len(s.Fields) > 0 {
				return s, nil
			}
			continue
		case text[0] == ' ' || text[0] == '\t':
			if len(s.Fields) == 0 {
				return Stanza{}, fmt.Errorf("parse line %d: a continuation line with no field above it", r.line)
			}
			f := &s.Fields[len(s.Fields)-1]
			f.Value += "\n" + strings.TrimRight(text[1:], " \t")
			continue
		}
		f, err := parseField(text, r.line)
		if err != nil {
			return Stanza{}, err
		}
		if _, dup := s.Lookup(f.Name); dup {
			return Stanza{}, fmt.Errorf("parse line %d: field %q stands twice in one stanza", r.line, f.Name)
		}
		if len(s.Fields) == maxFields {
			return Stanza{}, fmt.Errorf("parse line %d: more than %d fields in one stanza", r.line, maxFields)
		}
		if len(s.Fields) == 0 {
			s.Line = r.line
			s.Fields = make([]Field, 0, 24)
		}
		s.Fields = append(s.Fields, f)
	}
	if err := r.in.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return Stanza{}, fmt.Errorf("parse line %d: longer than %d bytes", r.line+1, MaxLine)
		}
		return Stanza{}, fmt.Errorf("read line %d: %w", r.line+1, err)
	}
	if len(s.Fields) == 0 {
		return Stanza{}, io.EOF
	}
	return s, nil
}

func parseField(text string, line int) (Field, error) {
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		return Field{}, fmt.Errorf("parse line %d: %.40q is not \"Name: value\"", line, text)
	}
	for i := 0; i < len(name); i++ {
		// deb822(5): US-ASCII from '!' on, without the colon; no '-' in front.
		if c := name[i]; c <= ' ' || c > '~' || (i == 0 && c == '-') {
			return Field{}, fmt.Errorf("parse line %d: %.40q is not a field name", line, name)
		}
	}
	if name == "" {
		return Field{}, fmt.Errorf("parse line %d: a value without a field name", line)
	}
	return Field{Name: name, Value: strings.TrimSpace(value), Line: line}, nil
}

// Parse reads all stanzas. Use it for small files; Reader for indexes.
func Parse(r io.Reader) ([]Stanza, error) {
	var out []Stanza
	for in := NewReader(r); ; {
		s, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
}
