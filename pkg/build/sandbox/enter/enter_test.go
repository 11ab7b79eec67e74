package enter

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSpec(t *testing.T) {
	good := Spec{Root: "/tree", Args: []string{"a"}, Dir: "/w", Binds: []Bind{{Host: "/h", Path: "/p", Write: true}}, Dev: []string{"/dev/kvm"}}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseSpec(string(text)); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Spec){
		"names no program":  func(s *Spec) { s.Args = nil },
		"tools tree":        func(s *Spec) { s.Root = "tree" },
		"working directory": func(s *Spec) { s.Dir = "w" },
		`bind "h" at "/p"`:  func(s *Spec) { s.Binds[0].Host = "h" },
		"not the root":      func(s *Spec) { s.Binds[0].Path = "/" },
		"clean paths":       func(s *Spec) { s.Binds[0].Path = "/a/../b" },
		"not below /dev":    func(s *Spec) { s.Dev = []string{"/etc/passwd"} },
	} {
		s := good
		s.Binds = append([]Bind(nil), good.Binds...)
		change(&s)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseSpec(string(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if _, err := parseSpec(`{"Surprise": 1}`); err == nil {
		t.Error("an unknown field was accepted")
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add(`{"Root":"/t","Args":["a"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseSpec(text); err == nil && !strings.HasPrefix(s.Root, "/") {
			t.Errorf("accepted root %q", s.Root)
		}
	})
}

func TestMainWithoutSpec(t *testing.T) {
	var stderr strings.Builder
	if got := Main(nil, &stderr); got != FailedStatus || !strings.HasPrefix(stderr.String(), Prefix) {
		t.Errorf("status %d, %q", got, stderr.String())
	}
}

func TestLookPath(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "tool")
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "data": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"HOME=/", "PATH=/nowhere:" + dir}
	if got, err := lookPath("tool", env); err != nil || got != tool {
		t.Errorf("found %q, %v", got, err)
	}
	if got, err := lookPath("./x", env); err != nil || got != "./x" {
		t.Errorf("a path became %q, %v", got, err)
	}
	for _, name := range []string{"data", "absent"} {
		if _, err := lookPath(name, env); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
