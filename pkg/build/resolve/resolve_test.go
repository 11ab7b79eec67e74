package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/driver"
	"github.com/bee-os/bee/pkg/build/lock"
)

// archive is a Reader over packages "name version".
type archive []string

func (a archive) Suite(context.Context, lock.Suite, string) (*Index, error) {
	x := NewIndex(time.Date(2026, 9, 12, 0, 0, 0, 0, time.UTC))
	for _, p := range a {
		name, version, _ := strings.Cut(p, " ")
		x.Add(debian.Package{Name: name, Version: version, Arch: "amd64", Path: "pool/" + name, Size: 1, SHA256: strings.Repeat("0", 63) + version[len(version)-1:]})
	}
	return x, nil
}

// file is a lock whose kernel group is at version v.
func file(v string) *lock.File {
	f := &lock.File{
		Archives: []lock.Archive{{Name: "debian", Mirrors: []string{"http://mirror.example/debian"}}},
		Suites:   []lock.Suite{{Name: "trixie", Archive: "debian", Components: []string{"main"}}},
		Groups: []lock.Group{
			{Name: "kernel", Arches: []string{"amd64"}, Suites: []string{"trixie"}, Want: []string{"image", "source"}, Alone: true,
				SameVersion: []string{"headers"}, SameRelease: []string{"source", "libcuda"}},
			{Name: "nvidia", Arches: []string{"amd64"}, Suites: []string{"trixie"}, Want: []string{"libcuda"}, Alone: true, MovesWith: []string{"kernel"}},
			{Name: "tools-kernel", Arches: []string{"amd64"}, Suites: []string{"trixie"}, Want: []string{"gcc"}, Alone: true},
			{Name: "data", Arches: []string{"amd64"}, Suites: []string{"trixie"}, Want: []string{"pci.ids"}, Alone: true},
		},
	}
	for name, groups := range map[string][]string{"image": {"kernel"}, "source": {"kernel"}, "libcuda": {"nvidia"}, "gcc": {"tools-kernel"}, "pci.ids": {"data"}} {
		f.Entries = append(f.Entries, lock.Entry{Name: name, Version: v, Arch: "amd64", Suite: "trixie", Groups: groups, Path: "pool/" + name, Size: 1, SHA256: strings.Repeat("0", 63) + v[len(v)-1:]})
	}
	f.Sort()
	return f
}

