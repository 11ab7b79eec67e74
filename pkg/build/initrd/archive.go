package initrd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/mkuimage/cpio"
)

// Types of a file as in stat(2), st_mode.
const (
	typeDir  = 0o040000
	typeChar = 0o020000
	typeFile = 0o100000
	typeLink = 0o120000
	typeMask = 0o170000
)

// node is one entry of the image.
type node struct {
	path         string // relative, clean
	mode         uint64 // type and permissions
	uid, gid     uint64
	text         []byte // of a small file; target of a link
	source       string // file on this machine; used where text is nil
	size         int64
	major, minor uint64 // of a device
}

// tree is a list of nodes, each path once.
type tree struct {
	nodes []node
	seen  map[string]bool
}

// add adds a node and the folders above it that are not there yet.
func (t *tree) add(n node) error {
	if n.path != path.Clean(n.path) || strings.HasPrefix(n.path, "/") || strings.HasPrefix(n.path, "..") {
		return fmt.Errorf("add %q to the image: not a path below the root", n.path)
	}
	if t.seen == nil {
		t.seen = make(map[string]bool)
	}
	if t.seen[n.path] {
		if n.mode&typeMask == typeDir {
			return nil // made for what lies in it
		}
		return fmt.Errorf("add %q to the image: it is there already", n.path)
	}
	if dir := path.Dir(n.path); dir != "." && !t.seen[dir] {
		if err := t.add(node{path: dir, mode: typeDir | 0o755}); err != nil {
			return err
		}
	}
	if n.text != nil {
		n.size = int64(len(n.text))
	} else if n.source != "" {
		fi, err := os.Stat(n.source)
		if err != nil {
			return fmt.Errorf("add %q to the image: %w", n.path, err)
		}
		n.size = fi.Size()
	}
	t.seen[n.path] = true
	t.nodes = append(t.nodes, n)
	return nil
}

// page is the unit in which a tmpfs takes RAM, bytes; inode is about what one
// more entry costs the kernel.
const (
	page  = 4096
	inode = 1024
)

// ram is what the tree takes once it is unpacked, bytes.
func (t *tree) ram() int64 {
	var sum int64
	for _, n := range t.nodes {
		sum += inode
		if n.mode&typeMask == typeFile {
			sum += (n.size + page - 1) / page * page
		}
	}
	return sum
}

// write writes the tree as a newc archive (kernel: Documentation/driver-api/
// early-userspace/buffer-format.rst), in order of addition, with numbers and
// times that depend on nothing else, padded to 512 bytes.
func (t *tree) write(w io.Writer, date time.Time) error {
	count := &counter{w: w}
	archive := cpio.Newc.Writer(count)
	for i, n := range t.nodes {
		if err := writeNode(archive, n, uint64(i+1), uint64(date.Unix())); err != nil {
			return fmt.Errorf("write %s into the archive: %w", n.path, err)
		}
	}
	if err := cpio.WriteTrailer(archive); err != nil {
		return err
	}
	_, err := count.Write(make([]byte, (512-count.n%512)%512))
	return err
}

func writeNode(w cpio.RecordWriter, n node, ino, mtime uint64) error {
	info := cpio.Info{Name: n.path, Ino: ino, Mode: n.mode, UID: n.uid, GID: n.gid, NLink: 1, MTime: mtime, FileSize: uint64(n.size), Rmajor: n.major, Rminor: n.minor}
	r := cpio.Record{Info: info}
	switch {
	case n.text != nil:
		r.ReaderAt = bytes.NewReader(n.text)
	case n.source != "":
		f, err := os.Open(n.source)
		if err != nil {
			return err
		}
		defer f.Close()
		r.ReaderAt = f
	}
	return w.WriteRecord(r)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// segment is one archive of the image. The kernel unpacks them one after
// another, whether compressed or not.
type segment struct {
	tree
	zstd bool
}

// writeImage writes the segments to the file name, whole or not at all.
func writeImage(name string, segments []segment, date time.Time) (err error) {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(tmp))
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	for _, s := range segments {
		if len(s.nodes) == 0 {
			continue
		}
		if err := s.pack(w, date); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

func (s *segment) pack(w io.Writer, date time.Time) error {
	if !s.zstd {
		return s.write(w, date)
	}
	// The library gives the same bytes for one goroutine or many.
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return err
	}
	if err := s.write(z, date); err != nil {
		return err
	}
	return z.Close()
}

// sorted gives a copy of list in order, each once.
func sorted(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
