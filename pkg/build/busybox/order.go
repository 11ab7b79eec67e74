package busybox

import (
	_ "embed"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:embed bbmain/bbmain.go
var bbmainSource []byte

// orderSource is this file: what is generated depends on it.
//
//go:embed order.go
var orderSource []byte

// orderFile is added to the generated copy of a package to have other packages
// initialised before it.
const orderFile = "bee_order.go"

// order puts bbmain in its place and makes the packages that the commands of
// First need be initialised before all that they do not need, in that order.
// Go's own order is that of the import paths among those whose imports are
// initialised (Go specification, Package initialization); an import of the
// command, written into the generated copies of the packages that it does not
// need itself, comes before it. Only those get one that import no other of them:
// whatever else imports them comes after them anyway, and each is compiled anew
// whenever the command is. src is the generated tree.
func (p Program) order(src string) error {
	if err := os.WriteFile(filepath.Join(src, "bb.u-root.com/bb/pkg/bbmain/register.go"), bbmainSource, 0o644); err != nil {
		return err
	}
	g, err := readImports(src)
	if err != nil {
		return err
	}
	before := map[string][]string{} // package → commands
	needed := map[string]bool{}
	for _, c := range p.First {
		if g[c] == nil {
			return fmt.Errorf("order the initialisation: command %s is not among the sources", c)
		}
		g.reach(c, needed)
		late := func(dir string) bool {
			return g[dir] != nil && !needed[dir] && !strings.HasPrefix(dir, "bb.u-root.com/")
		}
		for dir := range g {
			if late(dir) && !slices.ContainsFunc(g[dir].imports, late) {
				before[dir] = append(before[dir], c)
			}
		}
	}
	for dir, list := range before {
		text := "// Made by bee: these are initialised before this package.\n\npackage " + g[dir].name + "\n\nimport (\n"
		for _, c := range list {
			text += "\t_ " + strconv.Quote(c) + "\n"
		}
		if err := os.WriteFile(filepath.Join(src, filepath.FromSlash(dir), orderFile), []byte(text+")\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// imports are the packages of a tree by import path.
type imports map[string]*pkg

type pkg struct {
	name    string
	imports []string
}

func readImports(src string) (imports, error) {
	g := imports{}
	err := filepath.WalkDir(src, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") {
			return err
		}
		rel, err := filepath.Rel(src, filepath.Dir(file))
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		if g[dir] == nil {
			g[dir] = &pkg{name: f.Name.Name}
		}
		for _, i := range f.Imports {
			to, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(g[dir].imports, to) {
				g[dir].imports = append(g[dir].imports, to)
			}
		}
		return nil
	})
	return g, err
}

// reach marks a package and all that it imports.
func (g imports) reach(dir string, seen map[string]bool) {
	if seen[dir] || g[dir] == nil { // the standard library is not in the tree
		return
	}
	seen[dir] = true
	for _, i := range g[dir].imports {
		g.reach(i, seen)
	}
}
