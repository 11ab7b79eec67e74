package repro

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// member is one entry of a newc archive.
type member struct {
	fields [13]uint64
	name   string
	data   int64 // offset, bytes
	next   int64
}

// newcFields are the header's numbers, in order.
var newcFields = [13]string{"ino", "mode", "uid", "gid", "nlink", "mtime", "filesize", "devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check"}

const (
	fieldMode, fieldSize, fieldNameSize = 1, 6, 11

	newcHeader  = 110
	newcTrailer = "TRAILER!!!"
	maxName     = 4096
)

func isNewc(head []byte) bool { return string(head[:6]) == "070701" || string(head[:6]) == "070702" }

// readMember reads the entry at a byte.
func readMember(v view, at int64) (member, error) {
	var m member
	h := v.bytes(at, newcHeader)
	if h == nil {
		return m, io.ErrUnexpectedEOF
	}
	if !isNewc(h) {
		return m, fmt.Errorf("no entry of an archive begins at byte %d", at)
	}
	for i := range m.fields {
		n, err := strconv.ParseUint(string(h[6+8*i:14+8*i]), 16, 32)
		if err != nil {
			return m, fmt.Errorf("field %s of the entry at byte %d: %w", newcFields[i], at, err)
		}
		m.fields[i] = n
	}
	length := int64(m.fields[fieldNameSize])
	if length < 1 || length > maxName {
		return m, fmt.Errorf("the entry at byte %d has a name of %d bytes", at, length)
	}
	name := v.bytes(at+newcHeader, length)
	if name == nil {
		return m, io.ErrUnexpectedEOF
	}
	m.name = string(name[:length-1])
	m.data = align4(at + newcHeader + length)
	m.next = align4(m.data + int64(m.fields[fieldSize]))
	return m, nil
}

func align4(n int64) int64 { return (n + 3) &^ 3 }

// newcEnd is where the archive that begins at a byte ends, its trailer included.
func newcEnd(v view, at int64) (int64, error) {
	for {
		m, err := readMember(v, at)
		if err != nil {
			return 0, err
		}
		at = m.next
		if m.name == newcTrailer {
			return at, nil
		}
		if at > v.size {
			return 0, errors.New("the archive is cut")
		}
	}
}

// explainNewc walks two archives side by side.
func explainNewc(x *explaining, a, b view) []string {
	var last string
	for left, right := int64(0), int64(0); ; {
		m, errM := readMember(a, left)
		n, errN := readMember(b, right)
		if errM != nil || errN != nil {
			return []string{fmt.Sprintf("after member %q: the first: %s, the second: %s", last, errOr(errM, m.name), errOr(errN, n.name))}
		}
		if m.name != n.name {
			return []string{fmt.Sprintf("after member %q comes %q in the first and %q in the second", last, m.name, n.name)}
		}
		for i, f := range newcFields {
			if m.fields[i] != n.fields[i] {
				return append([]string{fmt.Sprintf("member %q", m.name), fieldDiffers(f, i, m.fields[i], n.fields[i])}, dataOf(x, a, b, m, n)...)
			}
		}
		if where := dataOf(x, a, b, m, n); where != nil {
			return append([]string{fmt.Sprintf("member %q", m.name)}, where...)
		}
		if m.name == newcTrailer {
			return nil
		}
		last, left, right = m.name, m.next, n.next
	}
}

func errOr(err error, name string) string {
	if err != nil {
		return err.Error()
	}
	return strconv.Quote(name)
}

func fieldDiffers(name string, i int, a, b uint64) string {
	if i == fieldMode {
		return fmt.Sprintf("%s is %#o in the first and %#o in the second", name, a, b)
	}
	return fmt.Sprintf("%s is %d in the first and %d in the second", name, a, b)
}

// dataOf compares what two members hold.
func dataOf(x *explaining, a, b view, m, n member) []string {
	where := x.inside(a.part(m.data, int64(m.fields[fieldSize])), b.part(n.data, int64(n.fields[fieldSize])))
	if where == nil {
		return nil
	}
	return append([]string{"content"}, where...)
}
