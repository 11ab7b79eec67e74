package pid1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/bringup"
	"github.com/bee-os/bee/pkg/node/supervise"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// These tests run the whole of PID 1, as PID 1 of user, PID and mount
// namespaces: this binary again, told by argv[0] that it is init. There
// reboot(2) ends the namespace with SIGHUP for a restart and SIGINT for halt
// and power off (pid_namespaces(7)), so that the way down is tested to its end.

const (
	dirEnv  = "BEE_TEST_DIR"  // of the files that a test and its PID 1 share
	caseEnv = "BEE_TEST_CASE" // which list of services
)

// patience is far more than anything here takes.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	switch {
	case os.Args[0] == "init":
		cfg, which := underTest(os.Getenv(dirEnv), os.Getenv(caseEnv)), os.Getenv(caseEnv)
		if which == "panic" && len(os.Args) == 1 {
			p := newPID1(cfg)
			p.spawn(func() {
				wait(filepath.Join(os.Getenv(dirEnv), "panic"))
				panic("the test wants it")
			})
			p.run()
		}
		fmt.Fprintln(os.Stderr, Run(cfg, os.Args))
		os.Exit(1)
	case len(os.Args) > 2 && os.Args[1] == "play":
		os.Exit(play(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// play is the program of a service, and of the shell.
func play(role string, args []string) int {
	switch role {
	case "talk": // and never stops
		for n := 0; ; n++ {
			fmt.Println("line", n)
			time.Sleep(10 * time.Millisecond)
		}
	case "late": // says what its timers' slack is, again and again
		for {
			text, err := os.ReadFile("/proc/self/timerslack_ns")
			fmt.Printf("slack %s %v\n", strings.TrimSpace(string(text)), err)
			time.Sleep(20 * time.Millisecond)
		}
	case "family": // with a grandchild that is deaf and in a session of its own
		_, err := syscall.ForkExec("/proc/self/exe", []string{"child", "play", "deaf"}, &syscall.ProcAttr{
			Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			return 1
		}
		time.Sleep(time.Hour)
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "shell":
		if err := os.WriteFile(args[0], nil, 0o600); err != nil {
			return 1
		}
		fmt.Println("a shell for you")
		for len(args) > 1 { // until this file exists
			if _, err := os.Stat(args[1]); err == nil {
				return 0
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Hour)
	}
	return 0
}

// underTest is the Config of PID 1 in a namespace.
func underTest(dir, which string) Config {
	file := func(name string) string { return filepath.Join(dir, name) }
	program := func(name, role string) supervise.Service {
		return supervise.Service{Name: name, Command: []string{"/proc/self/exe", "play", role}, Ready: supervise.ByStart,
			Restart: supervise.Always, StopTimeout: 200 * time.Millisecond}
	}
	lists := map[string][]supervise.Service{
		"talk": {program("talker", "talk"), program("family", "family")},
		"late": {program("late", "late")},
		"panic": {program("talker", "talk"), program("late", "late"), {
			Name: "bad", Kind: supervise.Oneshot, Func: func(context.Context, io.Writer) error { panic("only a service") },
		}},
		"stuck": {{
			Name: "stuck", Kind: supervise.Oneshot, Func: func(context.Context, io.Writer) error { select {} },
		}},
		"circle": {
			{Name: "a", Kind: supervise.Target, Needs: []string{"b"}},
			{Name: "b", Kind: supervise.Target, Needs: []string{"a"}},
		},
	}
	cfg := Config{
		Services: func(bootparam.Params) []supervise.Service { return slices.Clone(lists[which]) },
		Early:    []bringup.Row{bringup.Mount{Source: "proc", Target: "/proc", Type: "proc"}, bringup.Dir{Path: "/proc/no/such", Mode: 0o755}},
		Footing:  []bringup.Row{bringup.Dir{Path: "/proc/no/footing", Mode: 0o755}},
		Cmdline:  file("cmdline"),
		Kernel:   file("kmsg"),
		Consoles: file("consoles"),
		Shell:    []string{"/proc/self/exe", "play", "shell", file("shell-began")},
		TTY:      os.Getenv("BEE_TEST_TTY"),
		LogDir:   file("log"),
		Control:  file("control.sock"),
		Cgroup:   file("no-cgroup"),
		Deadline: 6 * time.Second,
		Patience: time.Hour,
		BootOver: time.Hour,
		Earlier:  failedEarlier(which),
	}
	switch which {
	case "late":
		cfg.BootOver = 2 * time.Second
	case "stuck":
		cfg.Deadline = time.Second
	case "circle":
		cfg.Patience = 50 * time.Millisecond
	case "shell":
		cfg.Shell = append(cfg.Shell, file("shell-end"))
	}
	return cfg
}

func wait(file string) {
	for _, err := os.Stat(file); err != nil; _, err = os.Stat(file) {
		time.Sleep(5 * time.Millisecond)
	}
}

// guest is a PID 1 in its namespaces.
type guest struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	tty  *os.File // our end of its console
	ends chan struct{}
}

func boot(t *testing.T, which, cmdline string) *guest {
	t.Helper()
	dir, err := os.MkdirTemp("", "bee-pid1-") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	g := &guest{t: t, dir: dir, ends: make(chan struct{})}
	for name, text := range map[string]string{"cmdline": cmdline, "kernel": "", "stderr": ""} {
		if err := os.WriteFile(g.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.kernel()
	if err := os.Mkdir(g.file("log"), 0o700); err != nil {
		t.Fatal(err)
	}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	g.tty = master
	t.Cleanup(func() { master.Close(); slave.Close() })
	stderr, err := os.OpenFile(g.file("stderr"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	g.cmd = exec.Command("/proc/self/exe")
	g.cmd.Args = []string{"init"}
	g.cmd.Env = append(os.Environ(), dirEnv+"="+dir, caseEnv+"="+which, "BEE_TEST_TTY="+slave.Name())
	g.cmd.Stderr = stderr
	g.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := g.cmd.Start(); err != nil {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatalf("NO NAMESPACES: %v", err)
		}
		t.Skipf("NO NAMESPACES, PID 1 IS NOT TESTED HERE: %v", err)
	}
	go func() {
		defer close(g.ends)
		g.cmd.Wait() // how it ended is what the tests ask for
	}()
	t.Cleanup(func() {
		g.cmd.Process.Kill()
		<-g.ends
		if t.Failed() {
			t.Logf("PID 1 said:\n%s", g.read("stderr"))
		}
	})
	return g
}

// kernel takes lines as /dev/kmsg does, whoever writes them, into a file.
func (g *guest) kernel() {
	g.t.Helper()
	if err := syscall.Mkfifo(g.file("kmsg"), 0o600); err != nil {
		g.t.Fatal(err)
	}
	in, err := os.OpenFile(g.file("kmsg"), os.O_RDWR, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := os.OpenFile(g.file("kernel"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { in.Close() })
	go func() {
		defer out.Close()
		io.Copy(out, in) // ends with the test
	}()
}

func (g *guest) file(name string) string { return filepath.Join(g.dir, name) }

// read returns the file, "" where there is none.
func (g *guest) read(name string) string {
	b, err := os.ReadFile(g.file(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		g.t.Error(err)
	}
	return string(b)
}

// ended waits for the end and checks what the kernel made of reboot(2).
func (g *guest) ended(want syscall.Signal) {
	g.t.Helper()
	select {
	case <-g.ends:
	case <-time.After(patience):
		g.t.Fatal("the machine does not go down")
	}
	if ws := g.cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != want {
		g.t.Errorf("ended with %s, want %s", g.cmd.ProcessState, want)
	}
}

func (g *guest) eventually(what string, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("never: %s", what)
		}
	}
}

func (g *guest) client() *control.Client {
	g.t.Helper()
	var c *control.Client
	g.eventually("PID 1 listens", func() (ok bool) {
		var err error
		c, err = control.Dial(g.file("control.sock"))
		return err == nil
	})
	return c
}

// ready waits for a service and returns it.
func (g *guest) ready(c *control.Client, service string) (st control.Status) {
	g.t.Helper()
	g.eventually(service+" is ready", func() bool {
		var err error
		st, err = c.Status(g.t.Context(), service)
		return err == nil && st.State == control.Ready
	})
	return st
}

// inside returns the processes of the guest, as their argv without the first.
func (g *guest) inside() (out []string) {
	ns := func(pid string) string {
		s, err := os.Readlink("/proc/" + pid + "/ns/pid")
		if err != nil {
			return "gone"
		}
		return s
	}
	mine := ns(strconv.Itoa(g.cmd.Process.Pid))
	entries, err := os.ReadDir("/proc")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); n[0] < '0' || n[0] > '9' || ns(n) != mine {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil {
			continue // it ended
		}
		out = append(out, strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " "))
	}
	return out
}

func (g *guest) has(program string) bool {
	return slices.ContainsFunc(g.inside(), func(s string) bool { return strings.HasSuffix(s, program) })
}

func TestBootServeAndReboot(t *testing.T) {
	g := boot(t, "talk", "quiet bee.nonsense=1")
	c := g.client()
	talker := g.ready(c, "talker")
	g.ready(c, "family")
	g.eventually("the grandchild runs", func() bool { return g.has("play deaf") })

	// What went wrong on the way up is said, in the journal and in the kernel's log.
	for _, want := range []string{"bee.nonsense", "directory /proc/no/such", "directory /proc/no/footing", "no-cgroup"} {
		g.eventually(want+" is said", func() bool { return strings.Contains(g.read("log/bee.log"), want) })
		g.eventually(want+" is in the kernel's log", func() bool { return strings.Contains(g.read("kernel"), want) })
	}

	// The status has the process as the namespace knows it; the test is outside.
	if err := syscall.Kill(outside(t, talker.PID, g.cmd.Process.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	g.eventually("talker is started again", func() bool {
		st, err := c.Status(t.Context(), "talker")
		return err == nil && st.State == control.Ready && st.Restarts == 1 && st.PID != talker.PID && strings.Contains(st.LastExit, "killed")
	})

	if err := c.Stop(t.Context(), "family"); err != nil {
		t.Fatal(err)
	}
	g.eventually("nothing is left of family", func() bool { return !g.has("play deaf") && !g.has("play family") })

	if err := c.Shutdown(t.Context(), control.Reboot, "the test is over"); err != nil {
		t.Fatal(err)
	}
	g.ended(unix.SIGHUP)
	if log := g.read("log/bee.log"); !strings.Contains(log, "reboot: the test is over") {
		t.Errorf("the way down is not in the log:\n%s", log)
	}
}

// outside is the process id in this namespace of one that is inner in that of
// init.
func outside(t *testing.T, inner, init int) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile("/proc/" + e.Name() + "/status")
		if err != nil {
			continue
		}
		var parent, nspid string
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "PPid:"); ok {
				parent = strings.TrimSpace(v)
			}
			if v, ok := strings.CutPrefix(line, "NSpid:"); ok {
				nspid = v
			}
		}
		ids := strings.Fields(nspid)
		if parent == strconv.Itoa(init) && len(ids) > 1 && ids[len(ids)-1] == strconv.Itoa(inner) {
			pid, err := strconv.Atoi(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no process %d in the namespace", inner)
	return 0
}

func TestSignalsLeadOut(t *testing.T) {
	for _, c := range []struct{ sent, end syscall.Signal }{
		{syscall.SIGTERM, unix.SIGHUP}, {syscall.SIGUSR1, unix.SIGINT}, {syscall.SIGPWR, unix.SIGINT},
	} {
		t.Run(c.sent.String(), func(t *testing.T) {
			g := boot(t, "talk", "")
			g.ready(g.client(), "talker")
			if err := g.cmd.Process.Signal(c.sent); err != nil {
				t.Fatal(err)
			}
			g.ended(c.end)
		})
	}
}

// A function that never comes back keeps neither the control socket nor the
// way down from working.
func TestDeadlineOfTheShutdown(t *testing.T) {
	g := boot(t, "stuck", "")
	c := g.client()
	g.eventually("stuck is stuck", func() bool {
		st, err := c.Status(t.Context(), "stuck")
		return err == nil && st.State == control.Starting
	})
	if err := c.Shutdown(t.Context(), control.Poweroff, ""); err != nil {
		t.Fatal(err)
	}
	g.ended(unix.SIGINT)
	if log := g.read("log/bee.log"); !strings.Contains(log, "did not end in time: stuck") {
		t.Errorf("who held the shutdown up is not told:\n%s", log)
	}
}

// After a panic the same process collects children, takes log lines, offers a
// shell, and can be asked to reboot; services do not notice.
func TestPanicHandsOverToRescue(t *testing.T) {
	g := boot(t, "panic", "")
	c := g.client()
	talker := g.ready(c, "talker")
	// A panic in a service's function is that service's failure and no more.
	g.eventually("bad failed", func() bool {
		st, err := c.Status(t.Context(), "bad")
		return err == nil && st.State == control.Failed && strings.Contains(st.Reason, "only a service")
	})
	pid := outside(t, talker.PID, g.cmd.Process.Pid)
	if err := os.WriteFile(g.file("panic"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g.eventually("a shell", func() bool { _, err := os.Stat(g.file("shell-began")); return err == nil })
	line := make([]byte, 64)
	if n, err := g.tty.Read(line); err != nil || !strings.Contains(string(line[:n]), "a shell for you") {
		t.Errorf("on the console: %q, %v", line[:n], err)
	}
	for _, name := range []string{"stderr", "kernel"} {
		if s := g.read(name); !strings.Contains(s, "PID 1 panicked: the test wants it") || !strings.Contains(s, "rescue mode") || !strings.Contains(s, "goroutine") {
			t.Errorf("%s does not say what happened: %s", name, s)
		}
	}
	size := len(g.read("log/talker.log"))
	g.eventually("lines of talker still reach its log", func() bool { return len(g.read("log/talker.log")) > size+100 })
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the service that ran before the panic: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	g.eventually("the dead are collected", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	if err := g.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	g.ended(unix.SIGHUP)
}

func TestAListWithACircleStillGivesAShell(t *testing.T) {
	g := boot(t, "circle", "")
	g.eventually("a shell", func() bool { _, err := os.Stat(g.file("shell-began")); return err == nil })
	g.eventually("the circle is named", func() bool {
		log := g.read("log/bee.log")
		return strings.Contains(log, "a") && strings.Contains(log, "cycle")
	})
}

func TestShellBeforeTheServices(t *testing.T) {
	g := boot(t, "shell", "bee.shell")
	c := g.client()
	g.eventually("a shell", func() bool { _, err := os.Stat(g.file("shell-began")); return err == nil })
	if err := os.WriteFile(g.file("shell-end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g.eventually("the boot goes on", func() bool {
		b, err := c.Blame(t.Context(), "")
		return err == nil && b.Settled > 0
	})
}
