package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
)

// serveQMP answers as QEMU does: replies maps a command to what it returns.
func serveQMP(t *testing.T, replies map[string]string) *QMP {
	t.Helper()
	near, far := net.Pipe()
	q := newQMP(near)
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	go func() {
		fmt.Fprintln(far, `{"QMP": {"version": {}, "capabilities": []}}`)
		for s := bufio.NewScanner(far); s.Scan(); {
			var r struct {
				Execute   string
				ID        int
				Arguments map[string]any
			}
			if err := json.Unmarshal(s.Bytes(), &r); err != nil {
				t.Error(err)
			}
			answer, ok := replies[r.Execute]
			switch {
			case r.Execute == "quit":
				far.Close()
				return
			case !ok:
				answer = `"error": {"class": "CommandNotFound", "desc": "no such thing"}`
			case strings.Contains(answer, "%"):
				args, _ := json.Marshal(r.Arguments)
				answer = fmt.Sprintf(answer, args)
			}
			fmt.Fprintf(far, "{\"event\": \"NIC_RX_FILTER_CHANGED\"}\n{\"id\": %d, %s}\n", r.ID, answer)
		}
	}()
	return q
}

func TestQMP(t *testing.T) {
	q := serveQMP(t, map[string]string{
		"qmp_capabilities": `"return": {}`,
		"query-status":     `"return": {"status": "running", "running": true}`,
		"echo":             `"return": %s`,
		"set_link":         `"return": {}`,
	})
	if s, err := q.Status(t.Context()); err != nil || s != "running" {
		t.Errorf("status %q, %v", s, err)
	}
	var got map[string]any
	if err := q.Do(t.Context(), "echo", map[string]any{"a": "b"}, &got); err != nil || got["a"] != "b" {
		t.Errorf("echo %v, %v", got, err)
	}
	if err := q.SetLink(t.Context(), 0, false); err != nil {
		t.Error(err)
	}
	if err := q.Powerdown(t.Context()); err == nil || !strings.Contains(err.Error(), "system_powerdown: no such thing") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Do(ctx, "quit", nil, nil); err == nil {
		t.Error("quit was answered")
	}
	if _, err := q.Status(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("error after QEMU ended: %v", err)
	}
}

const usernet = `net0:
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  22       127.0.0.1 33669       10.0.2.15    80     0     0
  TCP[HOST_FORWARD]  20       127.0.0.1 36215       10.0.2.15    22     0     0
  UDP[236 sec]       25       10.0.2.15 49212        10.0.2.3    53     0     0
`

func TestParseForwards(t *testing.T) {
	got, err := parseForwards(usernet)
	if err != nil || !maps.Equal(got, map[int]int{22: 36215, 80: 33669}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzParseForwards(f *testing.F) {
	f.Add(usernet)
	f.Add("TCP[HOST_FORWARD] 1 * 99999999999999999999 * 22")
	f.Fuzz(func(t *testing.T, text string) {
		if ports, err := parseForwards(text); err != nil && ports != nil {
			t.Error("ports and an error")
		}
	})
}
