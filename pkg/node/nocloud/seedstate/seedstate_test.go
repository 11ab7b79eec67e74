package seedstate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadWrite(t *testing.T) {
	root := t.TempDir()
	if _, err := Read(os.DirFS(root)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	if err := (State{Device: "vdb", Hostname: "web1", Keys: []string{"SHA256:x"}}).Write(root); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(os.DirFS(root)); err != nil || s.Hostname != "web1" || s.Device != "vdb" || len(s.Keys) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for text, want := range map[string]string{"{": "unexpected end", `{"hostname":"a b"}`: "no place in a host name"} {
		if err := os.WriteFile(filepath.Join(root, Path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(os.DirFS(root)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWatch(t *testing.T) {
	root := t.TempDir()
	if err := watchHostname(t.Context(), root, nil); err == nil {
		t.Error("a folder that is not there was watched")
	}
	write := func(name string) {
		if err := (State{Hostname: name}).Write(root); err != nil {
			t.Error(err)
		}
	}
	write("first")
	ctx, cancel := context.WithCancel(t.Context())
	names := make(chan string)
	done := make(chan error)
	go func() { done <- watchHostname(ctx, root, func(n string) { names <- n }) }()
	if n := <-names; n != "first" {
		t.Errorf("at the start: %q", n)
	}
	if err := os.WriteFile(filepath.Join(root, "run/bee/else"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "run/bee/else"), filepath.Join(root, "run/bee/other")); err != nil {
		t.Fatal(err)
	}
	write("first")
	write("second")
	if n := <-names; n != "second" {
		t.Errorf("after a change: %q", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
