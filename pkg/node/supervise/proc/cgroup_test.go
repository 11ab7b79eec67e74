package proc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree is a cgroup hierarchy as files, in which the controllers of a root are
// those of every group. What is written last stays.
func tree(t *testing.T, controllers string) *Cgroups {
	t.Helper()
	mount := t.TempDir()
	for _, dir := range []string{mount, filepath.Join(mount, "bee")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"cgroup.controllers": controllers, "cgroup.kill": "", "cgroup.subtree_control": ""} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := NewCgroups(mount)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Cgroups) last(t *testing.T) [2]string {
	t.Helper()
	var got [2]string
	for i, dir := range []string{c.mount, c.dir} {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		if err != nil {
			t.Fatal(err)
		}
		got[i] = string(b)
	}
	return got
}

// TestProcessorsAreSharedLate: with the cpu controller, niceness counts for
// nothing between services.
func TestProcessorsAreSharedLate(t *testing.T) {
	if err := tree(t, "memory pids\n").Enable(); err != nil {
		t.Errorf("limits want more than they need: %v", err)
	}
	c := tree(t, "cpuset cpu io memory pids\n")
	if err := c.Enable(); err != nil {
		t.Fatal(err)
	}
	if got := c.last(t); got != [2]string{"+pids", "+pids"} {
		t.Errorf("limits: wrote %q last", got)
	}
	if err := c.Share(); err != nil {
		t.Fatal(err)
	}
	if got := c.last(t); got != [2]string{"+cpu", "+cpu"} {
		t.Errorf("sharing: wrote %q last", got)
	}
}

func TestAMissingControllerIsNamed(t *testing.T) {
	c := tree(t, "memory\n")
	if err := c.Enable(); err == nil || !strings.Contains(err.Error(), "no pids controller") {
		t.Errorf("%v", err)
	}
	if err := c.Share(); err == nil || !strings.Contains(err.Error(), "no cpu controller") {
		t.Errorf("%v", err)
	}
}
