package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/node/supervise"
	"github.com/bee-os/bee/pkg/node/supervise/journal"
)

// The variables that tell this binary that it runs again, as what.
const (
	roleEnv      = "BEE_TEST_ROLE"      // a service
	namespaceEnv = "BEE_TEST_NAMESPACE" // PID 1 of its own namespaces
)

// patience is far more than anything here takes.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// play is the program of a service.
func play(role string) int {
	kind, arg, _ := strings.Cut(role, ":")
	switch kind {
	case "exit": // exit:<status>
		fmt.Println("leaving")
		var code int
		fmt.Sscan(arg, &code)
		return code
	case "abort":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf", os.Getpid())
		time.Sleep(time.Hour)
	case "family": // leaves a deaf child in a session of its own and stays
		if !bear("deaf") {
			return 1
		}
		time.Sleep(time.Hour)
	case "orphan": // leaves a child that ends by itself, and ends before it
		if !bear("soon") {
			return 1
		}
	case "reader": // waits for the end of its standard input
		if n, err := unix.Poll([]unix.PollFd{{Fd: 0, Events: unix.POLLIN}}, 100); n != 0 || err != nil {
			fmt.Println("nothing to wait for", n, err)
			return 1
		}
		fmt.Println("waits")
		if n, err := io.Copy(io.Discard, os.Stdin); n != 0 || err != nil {
			return 1
		}
	case "soon":
		time.Sleep(20 * time.Millisecond)
	}
	return 0
}

func bear(role string) bool {
	env := append([]string{roleEnv + "=" + role}, os.Environ()...) // Go takes the first of two
	_, err := syscall.ForkExec("/proc/self/exe", []string{"child"}, &syscall.ProcAttr{
		Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	return err == nil
}

// inNamespaces runs f as PID 1 of new user, PID and mount namespaces, with a
// /proc of its own.
func inNamespaces(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(namespaceEnv) != "" {
		if os.Getpid() != 1 {
			t.Fatalf("process id %d in a new PID namespace", os.Getpid())
		}
		err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		if err == nil {
			err = syscall.Mount("proc", "/proc", "proc", 0, "")
		}
		if err != nil {
			impossible(t, fmt.Errorf("mount /proc in a namespace: %w", err))
		}
		f(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		impossible(t, err)
	case err != nil:
		t.Fatalf("in namespaces: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("in namespaces the test did not run:\n%s", out)
	}
}

func impossible(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
		t.Fatalf("NO NAMESPACES: %v", err)
	}
	t.Skipf("NO NAMESPACES, NOTHING OF PROCESSES IS TESTED HERE: %v", err)
}

// bench is a Runner with what it needs.
type bench struct {
	*Runner
	log *journal.Log
	j   *journal.Journal
}

func newBench(t *testing.T) *bench {
	r := &Runner{Reaper: NewReaper(), Warn: func(s string) { t.Log("warned: ", s) }}
	go r.Reaper.Run()
	j := journal.New(journal.Config{Clock: journal.NewClock(0)})
	return &bench{r, j.Log("thing"), j}
}

func (b *bench) start(t *testing.T, role string) (supervise.Running, <-chan supervise.Exit) {
	t.Helper()
	ended := make(chan supervise.Exit, 1)
	s := &supervise.Service{Name: "thing", Command: []string{"/proc/self/exe"}, Env: []string{roleEnv + "=" + role}}
	p, err := b.Start(s, b.log, supervise.Handler{Exit: func(x supervise.Exit) { ended <- x }})
	if err != nil {
		t.Fatal(err)
	}
	return p, ended
}

func receive[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("no %s in %s", what, patience)
	}
	return v
}

// eventually looks until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (b *bench) said(text string) (n int) {
	for _, l := range b.j.Lines("thing", 0) {
		if strings.HasPrefix(l.Text, text) {
			n++
		}
	}
	return n
}

// alone reports whether PID 1 is the only process, zombies included.
func alone() bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, e := range entries {
		if n := e.Name(); n[0] >= '1' && n[0] <= '9' && n != "1" {
			return false
		}
	}
	return true
}

func TestHowItEndedIsReported(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		b := newBench(t)
		_, ended := b.start(t, "exit:7")
		if x := receive(t, "exit", ended); x != (supervise.Exit{Code: 7}) {
			t.Errorf("%+v", x)
		}
		_, ended = b.start(t, "abort")
		if x := receive(t, "exit", ended); x.Signal != syscall.SIGKILL {
			t.Errorf("%+v", x)
		}
	})
}

// TestEveryThreadIsAsNice starts a program niceness 7: in a user namespace nobody
// may go below 0.
func TestEveryThreadIsAsNice(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		b := newBench(t)
		s := &supervise.Service{Name: "thing", Command: []string{"/proc/self/exe"}, Env: []string{roleEnv + "=deaf"}, Nice: 7}
		p, err := b.Start(s, b.log, supervise.Handler{Exit: func(supervise.Exit) {}})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it runs", func() bool { return b.said("deaf") == 1 })
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		if err != nil || len(tasks) < 2 {
			t.Fatalf("%d threads, %v: nothing is tested", len(tasks), err)
		}
		for _, file := range tasks {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// Field 19 of proc_pid_stat(5); what follows the name begins with field 3.
			_, rest, _ := strings.Cut(string(text), ") ")
			if f := strings.Fields(rest); len(f) < 17 || f[16] != "7" {
				t.Errorf("%s: niceness is not 7: %s", file, text)
			}
		}
		gone := make(chan int, 1)
		p.Kill(func(left int) { gone <- left })
		receive(t, "end of the kill", gone)
	})
}

func TestLogPipeOutlivesTheProcess(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		b := newBench(t)
		_, ended := b.start(t, "exit:0")
		receive(t, "exit", ended)
		first := b.Pipes()["thing"]
		_, ended = b.start(t, "exit:0")
		receive(t, "exit", ended)
		if again := b.Pipes()["thing"]; again != first {
			t.Errorf("pipe %d became %d", first, again)
		}
		if n := b.said("leaving"); n != 2 {
			t.Errorf("%d lines arrived before the exits, want 2", n)
		}
	})
}

func TestNothingIsLeftOfAService(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		b := newBench(t)
		p, ended := b.start(t, "family")
		eventually(t, "the grandchild is deaf", func() bool { return b.said("deaf") == 1 })
		p.Terminate()
		if x := receive(t, "exit", ended); x.Signal != syscall.SIGTERM {
			t.Errorf("%+v", x)
		}
		if alone() {
			t.Fatal("the grandchild did not outlive its parent: nothing is tested")
		}
		gone := make(chan int, 1)
		p.Kill(func(left int) { gone <- left })
		if left := receive(t, "end of the kill", gone); left != 0 {
			t.Errorf("%d would not die", left)
		}
		eventually(t, "no zombie is left", alone)
	})
}

func TestOrphansAreCollected(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		b := newBench(t)
		_, ended := b.start(t, "orphan")
		receive(t, "exit", ended)
		eventually(t, "the orphan is collected", func() bool { return b.Reaper.Orphans() == 1 && alone() })
	})
}
