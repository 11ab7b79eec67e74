package initrd

import (
	"bytes"
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/busybox"
	"github.com/bee-os/bee/pkg/node/bringup"
)

// TestEntryOfPID1: the builder's flags reach the linker, on every architecture.
func TestEntryOfPID1(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "init")
			if err := busybox.Compile(t.Context(), "../../..", busybox.Env(arch), out, busybox.Package{Path: initPath, Entry: initEntry}); err != nil {
				t.Fatal(err)
			}
			f, err := elf.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			lines, err := f.Section(".gopclntab").Data()
			if err != nil {
				t.Fatal(err)
			}
			table, err := gosym.NewTable(nil, gosym.NewLineTable(lines, f.Section(".text").Addr))
			if err != nil {
				t.Fatal(err)
			}
			if at := table.PCToFunc(f.Entry); at == nil || at.Name != initEntry {
				t.Errorf("PID 1 begins in %v, want %s", at, initEntry)
			}
		})
	}
}

// TestAhead runs PID 1's program from its entry on: it starts coldplug ahead in a mount
// namespace of its own and goes on, and goes on where there is no coldplug, too.
func TestAhead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for out, p := range map[string]busybox.Package{
		"init":         {Path: initPath, Entry: initEntry},
		"bin/coldplug": {Path: "./pkg/build/initrd/testdata/coldplug"},
	} {
		if err := busybox.Compile(t.Context(), "../../..", busybox.Env(runtime.GOARCH), filepath.Join(dir, out), p); err != nil {
			t.Fatal(err)
		}
	}
	// Whoever may go before others sees it do so, which takes the first user namespace.
	attr, niceness := &syscall.SysProcAttr{Chroot: dir}, -20
	if !mayGoFirst() {
		knice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Fatal(err)
		}
		niceness = 20 - knice // it stays as it is
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	start := func() {
		t.Helper()
		var said strings.Builder
		cmd := exec.Cmd{Path: "/init", Args: []string{"/init"}, Env: []string{}, Stderr: &said, SysProcAttr: attr}
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(said.String(), "init: this is the program of PID 1") {
			t.Errorf("%v, says %q", err, said.String())
		}
	}
	start()
	var text []byte
	var err error
	for end := time.Now().Add(30 * time.Second); text == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text, err = os.ReadFile(filepath.Join(dir, "told"))
	}
	want := fmt.Sprintf(`["/bin/coldplug" "ahead"] ["GOMAXPROCS=1"] in a mount namespace of its own, timer slack %d <nil>, niceness %d <nil>`, bringup.BootSlack, niceness)
	if string(text) != want {
		t.Errorf("coldplug was started as %s, %v; want %s", text, err, want)
	}
	if err := os.Remove(filepath.Join(dir, "bin/coldplug")); err != nil {
		t.Fatal(err)
	}
	start()
	// PID 1 itself begins on one processor: where the kernel put HOME (init/main.c),
	// the entry puts GOMAXPROCS=1, and nothing where there is something else.
	for first, want := range map[string]string{"HOME=/": "GOMAXPROCS=1", "TERM=linux": "TERM=linux", "HOM": "HOM"} {
		if got := firstVariable(t, exec.Cmd{Path: "/init", Args: []string{"/init"}, Env: []string{first, "HOME=/"}, SysProcAttr: attr}); got != want {
			t.Errorf("with %q first Go's runtime finds %q there, want %q", first, got, want)
		}
	}
}

// firstVariable starts a program that writes to its standard error, and returns the
// first variable of the environment on its stack once Go's runtime runs.
func firstVariable(t *testing.T, cmd exec.Cmd) string {
	t.Helper()
	// It stays as long as nobody reads what it says: the pipe is full.
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(pipe[0]), "pipe"), os.NewFile(uintptr(pipe[1]), "pipe")
	defer r.Close()
	defer w.Close()
	for page := make([]byte, 4096); ; {
		if _, err := unix.Write(pipe[1], page); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(pipe[1], false); err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // its status is looked at elsewhere
	defer cmd.Process.Kill()
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	threads := 0
	for end := time.Now().Add(30 * time.Second); threads < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		list, err := os.ReadDir(proc + "task")
		if err != nil {
			t.Fatal(err)
		}
		threads = len(list)
	}
	stat, err := os.ReadFile(proc + "stat")
	if err != nil || threads < 2 {
		t.Fatalf("%d threads, %v", threads, err)
	}
	// startstack is the 28th field (proc_pid_stat(5)), the third follows the name in
	// brackets. There lies argc, then argv, NULL and the environment.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	stack, err := strconv.ParseInt(fields[28-3], 10, 64)
	if err != nil || stack == 0 {
		t.Fatalf("%s: %v", stat, err)
	}
	mem, err := os.Open(proc + "mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	at := func(address int64, b []byte) []byte {
		t.Helper()
		if _, err := mem.ReadAt(b, address); err != nil {
			t.Fatal(err)
		}
		return b
	}
	word := func(address int64) int64 {
		t.Helper()
		return int64(binary.NativeEndian.Uint64(at(address, make([]byte, 8))))
	}
	text := at(word(stack+8*(word(stack)+2)), make([]byte, 13))
	end := bytes.IndexByte(append(text, 0), 0)
	return string(text[:end])
}

// mayGoFirst says whether this user may have niceness -20 and a root of its own
// without a user namespace.
func mayGoFirst() bool {
	may := make(chan bool)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine
		may <- os.Getuid() == 0 && unix.Setpriority(unix.PRIO_PROCESS, 0, -20) == nil
	}()
	return <-may
}
