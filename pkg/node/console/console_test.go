package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// node is the files of a machine that came up.
func node(t *testing.T) fstest.MapFS {
	t.Helper()
	report, err := os.ReadFile("../audit/testdata/qemu.json")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		"run/bee/net.json":             {Data: []byte(`{"hostname":"rack7","interfaces":[{"name":"eth0","state":"bound","addresses":["fe80::1/64","192.0.2.7/24"]},{"name":"eth1","state":"no carrier"}]}`)},
		"run/bee/ssh-fingerprint":      {Data: []byte("SHA256:abc\n")},
		"run/bee/ssh/console-password": {Data: []byte("secret-words\n")},
		"etc/bee/bom.json":             {Data: []byte(`{"schema":1,"name":"bee","version":"9.9","variant":"thin","kernel":"6.1"}`)},
		hwreport.Path:                  {Data: report},
	}
}

var services = []control.Status{
	{Name: "sshd", State: control.Ready, Wanted: control.Up},
	{Name: "network", State: control.Backoff, Wanted: control.Up, Reason: "exit status 1"},
	{Name: "carrier", Kind: control.KindCondition, State: control.Blocked, Wanted: control.Up},
}

func TestScreen(t *testing.T) {
	f := Gather(node(t), services, nil)
	text := strings.Join(Screen(f, true), "\n")
	for _, want := range []string{"rack7   bee 9.9 thin, kernel 6.1", "eth0 fe80::1/64 192.0.2.7/24", "eth1 (no carrier)", "ssh bee@192.0.2.7", "secret-words", "SHA256:abc",
		"network BACKOFF: exit status 1", "sshd ready", "WARNING: 0 failures", "█"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "carrier BLOCKED") {
		t.Error("a condition is shown as a service")
	}
	for _, l := range Screen(f, true) {
		if n := utf8.RuneCountInString(l); n > width {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

// TestPasswordStaysOnTheConsole: whoever logs in over SSH does not see it.
func TestPasswordStaysOnTheConsole(t *testing.T) {
	f := Gather(node(t), services, nil)
	for name, lines := range map[string][]string{"motd": Motd(f), "a screen that is not private": Screen(f, false)} {
		if strings.Contains(strings.Join(lines, "\n"), "secret-words") {
			t.Errorf("%s shows the password", name)
		}
	}
	if text := strings.Join(Motd(f), "\n"); !strings.Contains(text, "verdict") || !strings.Contains(text, "network") {
		t.Errorf("motd:\n%s", text)
	}
}

func TestNothingIsThereYet(t *testing.T) {
	f := Gather(fstest.MapFS{}, nil, errors.New("no supervisor"))
	text := strings.Join(Screen(f, true), "\n")
	if !strings.Contains(text, "not yet") || !strings.Contains(text, "no supervisor") || len(f.Problems) != 1 {
		t.Errorf("%q\n%s", f.Problems, text)
	}
}

func TestActive(t *testing.T) {
	got, err := Active(fstest.MapFS{activePath: {Data: []byte("tty0 ttyS0 netcon0 ../evil\n")}, cmdlinePath: {Data: []byte("console=ttyS0 console=tty0\n")}})
	if err != nil || strings.Join(got, " ") != "tty1 ttyS0" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Active(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// paper is a terminal that remembers.
type paper struct {
	mu     sync.Mutex
	text   bytes.Buffer
	enter  chan error
	shells int
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) Name() string { return "paper" }
func (p *paper) Enter() error { return <-p.enter }
func (p *paper) Shell(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shells++
	return errors.New("no shell")
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p := &paper{enter: make(chan error)}
	motd := filepath.Join(t.TempDir(), "motd")
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{
			Root: node(t), Terminals: []Terminal{p}, Out: io.Discard,
			Services:  func(context.Context) ([]control.Status, error) { return services, nil },
			Take:      func(context.Context) error { return nil },
			Urgent:    func(ctx context.Context, f func(string)) { f("sshd: crash loop"); <-ctx.Done() },
			WriteMotd: func(lines []string) error { return writeMotd(motd, lines) },
			Ready:     func() { close(ready) },
		})
	}()
	<-ready
	if text, err := os.ReadFile(motd); err != nil || !strings.Contains(string(text), "rack7") {
		t.Errorf("motd: %q, %v", text, err)
	}
	p.enter <- nil
	for ctx.Err() == nil && (!strings.Contains(p.String(), "shell: no shell") || strings.Count(p.String(), "rack7") < 2 || !strings.Contains(p.String(), "*** sshd: crash loop")) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if p.shells != 1 {
		t.Errorf("%d shells\n%s", p.shells, p)
	}
}
