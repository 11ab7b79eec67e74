package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestContent(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	image := append(make([]byte, 3*block), "the end"...)
	copy(image, "the beginning")
	for name, text := range map[string][]byte{"a": []byte("x"), "b/image": image, "b/empty": nil} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := readFiles(from)
	if err != nil {
		t.Fatal(err)
	}
	if c.size() != int64(len(image))+1 || c.largest() != filepath.Join("b", "image") {
		t.Errorf("%d bytes, the largest is %s", c.size(), c.largest())
	}
	if err := c.write(to); err != nil {
		t.Fatal(err)
	}
	again, err := readFiles(to)
	if err != nil || len(again) != 3 {
		t.Fatalf("%d files, %v", len(again), err)
	}
	for name := range c {
		if !bytes.Equal(c[name], again[name]) {
			t.Errorf("%s is not the same", name)
		}
	}
	if _, err := readFiles(t.TempDir()); err == nil {
		t.Error("an empty folder was taken for an image")
	}
}

func TestEmptyCaches(t *testing.T) {
	full, dir := t.TempDir(), filepath.Join(t.TempDir(), "caches")
	t.Setenv("BEE_CACHE", full)
	if err := os.MkdirAll(filepath.Join(full, "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full, "sha256", "download"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time, what the first build left is gone
		env, err := emptyCaches(dir)
		if err != nil {
			t.Fatal(err)
		}
		bee := filepath.Join(dir, "bee")
		if len(env) != 2 || env[0] != "BEE_CACHE="+bee || env[1] != "GOCACHE="+filepath.Join(dir, "go") {
			t.Errorf("environment %q", env)
		}
		list, err := os.ReadDir(bee)
		if err != nil || len(list) != 1 {
			t.Errorf("%d things in the cache, %v", len(list), err)
		}
		if _, err := os.Stat(filepath.Join(bee, "sha256/download")); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(bee, "built"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(full, "sha256/download")); err != nil {
		t.Error("a download is gone: ", err)
	}
}

func TestUserTable(t *testing.T) {
	got := userTable([]asUser{{family: "iso", arch: "arm64", cold: 90 * time.Second, warm: 2 * time.Second, again: time.Second / 2, bytes: 123}})
	if !strings.Contains(got, "  iso arm64                   90.00 s  2.00 s  0.50 s           123\n") {
		t.Error(got)
	}
}

// A family's own part of the caches goes; what was there before it, and every
// download, stays.
func TestForgetAllBut(t *testing.T) {
	dir := t.TempDir()
	put := func(name string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("bee/programs/one/bb")
	known, err := entries(dir)
	if err != nil || len(known) != 1 {
		t.Fatal(known, err)
	}
	put("bee/grub/core.img")
	put("bee/sha256/download")
	if err := forgetAllBut(dir, known); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{"programs/one/bb": true, "sha256/download": true, "grub/core.img": false} {
		if _, err := os.Stat(filepath.Join(dir, "bee", name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every family of an architecture is timed once, after what it is made of.
func TestPartsFirst(t *testing.T) {
	got := partsFirst([]string{"iso", "kernel-initrd", "raw"})
	if strings.Join(got, " ") != "kernel-initrd iso raw" {
		t.Error(got)
	}
}
