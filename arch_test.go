// Package bee_test holds the rules of the architecture: who may import whom,
// and what may stand where. Each rule says why it is there, and each is tried
// on a tiny tree that breaks it, so that no rule can pass by looking away.
package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/bee-os/bee"

// tree is what the rules look at.
type tree struct {
	packages []goPackage
	fsys     fs.FS // the repository
}

// goPackage is what go list -json says of one of our packages.
type goPackage struct {
	ImportPath string
	Imports    []string // direct
	Deps       []string // everything, transitively
}

// name is the import path below the module.
func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// rule is one line of the architecture. check returns what breaks it; broken is
// a tree in which it must find something, and in the words of finds.
type rule struct {
	name   string
	reason string
	check  func(tree) ([]string, error)
	broken tree
	finds  string
}

var rules = []rule{
	{"shared packages are pure", "builder and node both hold them: what touches a kernel, a process or a network belongs to one side",
		sharedPure, onePackage("pkg/kmod", "golang.org/x/sys/unix"), "pkg/kmod reaches golang.org/x/sys/unix"},
	{"node and build never meet", "the builder's disk and downloads have no place in an image, the node's kernel none on a build host",
		neverMeet, onePackage("cmds/node/audit", module+"/pkg/build/lock"), "cmds/node/audit reaches pkg/build/lock"},
	{"sole importers", "a library that one package hides can be replaced, and costs nobody else its size",
		soleImporters, onePackage("pkg/node/shell", "golang.org/x/crypto/ssh"), "pkg/node/shell imports golang.org/x/crypto/ssh"},
	{"PID 1 is small", "a panic or a hole in PID 1 takes the machine: nothing that parses bytes from the network runs in it",
		pid1Small, onePackage("cmds/standalone/init", "net/http"), "cmds/standalone/init reaches net/http"},
	{"the node has no HTTP", "nothing is fetched at boot, and net/http alone is megabytes in the RAM of every machine",
		nodeNoHTTP, onePackage("cmds/node/audit", "net/http"), "cmds/node/audit reaches net/http"},
	{"os/exec where processes are the job", "PID 1 owns wait4(-1) and the builder owns its tools: a process from anywhere else is one that nobody expects",
		execListed, onePackage("pkg/node/audit", "os/exec"), "pkg/node/audit imports os/exec"},
	{"one package comment", "one place says what a package is for, and go doc shows it whole",
		packageComments, oneFile("pkg/a/a.go", "package a\n"), "pkg/a has 0 package comments"},
	{"no func init", "in a busybox binary every imported init runs for every command, PID 1 included",
		noInit, oneFile("pkg/a/a.go", "package a\n\nfunc init() {}\n"), "pkg/a/a.go: func init"},
	{"no replace", "what go.sum pins is what is built, here and in a fork",
		noReplace, oneFile("go.mod", "module m\n\nreplace example.org/a => ../a\n"), "go.mod: replace example.org/a"},
	{"files are short", "500 lines is more than one thing",
		filesShort, oneFile("pkg/a/a.go", "package a\n"+strings.Repeat("//\n", 500)), "pkg/a/a.go has 501 lines"},
	{"names say what is inside", "util and its kin collect what nobody placed",
		namesSay, oneFile("pkg/util/a.go", "package util\n"), "pkg/util/a.go"},
	{"the house has these rooms", "what lies at the top level by accident is shipped by accident",
		topLevel, oneFile("sources.list", "deb\n"), "sources.list"},
	{"the README's tables are the code's", "people set parameters and keys from the README",
		readmeTable, oneFile("README.md", "<!-- bootparam -->\n| parameter | meaning |\n<!-- /bootparam -->"), "README.md"},
	{"every name fetched is locked", "a group without an entry fails on the first build with an empty cache, not here",
		namesLocked, oneFile("pkg/build/a/a.go", "package a\n\nvar _ = l.Group(\"kernal\", \"amd64\")\n"), `"kernal"`},
	{"no URL and no digest outside bee.lock", "an input that the lock does not name is not pinned",
		nothingUnlocked, oneFile("pkg/build/a/a.go", "package a\n\nconst u = \"https://example.org/x.tar\"\n"), "https://example.org/x.tar"},
	{"data folders hold no digest either", "an input that the lock does not name is not pinned",
		nothingUnlocked, oneFile("initramfs/a.manifest", "Fetch: "+strings.Repeat("ab", 32)+"\n"), "initramfs/a.manifest"},
}

// onePackage is a tree with one package that imports one other.
func onePackage(name, imports string) tree {
	return tree{
		packages: []goPackage{{ImportPath: module + "/" + name, Imports: []string{imports}, Deps: []string{imports}}},
		fsys:     fstest.MapFS{},
	}
}

// oneFile is a tree with one file, and a lock that names nothing.
func oneFile(name, text string) tree {
	return tree{fsys: fstest.MapFS{name: {Data: []byte(text)}}}
}

func TestArchitecture(t *testing.T) {
	packages, err := listPackages()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 50 {
		t.Fatalf("go list names %d packages: is this the module's root?", len(packages))
	}
	whole := tree{packages, os.DirFS(".")}
	count := 0
	if err := goFiles(whole, func(string, *ast.File) { count++ }); err != nil || count < 200 {
		t.Fatalf("%d Go files, %v: is this the module's root?", count, err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			found, err := r.check(whole)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				t.Errorf("%s\n\tthe rule: %s, because %s", f, r.name, r.reason)
			}
		})
	}
}

// TestRulesCanFail tries each rule on a tree that breaks it.
func TestRulesCanFail(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			found, err := r.check(r.broken)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, r.finds) }) {
				t.Errorf("the rule found %q; want something about %q", found, r.finds)
			}
		})
	}
}

// listPackages asks the Go tool, as the node is built: for Linux, without cgo.
func listPackages() ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var list []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("parse go list: %w", err)
		}
		list = append(list, p)
	}
}
