package folderlock

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// when does something when it is told that somebody waits.
type when struct {
	waiting func()
	said    bytes.Buffer
}

func (w *when) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "waiting for it") {
		w.waiting()
	}
	return w.said.Write(p)
}

// The second waits for the first, and says so; it gives up when it is told to.
func TestTake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	unlock, err := Take(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := &when{waiting: cancel}
	if _, err := Take(ctx, dir, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("%v\n%s", err, &stop.said)
	}
	free := &when{waiting: func() {
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}}
	if unlock, err = Take(t.Context(), dir, free); err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("the lock left %v, %v", list, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(t.Context(), file, io.Discard); err == nil {
		t.Error("a file was locked")
	}
}
