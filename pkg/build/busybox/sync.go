package busybox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// stamp says what the generated sources were made of. Where only the bodies of
// dependencies changed, copying them is enough; all else is generated anew.
type stamp struct {
	Shape string            // digest of what only gobusybox can act on
	Files map[string]string // dependency file of our module, relative to Root → digest
}

// generate brings Dir/gen up to date with the sources.
func (p Program) generate() error {
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return err
	}
	gen, stampFile := filepath.Join(p.Dir, "gen"), filepath.Join(p.Dir, "stamp.json")
	old := readStamp(stampFile)
	dirs, err := p.dependencyDirs(gen)
	if err == nil && len(dirs) > 0 && old.Shape != "" {
		now, err := p.stamp(dirs)
		if err == nil && now.Shape == old.Shape {
			return p.copyChanged(gen, stampFile, old, now)
		}
	}
	return p.regenerate(gen, stampFile)
}

// regenerate makes everything anew beside the old sources and puts in place
// what differs, so that an interrupted run leaves no half of either.
func (p Program) regenerate(gen, stampFile string) error {
	if err := os.Remove(stampFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next := filepath.Join(p.Dir, "next")
	for _, d := range []string{next, gen} {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	if err := p.rewrite(next); err != nil {
		return err
	}
	if err := os.Rename(next, gen); err != nil {
		return err
	}
	dirs, err := p.dependencyDirs(gen)
	if err != nil {
		return err
	}
	now, err := p.stamp(dirs)
	if err != nil {
		return err
	}
	// gobusybox prints its dependencies anew from their syntax trees. The
	// sources themselves take their place, so that copying one later gives the
	// same program.
	return p.copyChanged(gen, stampFile, stamp{}, now)
}

// dependencyDirs are the folders of our module, relative to Root, whose
// packages the generated program imports without rewriting them.
func (p Program) dependencyDirs(gen string) ([]string, error) {
	root := filepath.Join(gen, "src", filepath.FromSlash(p.Module))
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if !p.isCommand(rel) && !slices.Contains(dirs, rel) {
			dirs = append(dirs, rel)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return dirs, err
}

func (p Program) isCommand(rel string) bool {
	return slices.Contains(p.Commands, p.Module+"/"+filepath.ToSlash(rel))
}

// stamp computes the digests of what is there now. dirs are the dependencies
// as they were last generated; a new one shows as a changed import.
func (p Program) stamp(dirs []string) (stamp, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %q %q %x %x\n", runtime.Version(), p.Arch, p.Commands, p.First, sha256.Sum256(bbmainSource), sha256.Sum256(orderSource))
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(p.Root, name))
		if err != nil {
			return stamp{}, err
		}
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(b))
	}
	for _, c := range p.Commands {
		rel, ours := strings.CutPrefix(c, p.Module+"/")
		if !ours {
			continue
		}
		err := eachFile(p.Root, rel, func(name string, text []byte) error {
			fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(text))
			return nil
		})
		if err != nil {
			return stamp{}, err
		}
	}
	files := make(map[string]string)
	for _, dir := range dirs {
		err := eachFile(p.Root, dir, func(name string, text []byte) error {
			sum := sha256.Sum256(text)
			files[name] = hex.EncodeToString(sum[:])
			if !strings.HasSuffix(name, ".go") {
				fmt.Fprintf(h, "%s %x\n", name, sum) // embedded, maybe
				return nil
			}
			head, err := header(text)
			if err != nil {
				return fmt.Errorf("parse %s: %w", name, err)
			}
			fmt.Fprintf(h, "%s %s\n", name, head)
			return nil
		})
		if err != nil {
			return stamp{}, err
		}
	}
	return stamp{Shape: hex.EncodeToString(h.Sum(nil)), Files: files}, nil
}

// eachFile calls f for the files of a package's folder, tests left out.
func eachFile(root, dir string, f func(name string, text []byte) error) error {
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, dir, e.Name()))
		if err != nil {
			return err
		}
		if err := f(filepath.Join(dir, e.Name()), text); err != nil {
			return err
		}
	}
	return nil
}

// header is what decides which files and packages take part: build
// constraints, package clause, imports, embeds.
func header(text []byte) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), "", text, parser.ImportsOnly|parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(f.Name.Name)
	for _, i := range f.Imports {
		b.WriteString(" " + i.Path.Value)
	}
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("//go:build")) || bytes.HasPrefix(line, []byte("//go:embed")) {
			b.Write(bytes.TrimRight(line, "\n"))
		}
	}
	return b.String(), nil
}

// copyChanged copies the dependency files that differ from old and writes the
// stamp last.
func (p Program) copyChanged(gen, stampFile string, old, now stamp) error {
	for name, sum := range now.Files {
		dst := filepath.Join(gen, "src", filepath.FromSlash(p.Module), name)
		if old.Files[name] == sum || !strings.HasSuffix(name, ".go") {
			continue
		}
		if _, err := os.Stat(dst); errors.Is(err, fs.ErrNotExist) {
			continue // left out by a build constraint
		}
		text, err := os.ReadFile(filepath.Join(p.Root, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, text, 0o644); err != nil {
			return err
		}
	}
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return os.WriteFile(stampFile, b, 0o644)
}

func readStamp(name string) stamp {
	var s stamp
	if b, err := os.ReadFile(name); err == nil && json.Unmarshal(b, &s) != nil {
		return stamp{} // a broken stamp is none
	}
	return s
}
