package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// helperPackage is the program that enters the sandbox.
const helperPackage = "github.com/bee-os/bee/cmds/host/beebox"

// helperSource is what the helper is made of; its digest names the compiled
// program in the cache.
//
//go:embed enter/*.go
var helperSource embed.FS

// buildHelper compiles the helper into the cache, once for each state of its
// source, and returns its path. The Go tool and bee's source must be there, as
// they are for every build.
func buildHelper(ctx context.Context, cache string) (string, error) {
	key, err := helperKey(helperSource)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, "beebox-"+key)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("build sandbox helper: %w", err)
	}
	tmp, err := os.MkdirTemp(cache, ".beebox-")
	if err != nil {
		return "", fmt.Errorf("build sandbox helper: %w", err)
	}
	built := filepath.Join(tmp, "beebox")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", built, helperPackage)
	// The helper runs on this machine, whatever the builder builds for.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	if err == nil {
		err = os.Rename(built, file)
	}
	if e := os.RemoveAll(tmp); err == nil {
		err = e
	}
	if err != nil {
		return "", fmt.Errorf("build sandbox helper %s: %w (run in bee's checkout, with go in PATH)\n%s", helperPackage, err, stderr.Bytes())
	}
	return file, nil
}

// helperKey is a digest of the helper's source, of x/sys and of the compiler.
func helperKey(source fs.FS) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "golang.org/x/sys" {
				fmt.Fprintln(h, d.Path, d.Version, d.Sum)
			}
		}
	}
	err := fs.WalkDir(source, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := fs.ReadFile(source, path)
		if err != nil {
			return err
		}
		fmt.Fprintln(h, path, len(b))
		h.Write(b)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read source of sandbox helper: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}
