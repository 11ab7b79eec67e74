package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/node/supervise"
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

// TestControllersComeWithTheFirstLimit: a boot does without them.
func TestControllersComeWithTheFirstLimit(t *testing.T) {
	c := tree(t, "cpu memory pids\n")
	if _, err := c.group(&supervise.Service{Name: "plain"}); err != nil {
		t.Fatal(err)
	}
	if got := c.last(t); got != [2]string{} {
		t.Errorf("without limits: wrote %q", got)
	}
	g, err := c.group(&supervise.Service{Name: "limited", Limits: supervise.Limits{PidsMax: 7}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.last(t); got != [2]string{"+pids", "+pids"} {
		t.Errorf("with a limit: wrote %q last", got)
	}
	if n := number(filepath.Join(g.dir, "pids.max")); n != 7 {
		t.Errorf("pids.max is %d", n)
	}
	if _, err := tree(t, "pids\n").group(&supervise.Service{Name: "limited", Limits: supervise.Limits{MemoryMax: 1 << 20}}); err == nil || !strings.Contains(err.Error(), "limit limited: enable cgroup controllers: the kernel offers no memory controller") {
		t.Errorf("without the controller: %v", err)
	}
}

// TestMemoryFromBeforeTheControllers: what a service took before they came is told too.
func TestMemoryFromBeforeTheControllers(t *testing.T) {
	dir, proc := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "cgroup.procs"), "7\n8\n9\n") // 9 has ended
	write(filepath.Join(proc, "7/status"), "Name:\tsshd\nVmRSS:\t    9000 kB\nRssAnon:\t    1000 kB\nRssFile:\t    7976 kB\nRssShmem:\t      24 kB\n")
	write(filepath.Join(proc, "8/status"), "Name:\tsh\nRssAnon:\t       1 kB\n")
	g := &group{dir}
	if got := g.resident(proc); got != 1025<<10 {
		t.Errorf("resident %d", got)
	}
	if got := (&group{filepath.Join(dir, "none")}).resident(proc); got != 0 {
		t.Errorf("of no group: %d", got)
	}
	self := []byte(strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), self, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := g.memory(); got == 0 {
		t.Errorf("without memory.current: %d", got)
	}
	write(filepath.Join(dir, "memory.current"), "123456789012\n")
	if got := g.memory(); got != 123456789012 {
		t.Errorf("with a larger memory.current: %d", got)
	}
}
