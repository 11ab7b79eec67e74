package audit

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
)

// maxAttribute bounds what is read of one file, bytes.
const maxAttribute = 4 << 20

// raw reads a file of sysfs or procfs, trimmed.
func raw(root fs.FS, name string) (string, error) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return "", err
	}
	if len(b) > maxAttribute {
		b = b[:maxAttribute]
	}
	return strings.TrimSpace(strings.Trim(string(b), "\x00")), nil
}

// why makes a Field of an error: a file that is not there is something the
// machine has not; all else could not be learnt.
func why[T any](err error) hwreport.Field[T] {
	if errors.Is(err, fs.ErrNotExist) {
		return hwreport.Absent[T]()
	}
	return hwreport.Unknown[T](err.Error())
}

// notAsked says that nobody could be asked: a captured tree without answers.
// That is no finding about the machine.
func notAsked(err error) bool { return errors.Is(err, device.ErrNotCaptured) }

// text reads a file as a string; empty means absent.
func text(root fs.FS, name string) hwreport.Field[string] {
	s, err := raw(root, name)
	if err != nil {
		return why[string](err)
	}
	return some(s)
}

// some is a string, absent where it is empty.
func some(s string) hwreport.Field[string] {
	if s == "" {
		return hwreport.Absent[string]()
	}
	return hwreport.Value(s)
}

// number reads a file as a decimal number.
func number(root fs.FS, name string) hwreport.Field[int64] {
	s, err := raw(root, name)
	if err != nil {
		return why[int64](err)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return hwreport.Unknown[int64](name + ": " + strconv.Quote(s) + " is no number")
	}
	return hwreport.Value(n)
}

// boolean reads a file that holds 0 or 1.
func boolean(root fs.FS, name string) hwreport.Field[bool] {
	n := number(root, name)
	switch v, ok := n.Get(); {
	case ok:
		return hwreport.Value(v != 0)
	case n.State() == hwreport.IsAbsent:
		return hwreport.Absent[bool]()
	}
	return hwreport.Unknown[bool](n.Reason())
}

// target is the last element of where a link points: the name of a driver.
func target(root fs.FS, name string) hwreport.Field[string] {
	to, err := fs.ReadLink(root, name)
	if err != nil {
		return why[string](err)
	}
	return some(path.Base(to))
}

// place is where a device of sysfs really is, relative to the root: a link
// resolved one step.
func place(root fs.FS, name string) string {
	to, err := fs.ReadLink(root, name)
	if err != nil {
		return name
	}
	return path.Join(path.Dir(name), to)
}

// names lists a folder; a folder that is not there is empty.
func names(root fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Name()
	}
	return list, nil
}

// count counts the processors of a kernel list such as "0-3,8".
func count(list string) (int64, bool) {
	var n int64
	if list == "" {
		return 0, true
	}
	for _, part := range strings.Split(list, ",") {
		lo, hi, ranged := strings.Cut(part, "-")
		a, err := strconv.ParseInt(lo, 10, 32)
		b := a
		if err == nil && ranged {
			b, err = strconv.ParseInt(hi, 10, 32)
		}
		if err != nil || b < a {
			return 0, false
		}
		n += b - a + 1
	}
	return n, true
}

// statLink is Lstat: a link counts as there wherever it points.
func statLink(root fs.FS, name string) (fs.FileInfo, error) {
	return fs.Lstat(root, name)
}
