package lock

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// header opens every bee.lock that is written.
const header = `# bee.lock: every input that a build downloads. The format is deb822(5).
#
# People edit the Archive, Suite and Group stanzas; ` + "`go tool mage lock`" + ` resolves
# them through Debian's signed indexes and writes the dates and the Package
# stanzas. To pin one more input, name it in a group's Want and run that.
# No comment but this one survives; pkg/build/lock says what each field means.
`

// width is where lists of names are wrapped, so that one name more is one line of a diff.
const width = 78

// Marshal returns the file's text: the same File gives the same bytes.
func (f *File) Marshal() []byte {
	f.Sort()
	var b bytes.Buffer
	b.WriteString(header)
	for _, a := range f.Archives {
		b.WriteString("\n")
		field(&b, "Archive", a.Name)
		fmt.Fprintf(&b, "Mirrors:\n")
		for _, m := range a.Mirrors {
			fmt.Fprintf(&b, " %s\n", m)
		}
		field(&b, "Snapshot", a.Snapshot)
	}
	for _, s := range f.Suites {
		b.WriteString("\n")
		field(&b, "Suite", s.Name)
		field(&b, "Archive", s.Archive)
		field(&b, "Components", s.Components...)
		if !s.Date.IsZero() {
			field(&b, "Date", s.Date.UTC().Format(time.RFC3339))
		}
	}
	for _, g := range f.Groups {
		b.WriteString("\n")
		field(&b, "Group", g.Name)
		field(&b, "Note", strings.Fields(g.Note)...)
		field(&b, "Architectures", g.Arches...)
		field(&b, "Suites", g.Suites...)
		field(&b, "Want", g.Want...)
		field(&b, "Through", g.Through...)
		field(&b, "Without", g.Without...)
		if g.Alone {
			field(&b, "Alone", "yes")
		}
		field(&b, "Same-Version", g.SameVersion...)
		field(&b, "Same-Release", g.SameRelease...)
		field(&b, "Moves-With", g.MovesWith...)
	}
	for _, e := range f.Entries {
		b.WriteString("\n")
		field(&b, "Package", e.Name)
		field(&b, "Version", e.Version)
		field(&b, "Architecture", e.Arch)
		field(&b, "Suite", e.Suite)
		field(&b, "Groups", e.Groups...)
		field(&b, "Filename", e.Path)
		field(&b, "Size", strconv.FormatInt(e.Size, 10))
		field(&b, "SHA256", e.SHA256)
		if !e.Date.IsZero() {
			field(&b, "Date", e.Date.UTC().Format(time.RFC3339))
		}
	}
	return b.Bytes()
}

// field writes one field, wrapped between words; nothing where there is no value.
func field(b *bytes.Buffer, name string, words ...string) {
	if len(strings.Join(words, "")) == 0 {
		return
	}
	b.WriteString(name + ":")
	col := len(name) + 1
	for i, w := range words {
		if i > 0 && col+1+len(w) > width {
			b.WriteString("\n")
			col = 0
		}
		b.WriteString(" " + w)
		col += 1 + len(w)
	}
	b.WriteString("\n")
}

// Write replaces the named file by f's text, whole or not at all. It refuses to
// write what Load would not take.
func (f *File) Write(name string) error {
	text := f.Marshal()
	if _, err := Parse(text); err != nil {
		return fmt.Errorf("write %s: the new content is not valid: %w", name, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(tmp.Name()) // gone already when the rename went well
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
