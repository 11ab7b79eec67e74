package compat

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
)

// pinned are the packages of groups of the real lock.
func pinned(t *testing.T, groups ...string) []Tree {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	store := debian.NewStore(f)
	var trees []Tree
	for _, g := range groups {
		entries := l.Group(g, "amd64")
		dirs, err := store.Trees(t.Context(), entries)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range dirs {
			trees = append(trees, Tree{entries[i].Name, d})
		}
	}
	return trees
}

func smi(t *testing.T, trees []Tree) string {
	t.Helper()
	for _, tree := range trees {
		file := filepath.Join(tree.Dir, "usr/lib/nvidia/current/nvidia-smi")
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	t.Fatal("no package has nvidia-smi")
	return ""
}

// The loader of the root itself is the judge: it finds every library of every
// file there, and none elsewhere.
func TestRootIsWhole(t *testing.T) {
	trees := pinned(t, "nvidia", "compat")
	files, err := Build(Config{Machine: elf.EM_X86_64, Trees: trees, Programs: map[string]string{"nvidia-smi": smi(t, trees)},
		Libraries: []string{"libnvidia-ml.so.1", "libcuda.so.1", "libnvidia-ptxjitcompiler.so.1"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimPrefix(f.Path, bom.CompatDir+"/"))
		to := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if f.Link != "" {
			err = os.Symlink(f.Link, to)
		} else {
			err = os.Symlink(f.Source, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"bin/nvidia-smi", "lib/ld-linux-x86-64.so.2", "lib/libc.so.6", "lib/libcuda.so.1", "lib/libnvidia-ml.so.1"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not there: %q", want, names)
		}
	}
	lib := filepath.Join(dir, bom.CompatDir, "lib")
	for _, f := range files {
		if f.Link != "" || strings.Contains(f.Path, "ld-linux") {
			continue
		}
		out, err := exec.CommandContext(t.Context(), filepath.Join(lib, "ld-linux-x86-64.so.2"), "--inhibit-cache", "--library-path", lib, "--list", filepath.Join(dir, f.Path)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", f.Path, err, out)
		}
		for line := range strings.Lines(string(out)) {
			_, where, ok := strings.Cut(line, "=>")
			if ok && !strings.Contains(where, dir) {
				t.Errorf("%s finds a library outside the root: %s", f.Path, line)
			}
		}
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	trees := pinned(t, "nvidia", "compat")
	program := smi(t, trees)
	without := slices.DeleteFunc(slices.Clone(trees), func(x Tree) bool { return x.Package == "libc6" })
	_, err := Build(Config{Machine: elf.EM_X86_64, Trees: without, Programs: map[string]string{"nvidia-smi": program}})
	if err == nil || !strings.Contains(err.Error(), "nvidia-smi needs the library libc.so.6") {
		t.Error(err)
	}
	_, err = Build(Config{Machine: elf.EM_X86_64, Trees: trees, Libraries: []string{"libnothing.so.7"}})
	if err == nil || !strings.Contains(err.Error(), "libnothing.so.7") {
		t.Error(err)
	}
	_, err = Build(Config{Machine: elf.EM_AARCH64, Trees: trees, Programs: map[string]string{"nvidia-smi": program}})
	if err == nil || !strings.Contains(err.Error(), "EM_X86_64") {
		t.Error(err)
	}
	text := filepath.Join(t.TempDir(), "storcli64")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Build(Config{Machine: elf.EM_X86_64, Trees: trees, Programs: map[string]string{"storcli64": text}})
	if err == nil || !strings.Contains(err.Error(), "storcli64") {
		t.Error(err)
	}
}

// A program that was made for a newer glibc than the one that is pinned would
// stop at its start; the build says so instead.
func TestSymbolVersions(t *testing.T) {
	trees := pinned(t, "nvidia", "compat")
	b := &builder{Config: Config{Machine: elf.EM_X86_64}, index: make(map[string]*library), have: make(map[string]bool)}
	for _, tree := range trees {
		if err := b.read(tree); err != nil {
			t.Fatal(err)
		}
	}
	delete(b.index["libc.so.6"].provides, "GLIBC_2.2.5")
	b.program("nvidia-smi", smi(t, trees), true)
	if len(b.errs) == 0 || !strings.Contains(b.errs[0].Error(), "GLIBC_2.2.5 of libc.so.6") {
		t.Error(b.errs)
	}
}
