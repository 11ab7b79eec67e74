package initrd

import (
	"debug/elf"
	"debug/gosym"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
		cmd := exec.Cmd{Path: "/init", Args: []string{"/init"}, Stderr: &said, SysProcAttr: attr}
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
