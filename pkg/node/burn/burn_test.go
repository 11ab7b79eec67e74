package burn

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/bee-os/bee/pkg/hwreport"
)

// TestWriteFile: what the user names for the report stays what it is.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("old"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link": "old", "null": os.DevNull, "loose": "nothing"} {
		if err := os.Symlink(target, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	came := make(chan string)
	go func() {
		b, _ := os.ReadFile(at("fifo"))
		came <- string(b)
	}()
	for name, mode := range map[string]fs.FileMode{"new": 0, "link": fs.ModeSymlink, "null": fs.ModeSymlink, "fifo": fs.ModeNamedPipe} {
		if err := writeFile(at(name), []byte("report")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Lstat(at(name)); err != nil || info.Mode().Type() != mode {
			t.Errorf("%s is %v now, %v", name, info.Mode(), err)
		}
	}
	// The same through --json, and the report of the machine beside it.
	j := &job{host: host{report: at("report")}, options: options{file: at("null")}}
	if errs := j.write(&hwreport.Burn{}, io.Discard); errs != nil {
		t.Error(errs)
	}
	if info, err := os.Lstat(at("null")); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("--json replaced a device by %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(at("report")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the report: %v", err)
	}
	if got := <-came; got != "report" {
		t.Errorf("the pipe gave %q", got)
	}
	for _, name := range []string{"new", "old"} {
		if b, err := os.ReadFile(at(name)); err != nil || string(b) != "report" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for _, name := range []string{dir, at("no/such/folder")} {
		if err := writeFile(name, nil); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	// As /dev/stdout: a symbolic link whose target is none that can be resolved.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	err = writeFile(filepath.Join("/proc/self/fd", strconv.Itoa(int(w.Fd()))), []byte("report"))
	w.Close()
	if b, _ := io.ReadAll(r); err != nil || string(b) != "report" {
		t.Errorf("%q, %v", b, err)
	}
}
