package svc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// fake is a supervisor with two services.
type fake struct {
	Client
	did []string
	err error
}

var sshd = control.Status{Name: "sshd", Summary: "SSH server", State: control.Ready, Wanted: control.Up, PID: 7, ReadyAt: 2 * time.Second, Since: time.Now()}
var network = control.Status{Name: "network", State: control.Backoff, Wanted: control.Up, CrashLoop: true, Reason: "exit status 1", LastLog: []string{"no card"}}

func (f *fake) List(context.Context) ([]control.Status, error) {
	return []control.Status{sshd, network}, f.err
}

func (f *fake) Status(_ context.Context, name string) (control.Status, error) {
	if name == "network" {
		return network, f.err
	}
	return sshd, f.err
}

func (f *fake) Why(context.Context, string) (control.Why, error) {
	return control.Why{Status: network, Chain: []control.Status{sshd}}, f.err
}
func (f *fake) Start(_ context.Context, n string) error {
	f.did = append(f.did, "start "+n)
	return f.err
}
func (f *fake) Stop(_ context.Context, n string) error {
	f.did = append(f.did, "stop "+n)
	return f.err
}
func (f *fake) Restart(_ context.Context, n string) error {
	f.did = append(f.did, "restart "+n)
	return f.err
}
func (f *fake) Shutdown(_ context.Context, a control.Action, _ string) error {
	f.did = append(f.did, "shutdown "+string(a))
	return f.err
}

func (f *fake) Log(_ context.Context, name string, n int, follow bool, line func(control.LogLine) error) error {
	return errors.Join(line(control.LogLine{Service: "sshd", Text: "hello"}), f.err)
}

func (f *fake) Blame(context.Context, string) (control.Blame, error) {
	return control.Blame{PID1: time.Second, Chain: []control.BlameEntry{{Name: "sshd", State: control.Ready, Ready: time.Second}}}, f.err
}

func call(f *fake, args string) (status int, out, errText string) {
	var o, e bytes.Buffer
	status = run(strings.Fields(args), &o, &e, func() (Client, error) { return f, nil })
	return status, o.String(), e.String()
}

func TestVerbs(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		says   string // on standard output, or on standard error when it failed
		does   string
	}{
		{"", 0, "network", ""},
		{"list", 0, "crash loop", ""},
		{"status sshd", 0, "SSH server", ""},
		{"status network", notWell, "no card", ""},
		{"why network", 0, "└ sshd", ""},
		{"start sshd", 0, "", "start sshd"},
		{"stop sshd", 0, "", "stop sshd"},
		{"restart sshd", 0, "", "restart sshd"},
		{"log sshd -n 5", 0, "hello", ""},
		{"log", 0, "sshd: hello", ""},
		{"blame", 0, "critical chain", ""},
		{"shutdown", 0, "", "shutdown poweroff"},
		{"shutdown reboot", 0, "", "shutdown reboot"},
		{"shutdown now", 1, "none of reboot", ""},
		{"stop", 1, "takes 1 to 1", ""},
		{"fly", 1, "unknown verb", ""},
		{"--odd", 1, "unknown option", ""},
		{"log -n -1", 1, "-n is 0", ""},
		{"--help", 0, "usage", ""},
	} {
		f := &fake{}
		status, out, errText := call(f, c.args)
		if status != c.status || !strings.Contains(out+errText, c.says) || strings.Join(f.did, ",") != c.does {
			t.Errorf("svc %s: status %d, did %q\n%s%s", c.args, status, f.did, out, errText)
		}
	}
}

func TestJSON(t *testing.T) {
	_, out, _ := call(&fake{}, "--json list")
	var list []control.Status
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestErrorsAreTold(t *testing.T) {
	for _, verb := range []string{"list", "status sshd", "why sshd", "start sshd", "stop sshd", "restart sshd", "log", "blame", "shutdown"} {
		status, _, errText := call(&fake{err: errors.New("no way")}, verb)
		if status != 1 || !strings.Contains(errText, "no way") {
			t.Errorf("svc %s: status %d, %q", verb, status, errText)
		}
	}
}
