package notify

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxLine is the longest line in bytes, its end included.
const MaxLine = 1024

// Verb is the first word of a line.
type Verb uint8

// The verbs that a service may use.
const (
	VerbReady Verb = iota + 1
	VerbDegraded
	VerbStatus
	VerbCondition
	VerbSkipped
)

// Message is one line from a service.
type Message struct {
	Verb Verb
	Text string // reason, status text or the condition's name
	Up   bool   // of a condition
}

// Parse reads one line without its end. The bytes come from a child process
// and are not trusted.
func Parse(line []byte) (Message, error) {
	if len(line) >= MaxLine {
		return Message{}, fmt.Errorf("parse notify line: longer than %d bytes", MaxLine)
	}
	verb, rest, _ := strings.Cut(clean(line), " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "ready":
		return Message{Verb: VerbReady, Text: rest}, nil
	case "degraded":
		return Message{Verb: VerbDegraded, Text: rest}, nil
	case "status":
		return Message{Verb: VerbStatus, Text: rest}, nil
	case "skipped":
		return Message{Verb: VerbSkipped, Text: rest}, nil
	case "condition":
		name, word, _ := strings.Cut(rest, " ")
		if name == "" || (word != "up" && word != "down") {
			return Message{}, errors.New("parse notify line: want `condition <name> up|down`")
		}
		return Message{Verb: VerbCondition, Text: name, Up: word == "up"}, nil
	}
	return Message{}, fmt.Errorf("parse notify line: unknown word %q; known are ready, degraded, status, condition, skipped", verb)
}

// clean makes printable text of foreign bytes: what is not UTF-8 and control
// characters, which could drive a terminal, become '?'.
func clean(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' || (r >= 0x7f && r < 0xa0) {
			return '?'
		}
		return r
	}, string(b))
}
