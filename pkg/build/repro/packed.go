package repro

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"
)

func isGzip(v view) bool {
	h := v.bytes(0, 3)
	return h != nil && h[0] == 0x1f && h[1] == 0x8b && h[2] == 8
}

// explainGzip looks at the header (RFC 1952, section 2.3) and then inside.
func explainGzip(x *explaining, a, b view, at int64) []string {
	left, errLeft := gzip.NewReader(a.reader())
	right, errRight := gzip.NewReader(b.reader())
	if errLeft != nil || errRight != nil {
		return nil
	}
	var head string
	switch {
	case !left.ModTime.Equal(right.ModTime):
		head = fmt.Sprintf("time in the header is %s in the first and %s in the second", stamp(left.ModTime), stamp(right.ModTime))
	case left.Name != right.Name:
		head = fmt.Sprintf("file name in the header is %q in the first and %q in the second", left.Name, right.Name)
	case at < 10:
		head = fmt.Sprintf("byte %d of the header (flags, level, system)", at)
	}
	where := []string{"gzip"}
	if head != "" {
		where = append(where, head)
	}
	return append(where, x.unpacked(left, right)...)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.UTC().Format(time.RFC3339)
}

func isTar(v view) bool {
	h := v.bytes(257, 5)
	return string(h) == "ustar"
}

// explainTar walks two archives side by side (POSIX.1-2017, pax).
func explainTar(x *explaining, a, b view, _ int64) []string {
	sa, sb := io.NewSectionReader(a, 0, a.size), io.NewSectionReader(b, 0, b.size)
	left, right := tar.NewReader(sa), tar.NewReader(sb)
	last := ""
	for {
		m, errM := left.Next()
		n, errN := right.Next()
		switch {
		case errors.Is(errM, io.EOF) && errors.Is(errN, io.EOF):
			return nil
		case errM != nil || errN != nil:
			return []string{fmt.Sprintf("tar: after member %q: the first: %s, the second: %s", last, tarNext(m, errM), tarNext(n, errN))}
		case m.Name != n.Name:
			return []string{fmt.Sprintf("tar: after member %q comes %q in the first and %q in the second", last, m.Name, n.Name)}
		}
		if field := tarField(m, n); field != "" {
			return []string{fmt.Sprintf("tar: member %q", m.Name), field}
		}
		da, err := sa.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil
		}
		db, err := sb.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil
		}
		if where := x.inside(a.part(da, m.Size), b.part(db, n.Size)); where != nil {
			return append([]string{fmt.Sprintf("tar: member %q", m.Name), "content"}, where...)
		}
		last = m.Name
	}
}

func tarNext(h *tar.Header, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%q", h.Name)
}

func tarField(m, n *tar.Header) string {
	for _, f := range []struct {
		name string
		a, b any
	}{
		{"type", m.Typeflag, n.Typeflag}, {"mode", m.Mode, n.Mode}, {"uid", m.Uid, n.Uid}, {"gid", m.Gid, n.Gid}, {"user", m.Uname, n.Uname}, {"group", m.Gname, n.Gname},
		{"mtime", stamp(m.ModTime), stamp(n.ModTime)}, {"atime", stamp(m.AccessTime), stamp(n.AccessTime)}, {"ctime", stamp(m.ChangeTime), stamp(n.ChangeTime)},
		{"size", m.Size, n.Size}, {"link", m.Linkname, n.Linkname}, {"format", m.Format, n.Format},
	} {
		if f.a != f.b {
			return fmt.Sprintf("%s is %v in the first and %v in the second", f.name, f.a, f.b)
		}
	}
	return ""
}
