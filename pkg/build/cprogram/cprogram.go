// Package cprogram compiles bee's own programs that need cgo and glibc: those
// of the compat root. Go comes from the host, the C compiler and the C library
// from the sandbox, so that the host needs neither and the bytes are the same
// everywhere.
//
// os/exec is the job here: the Go tool says where it lies.
package cprogram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// Where things lie inside the sandbox. They are part of nothing that is
// written: the compiler is told to leave them out.
const (
	insideGo      = "/goroot"
	insideModules = "/gomod"
	insideSource  = "/src"
	insideCache   = "/cache"
	insideOut     = "/out"
)

// Config is what is compiled.
type Config struct {
	Root     string   // folder of the module
	Packages []string // relative to it: ./cmds/standalone/nvmlreport
	Arch     string   // GOARCH, which must be the host's
	Cache    string   // folder
	Box      *sandbox.Sandbox
	Progress io.Writer
}

// Build writes the programs into the folder out, each under the name of its
// package's folder.
func Build(ctx context.Context, c Config, out string) error {
	for _, p := range c.Packages {
		fmt.Fprintf(c.Progress, "compile %s with cgo\n", filepath.Base(p))
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid= -linkmode=external -extldflags=-Wl,--build-id=none", "-o", insideOut + "/"}, c.Packages...)
	if err := c.tool(ctx, out, nil, args...); err != nil {
		return fmt.Errorf("compile programs with cgo: %w", err)
	}
	return nil
}

// Test runs the tests of the packages where a C compiler is, whether or not the
// host has one, and lets none of them be left out. What they say goes to said.
func Test(ctx context.Context, c Config, said io.Writer) error {
	return c.tool(ctx, "", said, append([]string{"test", "-count=1"}, c.Packages...)...)
}

// tool runs the Go tool inside the sandbox.
func (c Config) tool(ctx context.Context, out string, said io.Writer, args ...string) error {
	env, err := c.host(ctx)
	if err != nil {
		return err
	}
	cache := filepath.Join(c.Cache, "go-cgo")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	step := sandbox.Step{
		Args: append([]string{insideGo + "/bin/go"}, args...), Dir: insideSource, Stdout: said,
		Env: []string{
			"CGO_ENABLED=1", "CC=gcc-14", "GOOS=linux", "GOARCH=" + c.Arch, "GOAMD64=v1", "GOARM64=v8.0", "GOROOT=" + insideGo,
			"GOMODCACHE=" + insideModules, "GOCACHE=" + insideCache, "GOFLAGS=-mod=readonly", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off",
			"GOTOOLCHAIN=local", "GOENV=off", "GOTELEMETRY=off", "BEE_NO_SKIP=1", "PATH=" + insideGo + "/bin:" + sandbox.Path,
		},
		Ro: []sandbox.Bind{{Host: env.GOROOT, Path: insideGo}, {Host: env.GOMODCACHE, Path: insideModules}, {Host: c.Root, Path: insideSource}},
		Rw: []sandbox.Bind{{Host: cache, Path: insideCache}},
	}
	if out != "" {
		step.Rw = append(step.Rw, sandbox.Bind{Host: out, Path: insideOut})
	}
	return c.Box.Run(ctx, step)
}

// places are where the host's Go keeps things.
type places struct{ GOROOT, GOMODCACHE, GOHOSTARCH string }

// host asks the Go tool of the host, and lets it fetch the modules that the
// packages need: inside there is no network.
func (c Config) host(ctx context.Context) (places, error) {
	text, err := c.run(ctx, "env", "-json", "GOROOT", "GOMODCACHE", "GOHOSTARCH")
	if err != nil {
		return places{}, err
	}
	var p places
	if err := json.Unmarshal(text, &p); err != nil {
		return places{}, fmt.Errorf("read go env: %w", err)
	}
	if p.GOHOSTARCH != c.Arch {
		return places{}, fmt.Errorf("compile programs with cgo for %s: this machine is %s; build on one of that kind", c.Arch, p.GOHOSTARCH)
	}
	if p.GOROOT == "" || p.GOMODCACHE == "" {
		return places{}, errors.New("ask Go where it lies: go env names no GOROOT or GOMODCACHE; is Go whole?")
	}
	_, err = c.run(ctx, append([]string{"list", "-deps", "-test", "-f={{.ImportPath}}"}, slices.DeleteFunc(slices.Clone(c.Packages), func(p string) bool { return strings.HasPrefix(p, "-") })...)...)
	return p, err
}

func (c Config) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=", "GOWORK=off", "GOARCH="+c.Arch, "GOOS=linux")
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, said.Bytes())
	}
	return text, nil
}
