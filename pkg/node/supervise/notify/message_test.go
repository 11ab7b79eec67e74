package notify

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]Message{
		"ready":                {Verb: VerbReady},
		"ready on port 22":     {Verb: VerbReady, Text: "on port 22"},
		"degraded no IPv6":     {Verb: VerbDegraded, Text: "no IPv6"},
		"status \x1b[31mred":   {Verb: VerbStatus, Text: "?[31mred"},
		"skipped no GPU":       {Verb: VerbSkipped, Text: "no GPU"},
		"condition route up":   {Verb: VerbCondition, Text: "route", Up: true},
		"condition clock down": {Verb: VerbCondition, Text: "clock"},
	} {
		if got, err := Parse([]byte(line)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "READY=1", "condition route", "condition  up", "condition route sideways", "status " + strings.Repeat("x", MaxLine)} {
		if got, err := Parse([]byte(line)); err == nil {
			t.Errorf("%q was taken as %+v", line, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("condition route up"))
	f.Add([]byte("degraded \xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err == nil && (m.Verb == 0 || !utf8.ValidString(m.Text) || strings.ContainsAny(m.Text, "\x00\x1b\n\r")) {
			t.Errorf("%q: %+v", b, m)
		}
	})
}
