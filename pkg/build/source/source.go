// Package source says which commit a checkout is at. os/exec is the job here:
// git is asked, which is one of the two programs that the builder needs.
package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// State is where a checkout stands.
type State struct {
	Commit string // 40 or 64 hexadecimal digits; empty: it is no git checkout
	Clean  bool   // nothing differs from the commit, and no file is there that git neither knows nor ignores
}

// Of asks git about the checkout with the root root. A folder that is no
// checkout, such as an unpacked archive, has no commit, which is no error.
func Of(ctx context.Context, root string) (State, error) {
	if _, err := os.Stat(filepath.Join(root, ".git")); errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	commit, err := git(ctx, root, "rev-parse", "--verify", "HEAD")
	if err != nil {
		return State{}, err
	}
	changes, err := git(ctx, root, "status", "--porcelain", "--untracked-files=normal")
	if err != nil {
		return State{}, err
	}
	return State{Commit: strings.TrimSpace(commit), Clean: changes == ""}, nil
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	// The checkout may belong to another user, such as in a container; that git
	// runs no hook or helper of it is what the last two settings are for.
	args = append([]string{"-C", root, "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ask git about %s: %w: %s", root, err, bytes.TrimSpace(said.Bytes()))
	}
	return out.String(), nil
}
