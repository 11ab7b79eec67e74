// Package guest makes initrds of programs from Debian packages, with the
// libraries that they need, for guests that are compared with bee or tell what
// bee should have seen.
package guest

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// Programs collects them.
type Programs struct {
	Trees   []string // the extracted packages
	Group   string   // of bee.lock, for messages
	Records []cpio.Record

	have map[string]bool
}

// Add adds a program or library and, by its ELF header, what it needs.
func (p *Programs) Add(name string) error {
	if p.have == nil {
		p.have = map[string]bool{}
	}
	if p.have[name] {
		return nil
	}
	p.have[name] = true
	b, err := p.read(name)
	if err != nil {
		return err
	}
	target := name
	if strings.HasPrefix(name, "usr/bin/") {
		target = strings.TrimPrefix(name, "usr/")
	}
	p.Records = append(p.Records, cpio.StaticFile(target, string(b), 0o755))
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	for _, s := range f.Progs {
		if s.Type != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(s.Open())
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := p.addLoader(strings.TrimRight(string(loader), "\x00")); err != nil {
			return err
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, lib := range needed {
		if strings.HasPrefix(lib, "ld-linux") {
			continue // it is there as the loader
		}
		if err := p.addLibrary(lib); err != nil {
			return fmt.Errorf("%w, which %s needs", err, name)
		}
	}
	return nil
}

// addLoader adds the dynamic loader under the name that programs ask for.
func (p *Programs) addLoader(name string) error {
	name = strings.TrimPrefix(name, "/")
	if p.have[name] {
		return nil
	}
	p.have[name] = true
	b, err := p.read(path.Join("usr", name))
	if err != nil {
		return err
	}
	p.Records = append(p.Records, cpio.StaticFile(name, string(b), 0o755))
	return nil
}

// addLibrary finds a library in the folders of Debian's architectures.
func (p *Programs) addLibrary(lib string) error {
	for _, tree := range p.Trees {
		found, err := filepath.Glob(filepath.Join(tree, "usr/lib/*-linux-gnu", lib))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			rel, err := filepath.Rel(tree, found[0])
			if err != nil {
				return err
			}
			return p.Add(rel)
		}
	}
	return fmt.Errorf("find library %s: it is in no package of the group %q of bee.lock", lib, p.Group)
}

// read finds a file in the packages; links are followed.
func (p *Programs) read(name string) ([]byte, error) {
	for _, tree := range p.Trees {
		b, err := os.ReadFile(filepath.Join(tree, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return b, err
	}
	return nil, fmt.Errorf("find %s: it is in no package of the group %q of bee.lock", name, p.Group)
}

// Write writes the records and their folders as a newc archive, in the order of
// their names.
func (p *Programs) Write(w io.Writer) error {
	sort.Slice(p.Records, func(i, j int) bool { return p.Records[i].Name < p.Records[j].Name })
	c := cpio.Newc.Writer(w)
	if err := cpio.WriteRecordsAndDirs(c, p.Records); err != nil {
		return fmt.Errorf("write programs: %w", err)
	}
	if err := cpio.WriteTrailer(c); err != nil {
		return fmt.Errorf("write programs: %w", err)
	}
	return nil
}
