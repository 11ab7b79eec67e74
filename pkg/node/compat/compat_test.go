package compat

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestArgs(t *testing.T) {
	root := fstest.MapFS{
		"usr/lib/bee/compat/bin/nvidia-smi":           {},
		"usr/lib/bee/compat/lib/ld-linux-x86-64.so.2": {},
	}
	got, err := Args(root, "nvidia-smi", "-L")
	want := []string{"/usr/lib/bee/compat/lib/ld-linux-x86-64.so.2", "--argv0", "nvidia-smi",
		"--library-path", "/usr/lib/bee/compat/lib", "/usr/lib/bee/compat/bin/nvidia-smi", "-L"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Args(root, "storcli64"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "storcli64") {
		t.Error(err)
	}
	delete(root, "usr/lib/bee/compat/lib/ld-linux-x86-64.so.2")
	if _, err := Args(root, "nvidia-smi"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "ld-linux") {
		t.Error(err)
	}
}
