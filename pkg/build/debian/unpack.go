package debian

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// unpackTar writes the members of t below dst. os.Root keeps every path inside
// even through links that are in the tree already; what would not stay inside
// is refused before it is tried, so that the message names the member.
func unpackTar(ctx context.Context, t *tar.Reader, dst *os.Root) error {
	type dirTime struct {
		name string
		mode fs.FileMode
		time time.Time
	}
	var dirs []dirTime
	left := int64(maxUnpacked)
	for n := 0; ; n++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read data.tar: %w", unexpected(err))
		}
		if n == maxMembers {
			return fmt.Errorf("read data.tar: more than %d members", maxMembers)
		}
		name, err := memberName(h.Name)
		if err != nil {
			return err
		}
		mode := fs.FileMode(h.Mode) & 0o777
		if name != "." {
			if err := dst.MkdirAll(path.Dir(name), 0o755); err != nil {
				return fmt.Errorf("unpack %s: %w", h.Name, err)
			}
		}
		switch h.Typeflag {
		case tar.TypeDir:
			if name == "." {
				continue
			}
			if err := dst.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("unpack %s: %w", h.Name, err)
			}
			// Last, since writing into it changes its time and may need its mode.
			dirs = append(dirs, dirTime{name, mode, h.ModTime})
		case tar.TypeReg:
			if left -= h.Size; left < 0 {
				return fmt.Errorf("unpack %s: the package holds more than %d bytes", h.Name, int64(maxUnpacked))
			}
			if err := writeFile(dst, name, mode, h.ModTime, t); err != nil {
				return fmt.Errorf("unpack %s: %w", h.Name, err)
			}
		case tar.TypeSymlink:
			if err := linkStaysInside(name, h.Linkname); err != nil {
				return err
			}
			if err := dst.Symlink(h.Linkname, name); err != nil {
				return fmt.Errorf("unpack link %s: %w", h.Name, err)
			}
		case tar.TypeLink:
			target, err := memberName(h.Linkname)
			if err != nil {
				return fmt.Errorf("unpack hard link %s: %w", h.Name, err)
			}
			if err := dst.Link(target, name); err != nil {
				return fmt.Errorf("unpack hard link %s: %w", h.Name, err)
			}
		default:
			return fmt.Errorf("unpack %s: refused: a member of type %q (device, pipe or unknown) has no place in a package", h.Name, h.Typeflag)
		}
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		d := dirs[i]
		// The owner can always search and remove: a tree is a cache.
		if err := dst.Chmod(d.name, d.mode|0o700); err != nil {
			return fmt.Errorf("unpack %s: %w", d.name, err)
		}
		if err := dst.Chtimes(d.name, d.time, d.time); err != nil {
			return fmt.Errorf("unpack %s: %w", d.name, err)
		}
	}
	return nil
}

func writeFile(dst *os.Root, name string, mode fs.FileMode, mtime time.Time, r io.Reader) error {
	f, err := dst.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		// Readable by the owner always: the builder is the owner.
		err = f.Chmod(mode | 0o400)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = dst.Chtimes(name, mtime, mtime)
	}
	return err
}

// memberName returns the clean relative form of a tar member's name.
func memberName(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		return "", fmt.Errorf("unpack %q: refused: not a file name", name)
	case strings.HasPrefix(name, "/"):
		return "", fmt.Errorf("unpack %s: refused: an absolute name", name)
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", fmt.Errorf("unpack %s: refused: it climbs out of the tree", name)
	}
	return clean, nil
}

// linkStaysInside refuses a symbolic link whose text leaves the tree. Absolute
// targets are kept: they mean a path of the system that the tree is part of,
// and os.Root never follows them.
func linkStaysInside(name, target string) error {
	if target == "" || strings.ContainsRune(target, 0) {
		return fmt.Errorf("unpack link %s: refused: target %q is not a file name", name, target)
	}
	if path.IsAbs(target) {
		return nil
	}
	if to := path.Join(path.Dir(name), target); to == ".." || strings.HasPrefix(to, "../") {
		return fmt.Errorf("unpack link %s: refused: target %s climbs out of the tree", name, target)
	}
	return nil
}
