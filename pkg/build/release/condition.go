package release

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/artifact"
)

// nobody is the user that the second build runs as where the first one is root;
// Linux gives this number to whoever has no other.
const nobody = 65534

// condition is what a build must not depend on.
type condition struct {
	name   string    // for people
	dir    string    // holds all folders of the build
	umask  int       // of every process
	zone   string    // TZ
	locale string    // LC_ALL, LANG
	cpus   int       // processors that it may use, and GOMAXPROCS
	user   int       // to run as; -1: who runs this
	date   time.Time // of every file of the sources; zero: now
	alone  bool      // each family in a process of its own, the last one first
}

func (c condition) source() string { return filepath.Join(c.dir, "bee") }
func (c condition) images() string { return filepath.Join(c.source(), "images") }
func (c condition) cache() string  { return filepath.Join(c.dir, "cache") }

// conditions are the two that are compared. They are built one after the other,
// so that the clock differs too.
func conditions(work string, user, cpus int) [2]condition {
	return [2]condition{
		{name: "first", dir: filepath.Join(work, "1"), umask: 0o022, zone: "UTC", locale: "C", cpus: cpus, user: -1},
		{name: "second", dir: filepath.Join(work, "the second build, in a longer path"), umask: 0o077, zone: "Asia/Kathmandu", locale: "tr_TR.UTF-8",
			cpus: 1, user: user, date: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), alone: true},
	}
}

// differences says in words what two conditions differ in.
func differences(two [2]condition) string {
	a, b := two[0], two[1]
	list := []string{"folder", "time"}
	for _, d := range []struct {
		differ bool
		what   string
	}{
		{a.umask != b.umask, fmt.Sprintf("umask (%03o, %03o)", a.umask, b.umask)},
		{a.zone != b.zone, "time zone"},
		{a.locale != b.locale, "locale"},
		{a.cpus != b.cpus, fmt.Sprintf("processors (%d, %d)", a.cpus, b.cpus)},
		{a.user != b.user, "user"},
		{!a.date.Equal(b.date), "dates of the sources"},
		{a.alone != b.alone, "order of the families"},
		{true, "HOME, TMPDIR and all caches"},
	} {
		if d.differ {
			list = append(list, d.what)
		}
	}
	return strings.Join(list, ", ")
}

// otherUser says who the second build runs as, -1 for the same, and why.
func otherUser(c artifact.Config, euid int, asked string) (user int, why string, err error) {
	switch {
	case asked != "" && asked != "same":
		return 0, "", fmt.Errorf("read BEE_REPRO_USER: %q is unknown; same is all it can be", asked)
	case asked == "same":
		return -1, "the user is the same, as BEE_REPRO_USER says", nil
	case euid != 0:
		return -1, "the user is the same: only root can become another", nil
	case len(localFiles(c)) > 0:
		return -1, "the user is the same: another may not be able to read " + localFiles(c)[0], nil
	}
	return nobody, fmt.Sprintf("the second build runs as user %d", nobody), nil
}

// localFiles are the files of this machine that a build is asked to take in.
func localFiles(c artifact.Config) []string {
	var list []string
	for _, f := range []string{c.Keys, c.ModuleKey, c.ModuleCert, c.SecureBoot.Key, c.SecureBoot.Cert, c.CosignKey} {
		if f != "" {
			list = append(list, f)
		}
	}
	for _, f := range c.Add.Files {
		list = append(list, f.Source)
	}
	if isDir(c.Vendor) {
		list = append(list, c.Vendor)
	}
	return list
}
