package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
)

// Store delivers the extracted trees of locked packages, in the order of the
// entries; nothing may write there. debian.Store is one.
type Store interface {
	Trees(ctx context.Context, entries []lock.Entry) (dirs []string, err error)
}

// Open makes a sandbox with the tools of the named groups of the lock, for this
// machine's architecture, runtime.GOARCH, whatever is built with them: arch must
// be that. What is missing is fetched, with progress written to progress.
func Open(ctx context.Context, l *lock.File, progress io.Writer, arch string, groups ...string) (*Sandbox, error) {
	if arch != runtime.GOARCH {
		return nil, fmt.Errorf("make sandbox: tools for %s do not run on this machine, which is %s", arch, runtime.GOARCH)
	}
	entries, err := choose(l, arch, groups)
	if err != nil {
		return nil, fmt.Errorf("make sandbox: %w", err)
	}
	return OpenEntries(ctx, l, progress, entries)
}

// choose lists the packages of the groups, each once.
func choose(l *lock.File, arch string, groups []string) ([]lock.Entry, error) {
	var entries []lock.Entry
	for _, g := range groups {
		list := l.Group(g, arch)
		if err := canServe(l, g, arch, len(list)); err != nil {
			return nil, err
		}
		for _, e := range list {
			if !slices.ContainsFunc(entries, func(have lock.Entry) bool { return have.SHA256 == e.SHA256 }) {
				entries = append(entries, e)
			}
		}
	}
	return entries, nil
}

// canServe says why a group, of which n packages fit, has no tools for a machine
// of this architecture. Packages for "all" alone make no tools.
func canServe(l *lock.File, group, arch string, n int) error {
	for _, g := range l.Groups {
		if g.Name == group && !slices.Contains(g.Arches, arch) {
			return fmt.Errorf("this machine is %s, and %s pins the tools of group %q for %s alone; build on such a machine (ARCH chooses what the image is for)",
				arch, lock.Name, group, strings.Join(g.Arches, " and "))
		}
	}
	if n == 0 {
		return fmt.Errorf("group %q of %s has no package for %s; run `go tool mage lock`", group, lock.Name, arch)
	}
	return nil
}

// OpenEntries is Open for packages of the lock that the caller chose itself.
func OpenEntries(ctx context.Context, l *lock.File, progress io.Writer, entries []lock.Entry) (*Sandbox, error) {
	f, err := fetch.New(l, progress)
	if err != nil {
		return nil, err
	}
	return New(ctx, debian.NewStore(f), entries)
}

// New makes a sandbox with the tools of the given packages. The merged tree is
// kept in the cache and made anew only when an entry changes; until then the
// store is not asked. Its error wraps ErrUnavailable when this host does not
// let a sandbox be entered.
func New(ctx context.Context, store Store, entries []lock.Entry) (*Sandbox, error) {
	if len(entries) == 0 {
		return nil, errors.New("make sandbox: no package is named; is the group in bee.lock?")
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.Name + " " + e.Version + " " + e.Arch + " " + e.SHA256
	}
	return open(ctx, filepath.Join(cache, "tools"), ids, func(ctx context.Context) ([]layer, error) {
		dirs, err := store.Trees(ctx, entries)
		if err != nil {
			return nil, fmt.Errorf("make tools tree: %w", err)
		}
		layers := make([]layer, len(entries))
		for i, e := range entries {
			layers[i] = layer{e.Name, dirs[i]}
		}
		return layers, nil
	})
}
