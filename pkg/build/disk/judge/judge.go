// Package judge runs, in tests, the outside tools that say whether an image is
// right: sgdisk, fsck.fat, mtools, qemu-img and others of the lock's group
// tools-judge. Only tests import it.
package judge

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// In is where the folder given to Run lies inside the sandbox.
const In = "/in"

var box = sync.OnceValues(func() (*sandbox.Sandbox, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		return nil, err
	}
	return sandbox.Open(context.Background(), l, os.Stderr, "amd64", "tools-judge")
})

// moduleRoot finds the folder of go.mod above the test's working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find module's root: no go.mod above the working directory")
		}
	}
}

// Run runs a tool, which sees the folder dir as In and may write there, and
// returns what it says. The test fails where the tool's exit status is not 0.
func Run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	said, err := Try(t, dir, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return said
}

// Try is Run for a tool that may fail.
func Try(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	var said bytes.Buffer
	// Not Run, which gives standard error a writer of its own: two would write at
	// once.
	cmd, err := Box(t).Command(t.Context(), sandbox.Step{Args: args, Rw: []sandbox.Bind{{Host: dir, Path: In}}, Stdout: &said, Stderr: &said})
	if err == nil {
		err = cmd.Run()
	}
	return said.String(), err
}

// Box is the sandbox with the tools. A host that lets no sandbox be entered
// leaves the test out, loudly, and fails it in CI.
func Box(t testing.TB) *sandbox.Sandbox {
	t.Helper()
	b, err := box()
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}
