package main_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/config"
	"github.com/bee-os/bee/pkg/build/lock"
)

// maxLines is the hard bound on a file of Go.
const maxLines = 500

// readmeTables are the README's tables that code makes, by the name that stands
// in the comments around each.
var readmeTables = []struct {
	name string
	made func() string
}{
	{"bootparam", bootparam.Markdown},
	{"config", config.Markdown},
}

// sayNothing are names that say nothing about what is inside.
var sayNothing = []string{"util", "utils", "common", "types", "constants", "helpers", "misc"}

// dataFolders reach the builder as they are.
var dataFolders = []string{"initramfs", "kernel-config", "firmware-list", "boot", "templates"}

var (
	address = regexp.MustCompile(`\b(https?|ftp)://[a-z0-9-]+(\.[a-z0-9-]+)+[^\s"]*`)
	digest  = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
)

// typeNames are URLs that a file format or its users take for a name: they are
// written, compared, and never fetched.
var typeNames = []string{
	"https://in-toto.io/Statement/v1",     // in-toto: what the statement is
	"https://sigstore.dev/cosign/sign/v1", // cosign: what its predicate is
	"https://slsa.dev/provenance/v1",      // SLSA: what its predicate is
	"https://github.com/bee-os/bee",       // SLSA: whose build it is
}

// rooms are what stands at the top level, besides dot files and the tests of the
// architecture itself; images and vendor-tools are not git's, and bee.toml is
// there where somebody set something.
var rooms = []string{"cmds", "pkg", "initramfs", "kernel-config", "firmware-list", "boot", "templates", "go.mod", "go.sum", "mage.go", "README.md", "bee.lock", "bee.toml", "LICENSE",
	"images", "vendor-tools"}

func topLevel(t tree) ([]string, error) {
	entries, err := fs.ReadDir(t.fsys, ".")
	var found []string
	for _, e := range entries {
		name := e.Name()
		ours, err := path.Match("arch*_test.go", name)
		if err != nil {
			return nil, err
		}
		if !ours && !strings.HasPrefix(name, ".") && !slices.Contains(rooms, name) {
			found = append(found, name+" has no place at the top level")
		}
	}
	return found, err
}

// files calls f for every file of the repository that is ours to write, except
// captured data.
func files(t tree, f func(name string, text []byte) error) error {
	return fs.WalkDir(t.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || name == "images"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		text, err := fs.ReadFile(t.fsys, name)
		if err != nil {
			return err
		}
		return f(name, text)
	})
}

// goFiles calls f for every parsed Go file.
func goFiles(t tree, f func(name string, file *ast.File)) error {
	return files(t, func(name string, text []byte) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(name, file)
		return nil
	})
}

func packageComments(t tree) ([]string, error) {
	count := make(map[string]int) // by folder and package name
	err := goFiles(t, func(name string, file *ast.File) {
		key := path.Dir(name)
		if strings.HasSuffix(file.Name.Name, "_test") {
			return // an outside test needs none
		}
		if _, ok := count[key]; !ok {
			count[key] = 0
		}
		if file.Doc != nil {
			count[key]++
		}
	})
	var found []string
	for key, n := range count {
		if n != 1 {
			found = append(found, fmt.Sprintf("%s has %d package comments, want 1", key, n))
		}
	}
	slices.Sort(found)
	return found, err
}

func noInit(t tree) ([]string, error) {
	var found []string
	err := goFiles(t, func(name string, file *ast.File) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				found = append(found, name+": func init")
			}
		}
	})
	return found, err
}

