// Package lock is bee.lock: every input that a build downloads, by name,
// version, architecture, size and SHA-256, and the places it may come from.
// Nothing else in the tree names a URL, a version or a digest.
//
// The file is a list of deb822 stanzas. The upper ones are written by people:
// archives (mirrors), suites, and groups with the packages each wants. The
// "Package" stanzas below them are the answer, written by `go tool mage lock`
// (pkg/build/resolve). Reading and writing give the same bytes back, comments
// aside: those stand in the fixed header.
package lock

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Name is the file's name at the root of the repository.
const Name = "bee.lock"

// File is a parsed bee.lock. Stanzas of each kind are in file order, entries
// sorted by name and architecture.
type File struct {
	Archives []Archive
	Suites   []Suite
	Groups   []Group
	Entries  []Entry
}

// Archive is a Debian archive: a tree with dists/ and pool/ below each mirror.
type Archive struct {
	Name     string   // as the mirrors call it: debian, debian-security
	Mirrors  []string // base URLs, in the order they are tried
	Snapshot string   // base URL of the dated archive, below which <timestamp>/pool stands; may be empty
}

// Suite is one signed index of an archive.
type Suite struct {
	Name       string // codename, as in dists/<name>: trixie, trixie-security
	Archive    string
	Components []string
	Date       time.Time // of the InRelease that was resolved last; zero before the first
}

// Group is a set of packages that one part of the build asks for together.
type Group struct {
	Name   string
	Note   string   // why it is as it is; for people
	Arches []string // resolved for each of them
	Suites []string // a later one wins only with a higher version

	// Want names the roots that are kept; Through names roots that are not kept
	// themselves, only what they depend on (linux-image-amd64 stands for
	// whichever kernel is current).
	Want    []string
	Through []string

	// Without names dependencies that are neither kept nor followed: what only a
	// maintainer script or a running Debian would need.
	Without []string

	// Alone keeps the roots and no dependency at all.
	Alone bool

	// Kernel, headers and driver move together or not at all: the group stays as
	// it is where the candidates of SameVersion have not the very version of the
	// group's first root, or those of SameRelease are not of one upstream release
	// (550.163.01 of 550.163.01-2). A group stays too where one of MovesWith does.
	SameVersion []string
	SameRelease []string
	MovesWith   []string
}

// Entry is one pinned package.
type Entry struct {
	Name    string
	Version string
	Arch    string // Debian's name of it; "all" fits every architecture
	Suite   string
	Groups  []string // sorted
	Path    string   // below an archive's base URL: pool/main/…
	Size    int64    // bytes
	SHA256  string   // 64 lower-case hexadecimal digits

	// Date is the suite's date when the entry was locked, where the suite has moved
	// on and the entry stayed: the dated archive has it then, not now. Else zero.
	Date time.Time
}

// String names the entry as an error message should: name, version, arch.
func (e Entry) String() string { return e.Name + " " + e.Version + " (" + e.Arch + ")" }

// Load reads and checks the named file. Its errors name the file and the line.
func Load(fsys fs.FS, name string) (*File, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read lock: %w; run in the root of a checkout, or restore it with git", err)
	}
	f, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w; restore it with git or write it anew with `go tool mage lock`", name, err)
	}
	return f, nil
}

// Group returns the entries of a group for one architecture, sorted by name;
// empty where the group or the architecture is not locked.
func (f *File) Group(group, arch string) []Entry {
	var out []Entry
	for _, e := range f.Entries {
		if slices.Contains(e.Groups, group) && (e.Arch == arch || e.Arch == "all") {
			out = append(out, e)
		}
	}
	return out
}

// Get returns the entry of a package for an architecture ("all" packages fit
// each).
func (f *File) Get(name, arch string) (Entry, error) {
	for _, e := range f.Entries {
		if e.Name == name && (e.Arch == arch || e.Arch == "all") {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("find input %s for %s: it is not in %s; add it to a group there and run `go tool mage lock`", name, arch, Name)
}

// ArchiveOf returns the archive that an entry's suite belongs to.
func (f *File) ArchiveOf(e Entry) (Archive, Suite, error) {
	s, ok := f.suite(e.Suite)
	if !ok {
		return Archive{}, Suite{}, fmt.Errorf("find suite %s of %s: it is not in %s", e.Suite, e, Name)
	}
	a, ok := f.archive(s.Archive)
	if !ok {
		return Archive{}, Suite{}, fmt.Errorf("find archive %s of suite %s: it is not in %s", s.Archive, s.Name, Name)
	}
	return a, s, nil
}

func (f *File) suite(name string) (Suite, bool) {
	i := slices.IndexFunc(f.Suites, func(s Suite) bool { return s.Name == name })
	if i < 0 {
		return Suite{}, false
	}
	return f.Suites[i], true
}

func (f *File) archive(name string) (Archive, bool) {
	i := slices.IndexFunc(f.Archives, func(a Archive) bool { return a.Name == name })
	if i < 0 {
		return Archive{}, false
	}
	return f.Archives[i], true
}

// Sort brings the entries and their groups into file order.
func (f *File) Sort() {
	for i := range f.Entries {
		slices.Sort(f.Entries[i].Groups)
	}
	slices.SortFunc(f.Entries, func(a, b Entry) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Arch, b.Arch)
	})
}
