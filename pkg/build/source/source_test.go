package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	dir := t.TempDir()
	if got, err := Of(t.Context(), dir); err != nil || got != (State{}) {
		t.Fatalf("a folder: %+v, %v", got, err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run("init", "-q")
	if _, err := Of(t.Context(), dir); err == nil {
		t.Error("a repository without a commit has one")
	}
	write("a", "1")
	write(".gitignore", "images\n")
	run("add", ".")
	run("commit", "-q", "-m", "first")
	head := run("rev-parse", "HEAD")
	is := func(what string, clean bool) {
		t.Helper()
		if got, err := Of(t.Context(), dir); err != nil || got.Commit != head || got.Clean != clean {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	is("just committed", true)
	write("images", "ignored")
	is("with an ignored file", true)
	write("b", "new")
	is("with a new file", false)
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	write("a", "2")
	is("changed", false)
}
