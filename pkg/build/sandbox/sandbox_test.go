package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unprivilegedEnv marks the second run of these tests, as nobody; its value is
// the folder that holds the cache made by the first.
const unprivilegedEnv = "BEE_SANDBOX_TEST_CACHE"

const nobody = 65534

// testSandbox is a sandbox whose only tool is testdata/probe, in a cache that
// every user can read.
func testSandbox(t *testing.T) *Sandbox {
	t.Helper()
	cache := os.Getenv(unprivilegedEnv)
	if cache == "" {
		cache = publicDir(t)
	}
	layers := func(ctx context.Context) ([]layer, error) {
		dir := filepath.Join(cache, "probe")
		if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "bin/probe"), "./testdata/probe")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build probe: %w\n%s", err, out)
		}
		return []layer{{"probe", dir}}, nil
	}
	s, err := open(t.Context(), cache, []string{"probe"}, layers)
	if errors.Is(err, ErrUnavailable) {
		skip(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// skip skips loudly, and fails where nothing may be skipped.
func skip(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
		t.Fatalf("this machine cannot run the sandbox: %v", err)
	}
	t.Skipf("SKIPPED, NOTHING WAS TESTED: this machine cannot run the sandbox: %v", err)
}

// publicDir is a temporary folder that other users can enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func output(t *testing.T, s *Sandbox, step Step) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := s.Output(ctx, step)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func fails(t *testing.T, s *Sandbox, want string, step Step) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := s.Output(ctx, step)
	if err == nil {
		t.Fatalf("%v succeeded and said %q", step.Args, out)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%v: error does not contain %q: %v", step.Args, want, err)
	}
}

// TestUnprivileged runs the tests of this package once more as a user without
// rights, when the first run has them.
func TestUnprivileged(t *testing.T) {
	if os.Getenv(unprivilegedEnv) != "" || os.Geteuid() != 0 {
		t.Skip("already without root")
	}
	s := testSandbox(t)
	// go test keeps its binary in a folder that only root can enter.
	binary := filepath.Join(filepath.Dir(s.tree), "sandbox.test")
	if err := copyFile("/proc/self/exe", binary); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(filepath.Dir(s.tree), "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(tmp, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.v", "-test.count=1")
	cmd.Dir = tmp
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + tmp, "CI=" + os.Getenv("CI"), unprivilegedEnv + "=" + filepath.Dir(s.tree)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("as nobody:\n%s", out)
	if err != nil {
		t.Error(err)
	}
	if bytes.Contains(out, []byte("NOTHING WAS TESTED")) {
		skip(t, errors.New("not as an ordinary user; see above"))
	}
}

