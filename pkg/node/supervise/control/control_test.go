package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// backend answers for two services.
type backend struct {
	did  []string
	lost chan struct{}
}

var list = []Status{{Name: "sshd", State: Ready, ReadyAfter: time.Second}, {Name: "network", State: Backoff}}

func (b *backend) List(context.Context) ([]Status, error) { return list, nil }
func (b *backend) Status(_ context.Context, name string) (Status, error) {
	if name != "sshd" {
		return Status{}, errors.New("no service is called " + name)
	}
	return list[0], nil
}
func (b *backend) Why(context.Context, string) (Why, error) { return Why{Status: list[1]}, nil }
func (b *backend) Start(_ context.Context, n string) error {
	b.did = append(b.did, "start "+n)
	return nil
}
func (b *backend) Stop(_ context.Context, n, _ string) error {
	b.did = append(b.did, "stop "+n)
	return nil
}
func (b *backend) Restart(_ context.Context, n, _ string) error {
	b.did = append(b.did, "restart "+n)
	return nil
}
func (b *backend) Blame(context.Context, string) (Blame, error) { return Blame{PID1: 7}, nil }
func (b *backend) Log(ctx context.Context, r Request, emit func(LogLine) error) error {
	for range 3 {
		if err := emit(LogLine{Service: "sshd", Text: "line"}); err != nil {
			return err
		}
	}
	if r.Follow {
		<-ctx.Done()
	}
	return nil
}
func (b *backend) Events(_ context.Context, _ Request, emit func(Event) error) error {
	return emit(Event{Service: "sshd", Text: "up"})
}
func (b *backend) Shutdown(_ context.Context, a Action, why string) error {
	b.did = append(b.did, string(a)+" "+why)
	return nil
}
func (b *backend) TakeConsole() (<-chan struct{}, func()) {
	b.lost = make(chan struct{})
	return b.lost, func() {}
}
func (b *backend) ReleaseConsole() { close(b.lost) }

func serve(t *testing.T) (*backend, *Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{}
	ended := make(chan error)
	go func() { ended <- (&Server{Backend: b, UID: uint32(os.Getuid())}).Serve(t.Context(), l) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, c, path
}

func TestConversation(t *testing.T) {
	b, c, path := serve(t)
	ctx := t.Context()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", st.Mode(), err)
	}
	if got, err := c.List(ctx); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("list: %+v, %v", got, err)
	}
	if _, err := c.Status(ctx, "ghost"); err == nil || err.Error() != "no service is called ghost" {
		t.Errorf("status: %v", err)
	}
	if w, err := c.Why(ctx, "network"); err != nil || w.Status.Name != "network" {
		t.Errorf("why: %+v, %v", w, err)
	}
	if bl, err := c.Blame(ctx, ""); err != nil || bl.PID1 != 7 {
		t.Errorf("blame: %+v, %v", bl, err)
	}
	for _, err := range []error{c.Start(ctx, "a"), c.Stop(ctx, "a"), c.Restart(ctx, "a"), c.Shutdown(ctx, Reboot, "why")} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(b.did, ", "); got != "start a, stop a, restart a, reboot why" {
		t.Error(got)
	}
	if err := c.Start(ctx, ""); err == nil {
		t.Error("a start without a name was sent")
	}
	events := 0
	if err := c.Events(ctx, "", 0, false, func(Event) error { events++; return nil }); err != nil || events != 1 {
		t.Error(events, err)
	}
}

func TestFollowEndsWithTheReader(t *testing.T) {
	_, c, _ := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	lines := 0
	err := c.Log(ctx, "", 0, true, func(LogLine) error {
		if lines++; lines == 3 {
			cancel()
		}
		return nil
	})
	if lines != 3 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d lines, %v", lines, err)
	}
}

func TestConsoleIsLent(t *testing.T) {
	_, c, _ := serve(t)
	owner, err := c.TakeConsole(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ReleaseConsole(t.Context()); err != nil {
		t.Fatal(err)
	}
	owner.Lost() // comes back, since it was taken away
	if err := owner.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestBadRequestIsAnswered(t *testing.T) {
	_, _, path := serve(t)
	f, err := dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	r, err := newReplyReader(f).next()
	if err != nil || !strings.Contains(r.Error, "parse request") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDialNamesTheRemedy(t *testing.T) {
	if _, err := Dial(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "bee's init") {
		t.Error(err)
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{`{"verb":"list"}`, `{"verb":"log","service":"sshd","follow":true,"lines":5}`, `{"verb":"shutdown","action":"kexec"}`, `{}`, `[]`, `{"verb":"list"}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			if r != (Request{}) && len(b) <= MaxRequest {
				t.Errorf("%+v beside %v", r, err)
			}
			return
		}
		if r.check() != nil || len(r.Service) > MaxName || r.Lines < 0 || r.Lines > MaxLines {
			t.Errorf("taken: %+v", r)
		}
	})
}
