package bbmain

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCalledAs(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("bb", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"ls": "bb", "abs": filepath.Join(dir, "bb"), "two": "ls", "dangling": "nothing"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for arg, want := range map[string]string{
		"ls": "ls", "./ls": "ls", dir + "/ls": "ls", dir + "/abs": "abs", "dangling": "dangling",
		"bb": "bb", "-sh": "-sh", "found-in-the-path": "found-in-the-path",
		"two": "", dir + "/two": "", // main finds out
		"": "", "/": "",
	} {
		if got := calledAs([]string{arg, "-l"}); got != want {
			t.Errorf("%q: called as %q, want %q", arg, got, want)
		}
	}
	if got := calledAs(nil); got != "" {
		t.Errorf("no arguments: %q", got)
	}
}

func TestRegistered(t *testing.T) {
	for _, n := range []string{"b", "a"} {
		Register(n, Noop, func() { t.Error("it ran") })
	}
	if got := ListCmds(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
	if err := Run("c"); !errors.Is(err, ErrNotRegistered) || err.Error() != "command is not present in busybox: c" {
		t.Errorf("%v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second command of that name was taken")
		}
	}()
	Register("a", Noop, Noop)
}
