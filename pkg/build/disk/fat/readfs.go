package fat

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/disk"
)

// entry is a file or folder of an opened volume. It is its own fs.FileInfo.
type entry struct {
	name, path string
	dir        bool
	attr       byte
	at         stamp
	size       int64
	first      int64 // cluster
	clusters   int64
	runs       []run
	children   []*entry
	byName     map[string]*entry
}

// Name is the last part of the path.
func (e *entry) Name() string { return e.name }

// Size is in bytes, 0 for a folder.
func (e *entry) Size() int64 { return e.size }

// IsDir says whether it is a folder.
func (e *entry) IsDir() bool { return e.dir }

// Sys is nil.
func (e *entry) Sys() any { return nil }

// ModTime is UTC, which FAT does not say.
func (e *entry) ModTime() time.Time { return e.at.moment() }

// Mode is what Linux shows: FAT knows read-only, and no more.
func (e *entry) Mode() fs.FileMode {
	mode := fs.FileMode(0o755)
	if e.attr&attrReadOnly != 0 {
		mode = 0o555
	}
	if e.dir {
		mode |= fs.ModeDir
	}
	return mode
}

// Open opens a file or folder. A file also is an io.ReaderAt and an io.Seeker.
func (f *FS) Open(name string) (fs.File, error) {
	e, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.dir {
		return &openFolder{e: e, sorted: sorted(e)}, nil
	}
	return &openFile{io.NewSectionReader(runReader{f, e}, 0, e.size), e}, nil
}

// Stat describes a file or folder.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.find("stat", name) }

// Extents says where a file's content lies, in bytes from the volume's
// beginning, in the order of the content.
func (f *FS) Extents(name string) ([]disk.Extent, error) {
	e, err := f.find("find", name)
	if err != nil {
		return nil, err
	}
	if e.dir {
		return nil, &fs.PathError{Op: "find", Path: name, Err: errFolder}
	}
	var out []disk.Extent
	left := e.size
	for _, r := range e.runs {
		n := min(left, r.count*f.g.clusterSize())
		out = append(out, disk.Extent{Offset: f.offset(r.first), Size: n})
		left -= n
	}
	return out, nil
}

// find looks a path up, in small letters and capitals as they are written.
func (f *FS) find(op, name string) (*entry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e := f.root
	if name == "." {
		return e, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if e = e.byName[part]; e == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return e, nil
}

// sorted are a folder's entries as fs.ReadDir has them.
func sorted(e *entry) []fs.DirEntry {
	out := make([]fs.DirEntry, len(e.children))
	for i, c := range e.children {
		out[i] = fs.FileInfoToDirEntry(c)
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

type openFile struct {
	*io.SectionReader
	e *entry
}

func (o *openFile) Stat() (fs.FileInfo, error) { return o.e, nil }
func (o *openFile) Close() error               { return nil }

type openFolder struct {
	e      *entry
	sorted []fs.DirEntry // not given out yet
}

func (o *openFolder) Stat() (fs.FileInfo, error) { return o.e, nil }
func (o *openFolder) Close() error               { return nil }

func (o *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: o.e.path, Err: errFolder}
}

// ReadDir gives the next n entries, or all that are left.
func (o *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(o.sorted)
	} else if len(o.sorted) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(o.sorted))
	out := o.sorted[:n]
	o.sorted = o.sorted[n:]
	return out, nil
}

// runReader reads a file by its runs of clusters.
type runReader struct {
	f *FS
	e *entry
}

// ReadAt reads within the file's clusters; its caller keeps to its size.
func (c runReader) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for _, r := range c.e.runs {
		length := r.count * c.f.g.clusterSize()
		if off >= length {
			off -= length
			continue
		}
		n := min(int64(len(p)-done), length-off)
		if err := readFull(c.f.r, p[done:done+int(n)], c.f.offset(r.first)+off); err != nil {
			return done, err
		}
		if done, off = done+int(n), 0; done == len(p) {
			return done, nil
		}
	}
	return done, io.EOF
}

// Where says in words what stands at a byte of the volume, to name the first
// difference of two images.
func (f *FS) Where(off int64) string {
	firstFAT := f.g.reserved * sectorSize
	switch {
	case off < sectorSize:
		return fmt.Sprintf("boot sector, byte %d", off)
	case off < firstFAT:
		return fmt.Sprintf("reserved sector %d, byte %d", off/sectorSize, off%sectorSize)
	case off < f.rootStart():
		in := off - firstFAT
		n, cluster := in/(f.g.fat*sectorSize)+1, in%(f.g.fat*sectorSize)/int64(f.g.bits/8)
		return fmt.Sprintf("FAT %d, cluster %d (%s)", n, cluster, f.holds(cluster))
	case off < f.dataStart():
		return fmt.Sprintf("root folder, entry %d", (off-f.rootStart())/entrySize)
	case off >= f.offset(f.g.clusters+2):
		return "behind the last cluster"
	}
	cluster := (off-f.dataStart())/f.g.clusterSize() + 2
	o := f.ownerOf(cluster)
	if o == nil {
		return fmt.Sprintf("free cluster %d", cluster)
	}
	at := (o.before+cluster-o.first)*f.g.clusterSize() + (off-f.dataStart())%f.g.clusterSize()
	switch {
	case o.e.dir:
		return fmt.Sprintf("folder /%s, entry %d", o.e.path, at/entrySize)
	case at >= o.e.size:
		return fmt.Sprintf("behind the end of file %s", o.e.path)
	}
	return fmt.Sprintf("file %s, byte %d", o.e.path, at)
}

// holds names what a cluster holds.
func (f *FS) holds(cluster int64) string {
	o := f.ownerOf(cluster)
	if o == nil {
		return "free"
	}
	return "/" + o.e.path
}

func (f *FS) ownerOf(cluster int64) *ownedRun {
	i := sort.Search(len(f.owner), func(i int) bool { return f.owner[i].first+f.owner[i].count > cluster })
	if i == len(f.owner) || cluster < f.owner[i].first {
		return nil
	}
	return &f.owner[i]
}