func versions(f *lock.File) string {
	var list []string
	for _, e := range f.Entries {
		list = append(list, e.Name+" "+e.Version)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func TestMoveTogetherOrNotAtAll(t *testing.T) {
	fits := archive{"image 6-2", "headers 6-2", "source 550-1", "libcuda 550-2", "gcc 14-2", "pci.ids 2"}
	for _, c := range []struct {
		name string
		in   archive
		try  error
		want string
		says string
	}{
		{"all fits", fits, nil, "gcc 14-2, image 6-2, libcuda 550-2, pci.ids 2, source 550-1", "try the build"},
		{"headers are behind", archive{"image 6-2", "headers 6-1", "source 550-1", "libcuda 550-2", "gcc 14-2", "pci.ids 2"}, nil,
			"gcc 14-2, image 1-1, libcuda 1-1, pci.ids 2, source 1-1", "image is at 6-2 but headers is at 6-1"},
		{"libraries are of another release", archive{"image 6-2", "headers 6-2", "source 550-1", "libcuda 570-2", "gcc 14-2", "pci.ids 2"}, nil,
			"gcc 14-2, image 1-1, libcuda 1-1, pci.ids 2, source 1-1", "source is at 550-1 but libcuda is at 570-2"},
		{"the build fails", fits, fmt.Errorf("nv-pci.c: too few arguments: %w", driver.ErrDoesNotFit),
			"gcc 1-1, image 1-1, libcuda 1-1, pci.ids 2, source 1-1", "nv-pci.c: too few arguments"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said strings.Builder
			tries := 0
			got, err := ResolveAndTry(t.Context(), file("1-1"), c.in, &said, func(_ context.Context, l *lock.File) error {
				tries++
				return c.try
			})
			if err != nil {
				t.Fatal(err)
			}
			if v := versions(got); v != c.want {
				t.Errorf("got  %s\nwant %s\n%s", v, c.want, said.String())
			}
			if !strings.Contains(said.String(), c.says) {
				t.Errorf("it did not say %q:\n%s", c.says, said.String())
			}
			if tries != 1 {
				t.Errorf("the build was tried %d times", tries)
			}
		})
	}
}

// What changes nothing for the driver is not tried.
func TestNothingToTry(t *testing.T) {
	old := file("1-1")
	in := archive{"image 1-1", "headers 1-1", "source 1-1", "libcuda 1-1", "gcc 1-1", "pci.ids 2"}
	got, err := ResolveAndTry(t.Context(), old, in, &strings.Builder{}, func(context.Context, *lock.File) error {
		t.Error("the build was tried")
		return nil
	})
	if err != nil || !strings.Contains(versions(got), "pci.ids 2") {
		t.Errorf("%v, %v", versions(got), err)
	}
}

// Without an older combination there is nothing to stay with.
func TestFirstCombinationMustBuild(t *testing.T) {
	first := file("1-1")
	first.Entries = nil
	in := archive{"image 6-2", "headers 6-2", "source 550-1", "libcuda 550-2", "gcc 14-2", "pci.ids 2"}
	_, err := ResolveAndTry(t.Context(), first, in, &strings.Builder{}, func(context.Context, *lock.File) error {
		return fmt.Errorf("too few arguments: %w", driver.ErrDoesNotFit)
	})
	if err == nil || !strings.Contains(err.Error(), "too few arguments") {
		t.Error(err)
	}
}

// A compiler that stays keeps what it shares with others, and those with it;
// what shares nothing moves on. What stays can still be found in the dated
// archive.
func TestHeldGroupsKeepWhatTheyShare(t *testing.T) {
	old := file("1-1")
	was := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	old.Suites[0].Date = was
	old.Groups = append(old.Groups, lock.Group{Name: "tools-vm", Arches: []string{"amd64"}, Suites: []string{"trixie"}, Want: []string{"qemu", "libc6"}, Alone: true})
	old.Groups[2].Want = append(old.Groups[2].Want, "libc6")
	for name, groups := range map[string][]string{"qemu": {"tools-vm"}, "libc6": {"tools-kernel", "tools-vm"}} {
		old.Entries = append(old.Entries, lock.Entry{Name: name, Version: "1-1", Arch: "amd64", Suite: "trixie", Groups: groups, Path: "pool/" + name, Size: 1, SHA256: strings.Repeat("0", 63) + "1"})
	}
	old.Sort()
	in := archive{"image 6-2", "headers 6-2", "source 550-1", "libcuda 550-2", "gcc 14-2", "pci.ids 2", "qemu 10-2", "libc6 2-2"}
	var said strings.Builder
	got, err := ResolveAndTry(t.Context(), old, in, &said, func(context.Context, *lock.File) error {
		return fmt.Errorf("too few arguments: %w", driver.ErrDoesNotFit)
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := versions(got); v != "gcc 1-1, image 1-1, libc6 1-1, libcuda 1-1, pci.ids 2, qemu 1-1, source 1-1" {
		t.Errorf("%s\n%s", v, said.String())
	}
	for _, e := range got.Entries {
		if want := e.Name != "pci.ids"; want != e.Date.Equal(was) {
			t.Errorf("%s: date %v", e.Name, e.Date)
		}
	}
	if !strings.Contains(said.String(), "group tools-vm stays as it is: it shares libc6 with group tools-kernel") {
		t.Error(said.String())
	}
	back, err := lock.Parse(got.Marshal())
	if err != nil || !back.Entries[0].Date.Equal(was) {
		t.Errorf("the date is lost in the file: %+v, %v", back, err)
	}
}

// A trial that says nothing about the fit decides nothing.
func TestTrialThatCouldNotBeMade(t *testing.T) {
	in := archive{"image 6-2", "headers 6-2", "source 550-1", "libcuda 550-2", "gcc 14-2", "pci.ids 2"}
	_, err := ResolveAndTry(t.Context(), file("1-1"), in, &strings.Builder{}, func(context.Context, *lock.File) error { return errors.New("no space left on device") })
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
}
