package lock

import (
	"bytes"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/deb822"
)

// maxSize bounds one input: larger than any Debian package, small enough that a
// wrong number cannot fill a disk.
const maxSize = 4 << 30

// Parse reads a bee.lock and checks that it is whole: known fields only, every
// name that is used defined, every entry complete and safe to use as a path.
func Parse(data []byte) (*File, error) {
	stanzas, err := deb822.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	f := new(File)
	for _, s := range stanzas {
		kind := s.Fields[0].Name
		read, ok := readers[kind]
		if !ok {
			return nil, fmt.Errorf("line %d: a stanza starts with Archive, Suite, Group or Package, not with %q", s.Line, kind)
		}
		p := &stanza{Stanza: s, kind: kind}
		read(f, p)
		p.onlyKnown()
		if p.err != nil {
			return nil, p.err
		}
	}
	return f, f.check(stanzas)
}

// readers is what a stanza may be, by its first field.
var readers = map[string]func(*File, *stanza){
	"Archive": func(f *File, p *stanza) {
		a := Archive{Name: p.word("Archive"), Mirrors: p.words("Mirrors"), Snapshot: p.optional("Snapshot")}
		for _, u := range a.Mirrors {
			p.url("Mirrors", u)
		}
		if a.Snapshot != "" {
			p.url("Snapshot", a.Snapshot)
		}
		f.Archives = append(f.Archives, a)
	},
	"Suite": func(f *File, p *stanza) {
		f.Suites = append(f.Suites, Suite{
			Name: p.word("Suite"), Archive: p.word("Archive"),
			Components: p.words("Components"), Date: p.date("Date"),
		})
	},
	"Group": func(f *File, p *stanza) {
		f.Groups = append(f.Groups, Group{
			Name: p.word("Group"), Note: strings.Join(p.Words("Note"), " "), Arches: p.words("Architectures"), Suites: p.words("Suites"),
			Want: p.Words("Want"), Through: p.Words("Through"), Without: p.Words("Without"),
			Alone: p.yes("Alone"), SameVersion: p.Words("Same-Version"),
			SameRelease: p.Words("Same-Release"), MovesWith: p.Words("Moves-With"),
		})
	},
	"Package": func(f *File, p *stanza) {
		f.Entries = append(f.Entries, Entry{
			Name: p.word("Package"), Version: p.word("Version"), Arch: p.word("Architecture"),
			Suite: p.word("Suite"), Groups: p.words("Groups"), Path: p.pool("Filename"),
			Size: p.size("Size"), SHA256: p.digest("SHA256"), Date: p.date("Date"),
		})
	},
}

// known lists the fields of each kind in the order Marshal writes them.
var known = map[string][]string{
	"Archive": {"Archive", "Mirrors", "Snapshot"},
	"Suite":   {"Suite", "Archive", "Components", "Date"},
	"Group":   {"Group", "Note", "Architectures", "Suites", "Want", "Through", "Without", "Alone", "Same-Version", "Same-Release", "Moves-With"},
	"Package": {"Package", "Version", "Architecture", "Suite", "Groups", "Filename", "Size", "SHA256", "Date"},
}

// stanza reads typed fields and keeps the first error.
type stanza struct {
	deb822.Stanza
	kind string
	err  error
}

func (p *stanza) fail(field, format string, args ...any) {
	if p.err != nil {
		return
	}
	line := p.Line
	for _, f := range p.Fields {
		if strings.EqualFold(f.Name, field) {
			line = f.Line
		}
	}
	p.err = fmt.Errorf("line %d: %s %s: %s: %s", line, p.kind, p.Fields[0].Value, field, fmt.Sprintf(format, args...))
}

func (p *stanza) onlyKnown() {
	for _, f := range p.Fields {
		if !slices.Contains(known[p.kind], f.Name) {
			p.fail(f.Name, "unknown field")
		}
	}
}

func (p *stanza) words(field string) []string {
	w := p.Words(field)
	if len(w) == 0 {
		p.fail(field, "missing or empty")
	}
	return w
}

func (p *stanza) word(field string) string {
	w := p.Words(field)
	if len(w) != 1 {
		p.fail(field, "want one word, have %q", p.Get(field))
		return ""
	}
	return w[0]
}

func (p *stanza) optional(field string) string {
	if _, ok := p.Lookup(field); !ok {
		return ""
	}
	return p.word(field)
}

func (p *stanza) yes(field string) bool {
	v, ok := p.Lookup(field)
	if ok && v != "yes" {
		p.fail(field, "want \"yes\" or no such field, have %q", v)
	}
	return ok
}

func (p *stanza) url(field, text string) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.HasSuffix(text, "/") {
		p.fail(field, "%q is not a base URL such as https://host/debian", text)
	}
}

func (p *stanza) date(field string) time.Time {
	v, ok := p.Lookup(field)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		p.fail(field, "%q is not a date such as 2026-09-12T07:55:41Z", v)
	}
	return t.UTC()
}

// pool reads a path below an archive. It becomes part of a URL and of messages:
// nothing but a clean relative path is taken.
func (p *stanza) pool(field string) string {
	v := p.word(field)
	if v != "" && (path.Clean("/"+v) != "/"+v || !strings.HasPrefix(v, "pool/") || strings.ContainsAny(v, "?#%\\")) {
		p.fail(field, "%q is not a clean path below pool/", v)
	}
	return v
}

func (p *stanza) size(field string) int64 {
	v := p.word(field)
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n <= 0 || n > maxSize {
		p.fail(field, "%q is not a size in bytes from 1 to %d", v, int64(maxSize))
	}
	return n
}

func (p *stanza) digest(field string) string {
	v := p.word(field)
	if len(v) != 64 || strings.Trim(v, "0123456789abcdef") != "" {
		p.fail(field, "%q is not 64 lower-case hexadecimal digits", v)
	}
	return v
}

// check tells the first name that is used and not defined, or defined twice.
func (f *File) check(stanzas []deb822.Stanza) error {
	seen := make(map[string]int)
	for _, s := range stanzas {
		kind := s.Fields[0].Name
		id := kind + " " + s.Fields[0].Value
		if kind == "Package" {
			id += " (" + s.Get("Architecture") + ")"
		}
		if first, dup := seen[id]; dup {
			return fmt.Errorf("line %d: %s stands at line %d already", s.Line, id, first)
		}
		seen[id] = s.Line
	}
	for _, s := range stanzas {
		uses := map[string]string{}
		switch s.Fields[0].Name {
		case "Suite":
			uses["Archive"] = "Archive"
		case "Group":
			uses["Suites"], uses["Moves-With"] = "Suite", "Group"
		case "Package":
			uses["Suite"], uses["Groups"] = "Suite", "Group"
		}
		for field, kind := range uses {
			for _, name := range s.Words(field) {
				if _, ok := seen[kind+" "+name]; !ok {
					return fmt.Errorf("line %d: %s %s names %s %q, which no stanza defines", s.Line, s.Fields[0].Name, s.Fields[0].Value, kind, name)
				}
			}
		}
	}
	return nil
}
