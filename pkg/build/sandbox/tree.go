package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// treeFormat is part of the key of a merged tree. It changes whenever the same
// packages would be merged differently.
const treeFormat = "bee tools tree 1"

// layer is one extracted package.
type layer struct {
	name string // for messages
	dir  string
}

// usrMerge are the top-level links of Debian since bookworm; a package's files
// below the left side belong below the right.
var usrMerge = [][2]string{{"bin", "usr/bin"}, {"sbin", "usr/sbin"}, {"lib", "usr/lib"}, {"lib32", "usr/lib32"}, {"lib64", "usr/lib64"}, {"libx32", "usr/libx32"}}

// baseFiles are what maintainer scripts and base-files would have made and
// programs look for.
var baseFiles = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/tmp:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"etc/group":         "root:x:0:\nnogroup:x:65534:\n",
	"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	"etc/host.conf":     "multi on\n",
}

// treeKey names a merged tree by all that decides its content.
func treeKey(ids []string) string {
	sorted := append([]string(nil), ids...)
	sort.Strings(sorted)
	h := sha256.New()
	fmt.Fprintln(h, treeFormat)
	for _, id := range sorted {
		fmt.Fprintln(h, id)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// buildTree merges the layers into dir, which appears complete or not at all.
// Several processes may do so at once.
func buildTree(ctx context.Context, dir string, layers []layer) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make tools tree: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".merge-")
	if err != nil {
		return fmt.Errorf("make tools tree: %w", err)
	}
	defer func() {
		if e := os.RemoveAll(tmp); err == nil && e != nil {
			err = fmt.Errorf("make tools tree: %w", e)
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("make tools tree: %w", err)
	}
	m := merger{root: tmp, owner: map[string]string{}}
	for _, l := range layers {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("make tools tree: %w", err)
		}
		if err := m.add(l); err != nil {
			return fmt.Errorf("make tools tree: add %s: %w", l.name, err)
		}
	}
	if err := m.finish(); err != nil {
		return fmt.Errorf("make tools tree: %w", err)
	}
	err = os.Rename(tmp, dir)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // another process was faster, with the same content
	}
	if err != nil {
		return fmt.Errorf("make tools tree: %w", err)
	}
	return nil
}

type merger struct {
	root  string
	owner map[string]string // file → the layer it came from
}

// add links one package's files into the tree.
func (m *merger) add(l layer) error {
	return filepath.WalkDir(l.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(l.dir, path)
		if err != nil {
			return err
		}
		if rel == "." {
			return nil
		}
		if e.Type() == fs.ModeSymlink && isMergeLink(rel) {
			return nil // a package that ships the usr-merge link itself
		}
		rel = merged(rel)
		switch {
		case e.IsDir():
			return os.MkdirAll(filepath.Join(m.root, rel), 0o755)
		case e.Type() == fs.ModeSymlink:
			return m.symlink(l, path, rel)
		case e.Type().IsRegular():
			return m.file(l, path, rel)
		}
		return fmt.Errorf("%s is neither file, folder nor link", rel)
	})
}

// merged moves a path to where the usr merge puts it.
func merged(rel string) string {
	for _, l := range usrMerge {
		if first, rest, _ := strings.Cut(rel, "/"); first == l[0] {
			return filepath.Join(l[1], rest)
		}
	}
	return rel
}

func isMergeLink(rel string) bool {
	for _, l := range usrMerge {
		if rel == l[0] {
			return true
		}
	}
	return false
}

func (m *merger) symlink(l layer, path, rel string) error {
	to, err := os.Readlink(path)
	if err != nil {
		return err
	}
	dst := filepath.Join(m.root, rel)
	if old, err := os.Readlink(dst); err == nil && old == to {
		return nil
	}
	if _, err := os.Lstat(dst); err == nil {
		return m.conflict(l, rel)
	}
	m.owner[rel] = l.name
	return os.Symlink(to, dst)
}

func (m *merger) file(l layer, path, rel string) error {
	dst := filepath.Join(m.root, rel)
	if _, err := os.Lstat(dst); err == nil {
		return m.conflict(l, rel)
	}
	m.owner[rel] = l.name
	// A hard link costs nothing and the store's files never change; a cache
	// that spans file systems, or forbids links, gets a copy.
	if err := os.Link(path, dst); err == nil {
		return nil
	}
	return copyFile(path, dst)
}

func (m *merger) conflict(l layer, rel string) error {
	return fmt.Errorf("/%s is in %s and in %s; one of them has to leave the group in bee.lock", rel, m.owner[rel], l.name)
}

// finish adds what every tree has.
func (m *merger) finish() error {
	for _, l := range usrMerge {
		if err := os.MkdirAll(filepath.Join(m.root, l[1]), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(l[1], filepath.Join(m.root, l[0])); err != nil {
			return err
		}
	}
	for name, text := range baseFiles {
		dst := filepath.Join(m.root, name)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(dst, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, st.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