func noReplace(t tree) ([]string, error) {
	text, err := fs.ReadFile(t.fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, r := range mod.Replace {
		found = append(found, "go.mod: replace "+r.Old.Path)
	}
	return found, nil
}

func filesShort(t tree) ([]string, error) {
	var found []string
	err := files(t, func(name string, text []byte) error {
		if n := strings.Count(string(text), "\n"); strings.HasSuffix(name, ".go") && n > maxLines {
			found = append(found, fmt.Sprintf("%s has %d lines, want at most %d", name, n, maxLines))
		}
		return nil
	})
	return found, err
}

func namesSay(t tree) ([]string, error) {
	var found []string
	err := files(t, func(name string, _ []byte) error {
		for _, part := range strings.Split(name, "/") {
			if slices.Contains(sayNothing, strings.TrimSuffix(part, ".go")) {
				found = append(found, name+" says nothing by its name")
			}
		}
		return nil
	})
	return found, err
}

func readmeTable(t tree) ([]string, error) {
	text, err := fs.ReadFile(t.fsys, "README.md")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, table := range readmeTables {
		begin, end := "<!-- "+table.name+" -->", "<!-- /"+table.name+" -->"
		_, rest, begins := strings.Cut(string(text), begin)
		got, _, ends := strings.Cut(rest, end)
		switch want := table.made(); {
		case !begins || !ends:
			found = append(found, "README.md has no table between "+begin+" and "+end)
		case strings.TrimSpace(got) != strings.TrimSpace(want):
			found = append(found, "README.md: the table of "+table.name+" differs; put there:\n"+want)
		}
	}
	return found, nil
}

// namesLocked looks at the groups and packages that the builder asks the lock
// for by a literal name, and at what the lock's groups want.
func namesLocked(t tree) ([]string, error) {
	l, err := lock.Load(t.fsys, lock.Name)
	if errors.Is(err, fs.ErrNotExist) {
		l, err = &lock.File{}, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, g := range l.Groups {
		for _, arch := range g.Arches {
			if len(l.Group(g.Name, arch)) == 0 {
				found = append(found, fmt.Sprintf("%s: group %s has no package for %s", lock.Name, g.Name, arch))
			}
			for _, want := range g.Want {
				if _, err := l.Get(want, arch); err != nil {
					found = append(found, fmt.Sprintf("%s: group %s: %v", lock.Name, g.Name, err))
				}
			}
		}
	}
	isGroup := func(name string) bool {
		return slices.ContainsFunc(l.Groups, func(g lock.Group) bool { return g.Name == name })
	}
	isPackage := func(name string) bool {
		return slices.ContainsFunc(l.Entries, func(e lock.Entry) bool { return e.Name == name })
	}
	err = goFiles(t, func(name string, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") || !below(name, buildSide...) {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			args := literals(call.Args)
			switch called(call) {
			case "Group", "sandbox.Open":
				for _, a := range args {
					if !isGroup(a) && a != "amd64" && a != "arm64" {
						found = append(found, fmt.Sprintf("%s asks for group %q, which %s has not", name, a, lock.Name))
					}
				}
			case "Get":
				if len(args) > 0 && len(call.Args) == 2 && !isPackage(args[0]) {
					found = append(found, fmt.Sprintf("%s asks for package %q, which %s has not", name, args[0], lock.Name))
				}
			}
			return true
		})
	})
	return found, err
}

// called is the name of a called method, or package.Function for sandbox.Open.
func called(call *ast.CallExpr) string {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := sel.X.(*ast.Ident); ok && x.Name == "sandbox" {
		return "sandbox." + sel.Sel.Name
	}
	return sel.Sel.Name
}

// literals are the string literals among arguments.
func literals(args []ast.Expr) []string {
	var out []string
	for _, a := range args {
		if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// nothingUnlocked looks at string literals of programs, comments aside, and at
// the lines of the data folders.
func nothingUnlocked(t tree) ([]string, error) {
	var found []string
	look := func(name, text string) {
		for _, hit := range append(address.FindAllString(text, -1), digest.FindAllString(text, -1)...) {
			if !slices.Contains(typeNames, hit) {
				found = append(found, fmt.Sprintf("%s names %s", name, hit))
			}
		}
	}
	err := goFiles(t, func(name string, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				look(name, lit.Value)
			}
			return true
		})
	})
	if err != nil {
		return found, err
	}
	err = files(t, func(name string, text []byte) error {
		if !below(name, dataFolders...) {
			return nil
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") {
				look(name, line)
			}
		}
		return nil
	})
	return found, err
}
