// Package busybox compiles many Go commands into one program, through u-root's
// gobusybox. Its own builder passes -a to the compiler and makes everything
// anew (half a minute); here the sources are generated into a folder that
// stays, are brought up to date file by file, and Go's build cache does the
// rest. The bytes are the same either way: what a step leaves behind depends on
// the sources alone.
//
// os/exec is the job here: the compiler is a process.
package busybox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/u-root/gobusybox/src/pkg/bb"
	"github.com/u-root/gobusybox/src/pkg/golang"
	"github.com/u-root/uio/ulog"
)

// Program is one busybox to be made.
type Program struct {
	Root     string   // folder of the module whose go.mod decides every version
	Module   string   // its path, such as github.com/bee-os/bee
	Commands []string // import paths of the commands
	First    []string // those among them whose start matters most: what others import is initialised after what they do
	Arch     string   // GOARCH
	Dir      string   // where generated sources are kept; nobody else writes there
}

// Build writes the program to out. A failure shows what the compiler said.
func (p Program) Build(ctx context.Context, out string) error {
	if err := p.generate(); err != nil {
		return fmt.Errorf("generate busybox: %w", err)
	}
	gopath := filepath.Join(p.Dir, "gen")
	env := append(Env(p.Arch), "GO111MODULE=off", "GOPATH="+gopath)
	return Compile(ctx, filepath.Join(gopath, "src/bb.u-root.com/bb"), env, out, Package{Path: "."})
}

// Env is the environment in which programs of the node are compiled: the
// pinned toolchain, no cgo, nothing of the user's own flags.
func Env(arch string) []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOTOOLCHAIN=local")
}

// linkerFlags leave out what differs between two builds and what no machine needs.
const linkerFlags = "-s -w -buildid="

// Package is a package to be compiled.
type Package struct {
	Path  string
	Entry string // symbol that the program begins with instead of Go's own (cmd/link, -E); empty: that
}

// Compile runs go build so that the same sources give the same bytes, wherever
// they lie.
func Compile(ctx context.Context, dir string, env []string, out string, pkgs ...Package) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=" + linkerFlags}
	var paths []string
	for _, p := range pkgs {
		paths = append(paths, p.Path)
		if p.Entry != "" {
			args = append(args, "-ldflags="+p.Path+"="+linkerFlags+" -E "+p.Entry)
		}
	}
	args = append(append(args, "-o", out), paths...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, env
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(paths, " "), err, said.Bytes())
	}
	return nil
}

// rewrite lets gobusybox generate everything into the empty folder dst.
func (p Program) rewrite(dst string) error {
	env := golang.Default(golang.DisableCGO(), golang.WithGOARCH(p.Arch))
	env.GOOS = "linux"
	env.Dir = p.Root
	env.GO111MODULE = "on"
	err := bb.BuildBusybox(ulog.Null, &bb.Opts{
		Env:          env,
		GenSrcDir:    dst,
		CommandPaths: p.Commands,
		GenerateOnly: true,
	})
	if err != nil {
		return err
	}
	if err := p.order(filepath.Join(dst, "src")); err != nil {
		return err
	}
	return setDefaults(filepath.Join(dst, "src/bb.u-root.com/bb/main.go"))
}

// setDefaults makes the program behave as the module's Go version says. Without
// go.mod in sight, the compiler would choose the settings of an old one.
func setDefaults(main string) error {
	text, err := os.ReadFile(main)
	if err != nil {
		return err
	}
	i := bytes.Index(text, []byte("package main"))
	if i < 0 {
		return fmt.Errorf("%s has no package clause", main)
	}
	with := append([]byte("//go:debug default=go1.26\n\n"), text[i:]...)
	return os.WriteFile(main, with, 0o644)
}
