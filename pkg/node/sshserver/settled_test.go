package sshserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
)

// TestAwaitSetup: it ends with Setup, not before, and at once where that was; other
// files there do not end it.
func TestAwaitSetup(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	over := make(chan error, 1)
	go func() { over <- awaitSetup(t.Context(), dir) }()
	for _, name := range []string{"", HostKeyPath} {
		if name != "" {
			if err := os.MkdirAll(filepath.Join(dir, Dir), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := writeFile(root, name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case err := <-over:
			t.Fatalf("it did not wait for Setup: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if _, err := Setup(root, bootparam.Params{}); err != nil {
		t.Fatal(err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	if err := awaitSetup(t.Context(), dir); err != nil {
		t.Errorf("after Setup: %v", err)
	}
}

// TestAwaitSetupEnds: a server that is stopped meanwhile stops.
func TestAwaitSetupEnds(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if err := awaitSetup(ctx, t.TempDir()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestSetupThatFailsSettlesNothing: half of it lets nobody in.
func TestSetupThatFailsSettlesNothing(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.MkdirAll(filepath.Join(dir, PasswordHashPath, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Setup(root, bootparam.Params{}); err == nil {
		t.Fatal("a password hash that cannot be written is no error")
	}
	if _, err := os.Lstat(filepath.Join(dir, SettledPath)); err == nil {
		t.Error("it says that it settled who may log in")
	}
}
