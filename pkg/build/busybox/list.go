package busybox

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"strings"
)

// List names the commands below an import path, such as
// github.com/u-root/u-root/cmds/core, by the last part of theirs. root is the
// module whose go.mod decides the version.
func List(ctx context.Context, root, below string) ([]string, error) {
	text, err := goTool(ctx, root, "list", "-e", "-find", "-f={{.ImportPath}}", below+"/...")
	if err != nil {
		return nil, fmt.Errorf("list the commands of %s: %w", below, err)
	}
	var names []string
	for line := range strings.Lines(text) {
		if p := strings.TrimSpace(line); path.Dir(p) == below {
			names = append(names, path.Base(p))
		}
	}
	return names, nil
}

// Resolve says whether all that the commands import is among the modules that
// go.sum knows; where it is not, the error says how to add it.
func Resolve(ctx context.Context, root string, commands []string) error {
	if len(commands) == 0 {
		return nil
	}
	if _, err := goTool(ctx, root, append([]string{"list", "-deps", "-f={{.ImportPath}}"}, commands...)...); err != nil {
		return fmt.Errorf("find what the commands import: %w\nadd what is missing with `go get -tool %s`", err, strings.Join(commands, " "))
	}
	return nil
}

func goTool(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = root, append(Env("amd64"), "GOFLAGS=-mod=readonly")
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return string(text), nil
}
