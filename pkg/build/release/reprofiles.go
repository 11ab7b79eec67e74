package release

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func isDir(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// linkTree gives dst the finished files of src that it has not, as links where
// the file system and the mode allow it, else as copies that everybody can read.
// A src that is not there has none.
func linkTree(dst, src string) error {
	return filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == src {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case !d.Type().IsRegular(), strings.HasSuffix(name, ".part"), strings.HasSuffix(name, ".lock"), strings.HasSuffix(name, ".partial"):
			return nil
		}
		return linkFile(to, name, d)
	})
}

func linkFile(dst, src string, d fs.DirEntry) error {
	fi, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since the folder was read
	}
	if err != nil {
		return err
	}
	if fi.Mode()&0o444 == 0o444 {
		err := os.Link(src, dst)
		if err == nil || errors.Is(err, fs.ErrExist) {
			return nil
		}
	}
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(dst), ".copy-")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(0o644), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), dst)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}

// giveAway makes a user and its group the owner of all that lies below a folder,
// but of no file that has other names: those are shared.
func giveAway(dir string, user int) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(dir, name); err != nil || filepath.Dir(rel) == filepath.Join("cache", "sha256") {
			return err
		}
		return os.Lchown(name, user, user)
	})
}

// setDates sets the time of change of all files and folders, git's own apart,
// which compares them with what it noted.
func setDates(dir string, date time.Time) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case d.Type()&fs.ModeSymlink != 0:
			return nil
		}
		return os.Chtimes(name, date, date)
	})
}

// removeAll is os.RemoveAll, for folders too that their owner may not remove from,
// as those of Go's module cache. Root may, and changes no mode of what another
// user owns.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(name, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// keepBoth moves the two images/ to a folder that stays, and says where they are.
func keepBoth(work string, two [2]condition) ([2]string, error) {
	var kept [2]string
	dir, err := os.MkdirTemp(filepath.Dir(work), "bee-differs-")
	if err != nil {
		return kept, err
	}
	for i, c := range two {
		kept[i] = filepath.Join(dir, c.name)
		if err := os.Rename(c.images(), kept[i]); err != nil {
			return kept, fmt.Errorf("keep what differs: %w", err)
		}
	}
	return kept, nil
}
