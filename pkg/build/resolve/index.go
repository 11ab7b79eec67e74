package resolve

import (
	"context"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
)

// Bounds of an index: trixie's InRelease has 140 KB, its largest Packages 55 MB.
const (
	maxRelease  = 16 << 20
	maxPackages = 512 << 20
)

// Index is what one suite has for one architecture.
type Index struct {
	Date     time.Time
	packages map[string]debian.Package // newest of a name
	provides map[string][]string       // virtual name → names that provide it, in index order
}

// NewIndex returns an index of the given packages.
func NewIndex(date time.Time) *Index {
	return &Index{Date: date, packages: make(map[string]debian.Package), provides: make(map[string][]string)}
}

// Add puts one package into the index; of one name the newest version stays.
func (x *Index) Add(p debian.Package) {
	if have, ok := x.packages[p.Name]; ok && debian.CompareVersions(have.Version, p.Version) >= 0 {
		return
	}
	x.packages[p.Name] = p
	for _, v := range p.Provides {
		x.provides[v.Name] = append(x.provides[v.Name], p.Name)
	}
}

// Indexes reads suites through a fetcher, each Release file once.
type Indexes struct {
	fetch    *fetch.Fetcher
	keys     *debian.Keyring
	now      time.Time
	releases map[string]*debian.Release
	read     map[string]*Index
}

// NewIndexes returns a reader that trusts Debian's archive keys.
func NewIndexes(f *fetch.Fetcher, now time.Time) (*Indexes, error) {
	keys, err := debian.ArchiveKeyring()
	if err != nil {
		return nil, err
	}
	return &Indexes{fetch: f, keys: keys, now: now, releases: make(map[string]*debian.Release), read: make(map[string]*Index)}, nil
}

// Suite fetches, verifies and reads the suite's indexes for an architecture.
func (x *Indexes) Suite(ctx context.Context, s lock.Suite, arch string) (*Index, error) {
	key := s.Name + " " + arch
	if have, ok := x.read[key]; ok {
		return have, nil
	}
	rel, err := x.release(ctx, s)
	if err != nil {
		return nil, err
	}
	index := NewIndex(rel.Date)
	for _, component := range s.Components {
		if err := x.component(ctx, s, rel, component, arch, index); err != nil {
			return nil, err
		}
	}
	x.read[key] = index
	return index, nil
}

// release returns the suite's verified Release file.
func (x *Indexes) release(ctx context.Context, s lock.Suite) (*debian.Release, error) {
	if rel, ok := x.releases[s.Name]; ok {
		return rel, nil
	}
	data, from, err := x.fetch.Unverified(ctx, s, path.Join("dists", s.Name, "InRelease"), maxRelease)
	if err != nil {
		return nil, err
	}
	rel, err := x.keys.VerifyRelease(data, x.now)
	if err == nil {
		err = rel.Check(s.Name, s.Date, x.now)
	}
	if err != nil {
		return nil, fmt.Errorf("read index of %s from %s: %w", s.Name, from, err)
	}
	x.releases[s.Name] = rel
	return rel, nil
}

// component adds one Packages file. It is asked for by its digest where the
// archive offers that, so that a mirror which is just being updated gives the
// file that belongs to the Release.
func (x *Indexes) component(ctx context.Context, s lock.Suite, rel *debian.Release, component, arch string, into *Index) error {
	dir := path.Join(component, "binary-"+arch)
	for _, name := range []string{"Packages.xz", "Packages.gz", "Packages"} {
		file, ok := rel.Files[path.Join(dir, name)]
		if !ok {
			continue
		}
		if file.Size == 0 {
			return nil
		}
		b := fetch.Blob{
			Name: path.Join(s.Name, dir, name), Suite: s, Size: file.Size, SHA256: file.SHA256,
			Path: path.Join("dists", s.Name, dir, name),
		}
		if rel.ByHash {
			b.Path = path.Join("dists", s.Name, dir, "by-hash/SHA256", file.SHA256)
		}
		b.Suite.Date = time.Time{} // the dated archive has it by another date
		got, err := x.fetch.Blobs(ctx, []fetch.Blob{b})
		if err != nil {
			return err
		}
		data, err := os.Open(got[file.SHA256])
		if err != nil {
			return fmt.Errorf("open index: %w", err)
		}
		defer data.Close()
		text, err := debian.Decompress(name, data, maxPackages)
		if err != nil {
			return err
		}
		defer text.Close()
		if err := debian.ReadPackages(text, into.Add); err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
		return nil
	}
	return fmt.Errorf("find index %s/%s: the suite's Release file does not name it; correct Components or Architectures in %s", s.Name, dir, lock.Name)
}
