package smoke

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// sshd greets whoever comes with the text.
func sshd(t *testing.T, greeting string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte(greeting))
			c.Close()
		}
	}()
	return l.Addr().String()
}

func good(t *testing.T) (Node, fstest.MapFS) {
	t.Helper()
	r := &hwreport.Report{Schema: hwreport.Schema, Complete: true, Started: time.Now()}
	for i, c := range r.Collectors() {
		c.Name, c.Status = hwreport.SectionNames()[i], hwreport.OK
	}
	hwreport.Fill(r, "test")
	report, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"run/bee/net.json":     {Data: []byte(`{"interfaces":[{"name":"eth0","carrier":true,"addresses":["192.0.2.2/24"]}]}`)},
		"run/bee/modules.json": {Data: []byte(`{"complete":true}`)},
		"run/bee/nvidia.json":  {Data: []byte(`{"gpus":[],"nothing":"no NVIDIA GPU"}`)},
		bom.Path:               {Data: []byte(`{"schema":1,"name":"bee"}`)},
		hwreport.Path:          {Data: report, Mode: 0o644},
	}
	n := Node{Root: files, SSH: sshd(t, "SSH-2.0-bee\r\n"), Services: func(context.Context) ([]control.Status, error) {
		return []control.Status{{Name: "sshd", State: control.Ready, Wanted: control.Up, Critical: true}, {Name: "nvidia", State: control.Skipped, Wanted: control.Up}}, nil
	}}
	return n, files
}

func status(t *testing.T, n Node) (int, string) {
	t.Helper()
	var b bytes.Buffer
	s, err := Write(&b, Run(context.Background(), n), false)
	if err != nil {
		t.Fatal(err)
	}
	return s, b.String()
}

func TestGood(t *testing.T) {
	n, _ := good(t)
	if s, out := status(t, n); s != 0 || strings.Contains(out, "FAIL") {
		t.Fatalf("status %d\n%s", s, out)
	}
}

func TestEachFaultIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Node, fstest.MapFS)
		says  string
	}{
		"no supervisor": {func(n *Node, _ fstest.MapFS) {
			n.Services = func(context.Context) ([]control.Status, error) { return nil, errors.New("connection refused") }
		}, "FAIL supervisor"},
		"sshd in backoff": {func(n *Node, _ fstest.MapFS) {
			n.Services = func(context.Context) ([]control.Status, error) {
				return []control.Status{{Name: "sshd", State: control.Backoff, Wanted: control.Up, Critical: true, CrashLoop: true}}, nil
			}
		}, "FAIL service sshd         backoff, crash loop"},
		"no ssh":  {func(n *Node, _ fstest.MapFS) { n.SSH = "127.0.0.1:1" }, "FAIL ssh"},
		"not ssh": {func(n *Node, _ fstest.MapFS) { n.SSH = sshd(t, "HTTP/1.1 200 OK\r\n") }, "it greets with"},
		"no address": {func(_ *Node, f fstest.MapFS) {
			f["run/bee/net.json"].Data = []byte(`{"interfaces":[{"carrier":true}]}`)
		}, "FAIL network"},
		"no network state": {func(_ *Node, f fstest.MapFS) { delete(f, "run/bee/net.json") }, "FAIL network"},
		"failed module": {func(_ *Node, f fstest.MapFS) {
			f["run/bee/modules.json"].Data = []byte(`{"complete":true,"failed":[{"name":"bad"}]}`)
		}, "would not load: bad"},
		"coldplug at work":  {func(_ *Node, f fstest.MapFS) { f["run/bee/modules.json"].Data = []byte(`{}`) }, "FAIL modules"},
		"no report":         {func(_ *Node, f fstest.MapFS) { delete(f, hwreport.Path) }, "FAIL audit"},
		"broken report":     {func(_ *Node, f fstest.MapFS) { f[hwreport.Path].Data = []byte("{") }, "FAIL audit"},
		"report for nobody": {func(_ *Node, f fstest.MapFS) { f[hwreport.Path].Mode = 0o600 }, "not 0644"},
	} {
		n, files := good(t)
		c.spoil(&n, files)
		if s, out := status(t, n); s != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: status %d, want 1 and %q\n%s", name, s, c.says, out)
		}
	}
}

func TestNoCableIsNoFault(t *testing.T) {
	n, files := good(t)
	files["run/bee/net.json"].Data = []byte(`{"interfaces":[{"name":"eth0"}]}`)
	if s, out := status(t, n); s != 0 || !strings.Contains(out, "note network") {
		t.Fatalf("status %d\n%s", s, out)
	}
}