func TestSees(t *testing.T) {
	s := testSandbox(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hidden"), 0o644); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "file"), []byte("shown"), 0o644); err != nil {
		t.Fatal(err)
	}
	ro := []Bind{{Host: data, Path: "/in"}, {Host: secret, Path: "/one/file"}}

	t.Run("only what is declared", func(t *testing.T) {
		var got []string
		for line := range strings.Lines(output(t, s, Step{Args: []string{"probe", "ls", "/"}, Ro: ro})) {
			got = append(got, strings.TrimSpace(line))
		}
		want := []string{
			"d--------- /", "L--------- /bin", "d--------- /dev", "L--------- /dev/fd", "Dc--------- /dev/full", "Dc--------- /dev/null",
			"L--------- /dev/ptmx", "d--------- /dev/pts", "Dc--------- /dev/pts/ptmx", "Dc--------- /dev/random", "d--------- /dev/shm",
			"L--------- /dev/stderr", "L--------- /dev/stdin", "L--------- /dev/stdout", "Dc--------- /dev/tty", "Dc--------- /dev/urandom",
			"Dc--------- /dev/zero", "d--------- /etc", "---------- /etc/group", "---------- /etc/host.conf", "---------- /etc/hosts",
			"---------- /etc/nsswitch.conf", "---------- /etc/passwd", "d--------- /in", "---------- /in/file", "L--------- /lib",
			"L--------- /lib32", "L--------- /lib64", "L--------- /libx32", "d--------- /one", "---------- /one/file", "d--------- /proc",
			"d--------- /run", "L--------- /sbin", "d--------- /tmp", "d--------- /usr",
		}
		if !slices.Equal(got, want) {
			t.Errorf("inside there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	t.Run("declared content", func(t *testing.T) {
		if got := output(t, s, Step{Args: []string{"probe", "read", "/in/file"}, Ro: ro}); got != "shown" {
			t.Errorf("read %q", got)
		}
	})
	t.Run("not what is undeclared", func(t *testing.T) {
		fails(t, s, "no such file", Step{Args: []string{"probe", "read", secret}})
	})
	t.Run("processes of its own only", func(t *testing.T) {
		if got := output(t, s, Step{Args: []string{"probe", "pids"}}); len(strings.Fields(got)) != 2 || !strings.HasPrefix(got, "/proc/1 ") {
			t.Errorf("sees processes %q", got)
		}
	})
	t.Run("environment", func(t *testing.T) {
		t.Setenv("LEAK", "yes")
		got := output(t, s, Step{Args: []string{"probe", "env"}, Env: []string{"MORE=1"}})
		want := "TZ=UTC\nLC_ALL=C\nSOURCE_DATE_EPOCH=315532800\nPATH=/usr/sbin:/usr/bin\nHOME=/tmp\nMORE=1\n"
		if got != want {
			t.Errorf("environment is\n%swant\n%s", got, want)
		}
	})
	t.Run("declared but absent", func(t *testing.T) {
		fails(t, s, "which the step declares", Step{Args: []string{"probe", "env"}, Ro: []Bind{{Host: "/nowhere/at/all"}}})
	})
	t.Run("no such tool", func(t *testing.T) {
		fails(t, s, "is its package in the lock's group?", Step{Args: []string{"mkfs.imaginary"}})
	})
}

func TestWrites(t *testing.T) {
	s := testSandbox(t)
	dir, other := t.TempDir(), t.TempDir()
	step := func(args ...string) Step {
		return Step{Args: append([]string{"probe"}, args...), Rw: []Bind{{Host: dir, Path: "/out"}}, Ro: []Bind{{Host: other, Path: "/in"}}}
	}
	output(t, s, step("write", "/out/file"))
	if b, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(b) != "written\n" {
		t.Errorf("file written inside: %q, %v", b, err)
	}
	output(t, s, step("write", "/tmp/file"))
	for _, path := range []string{"/file", "/usr/file", "/etc/file", "/usr/bin/probe", "/in/file", "/dev/file", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"} {
		fails(t, s, "", step("write", path))
	}
	for _, path := range []string{"/", "/usr", "/in"} {
		fails(t, s, "operation not permitted", step("remount", path))
	}
	fails(t, s, "operation not permitted", step("mknod", "/out/null"))
	if left, err := os.ReadDir(other); err != nil || len(left) != 0 {
		t.Errorf("read-only folder holds %v, %v", left, err)
	}
}

func TestPrivileges(t *testing.T) {
	s := testSandbox(t)
	if got := output(t, s, Step{Args: []string{"probe", "status", "NoNewPrivs"}}); got != "NoNewPrivs:\t1\n" {
		t.Errorf("got %q", got)
	}
	// chown, dac_override, fowner, fsetid, kill, setgid, setuid: bits 0, 1, 3, 4, 5, 6, 7.
	if got := output(t, s, Step{Args: []string{"probe", "status", "CapEff"}}); got != "CapEff:\t00000000000000fb\n" {
		t.Errorf("got %q", got)
	}
}

func TestNetwork(t *testing.T) {
	s := testSandbox(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := output(t, s, Step{Args: []string{"probe", "net"}}); got != "lo false\n" {
		t.Errorf("without a network there is %q", got)
	}
	fails(t, s, "network is unreachable", Step{Args: []string{"probe", "dial", l.Addr().String()}})
	output(t, s, Step{Args: []string{"probe", "dial", l.Addr().String()}, Network: true})
}

func TestStatus(t *testing.T) {
	s := testSandbox(t)
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"probe", "exit", "0"}, 0},
		{[]string{"probe", "exit", "3"}, 3},
		{[]string{"probe", "kill", "9"}, 137},
		{[]string{"nothing"}, 125},
	} {
		cmd, err := s.Command(t.Context(), Step{Args: c.args})
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != c.want {
			t.Errorf("%v: status %d, want %d", c.args, got, c.want)
		}
	}
}

func TestFiles(t *testing.T) {
	s := testSandbox(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	output(t, s, Step{Args: []string{"probe", "fd", "3"}, Files: []*os.File{w}})
	w.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "through 3" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestForwardsTerm(t *testing.T) {
	s := testSandbox(t)
	cmd, err := s.Command(t.Context(), Step{Args: []string{"probe", "term"}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("first line %q, %v", lines.Text(), lines.Err())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "got terminated" {
		t.Errorf("second line %q, %v", lines.Text(), lines.Err())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestGrandchildrenDie: the pipe that the grandchild holds open reaches its end
// only when the grandchild is gone.
func TestGrandchildrenDie(t *testing.T) {
	s := testSandbox(t)
	for name, args := range map[string][]string{"killed": {"probe", "family"}, "orphaned": {"probe", "family", "orphan"}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd, err := s.Command(ctx, Step{Args: args, Stdout: w})
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			if name == "killed" {
				if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "deaf\n" {
					t.Fatalf("grandchild said %q, %v", line, err)
				}
				cancel()
			}
			if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(r); err != nil {
				t.Errorf("the grandchild lives on: %v", err)
			}
			if err := cmd.Wait(); name == "killed" && err == nil {
				t.Error("killed, and it reports success")
			}
		})
	}
}

func TestCancel(t *testing.T) {
	s := testSandbox(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx, Step{Args: []string{"probe", "deaf"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

// BenchmarkEnter measures one step from start to end.
func BenchmarkEnter(b *testing.B) {
	s := benchSandbox(b)
	for b.Loop() {
		if err := s.Run(b.Context(), Step{Args: []string{"probe", "exit", "0"}}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSandbox(b *testing.B) *Sandbox {
	b.Helper()
	cache := b.TempDir()
	dir := filepath.Join(cache, "probe")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-o", filepath.Join(dir, "bin/probe"), "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build probe: %v\n%s", err, out)
	}
	s, err := open(b.Context(), cache, []string{"probe"}, func(context.Context) ([]layer, error) { return []layer{{"probe", dir}}, nil })
	if err != nil {
		b.Fatal(err)
	}
	return s
}
