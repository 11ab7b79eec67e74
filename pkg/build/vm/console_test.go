package vm

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestConsole(t *testing.T) {
	start := time.Now()
	said, w := io.Pipe()
	var typed strings.Builder
	c := newConsole(start, &typed)
	go c.read(said)
	write := func(text string) {
		if _, err := io.WriteString(w, text); err != nil {
			t.Error(err)
		}
	}
	go write("one\r\n\x1b[1;31mtw")
	m, err := c.Expect(t.Context(), regexp.MustCompile(`tw`))
	if err != nil || m.Line != "tw" || m.Since <= 0 {
		t.Errorf("match %+v, %v", m, err)
	}
	go write("o\x1b[0m 7\nlogin: ")
	m, err = c.Wait(t.Context(), regexp.MustCompile(`two (\d)`))
	if err != nil || m.Text != "two 7" || m.Groups[0] != "7" || m.Line != "two 7" {
		t.Errorf("match %+v, %v", m, err)
	}
	if _, err = c.Expect(t.Context(), regexp.MustCompile(`login: $`)); err != nil {
		t.Error(err)
	}
	if err := c.Send("root\n"); err != nil || typed.String() != "root\n" {
		t.Errorf("typed %q, %v", typed.String(), err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Expect(ctx, regexp.MustCompile(`one`))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "two 7\n\tlogin: ") {
		t.Errorf("what was matched before matches again, or the error does not show the console: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Wait(t.Context(), regexp.MustCompile(`never`)); !errors.Is(err, io.EOF) {
		t.Errorf("error after the end: %v", err)
	}
	if want := "one\ntwo 7\nlogin: "; c.Text() != want {
		t.Errorf("text %q, want %q", c.Text(), want)
	}
}

func TestTimeOfMatch(t *testing.T) {
	start := time.Now()
	c := newConsole(start, io.Discard)
	c.add([]byte("a\n"), start.Add(1*time.Second), nil)
	c.add([]byte("\x1b[0m"), start.Add(2*time.Second), nil)
	c.add([]byte("b"), start.Add(3*time.Second), nil)
	c.add([]byte("c\n"), start.Add(4*time.Second), nil)
	for text, want := range map[string]time.Duration{"a": 1 * time.Second, "b": 3 * time.Second, "bc": 4 * time.Second} {
		m, err := c.Wait(t.Context(), regexp.MustCompile(text))
		if err != nil || m.Since != want {
			t.Errorf("%q seen at %v, want %v (%v)", text, m.Since, want, err)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\r\n":                   "plain\n",
		"\x1b[2J\x1b[1;1Hx\x1b[?25ly": "xy",
		"\x1b]0;title\x07a":           "a",
		"\x1b]0;title\x1b\\b":         "b",
		"\x1b(Bc\x1bcd\a":             "cd",
		"bee – ü\n":                   "bee – ü\n",
	} {
		var s escapeState
		var got []byte
		for _, b := range []byte(in) {
			if s.visible(b) {
				got = append(got, b)
			}
		}
		if string(got) != want {
			t.Errorf("%q shows as %q, want %q", in, got, want)
		}
	}
}
