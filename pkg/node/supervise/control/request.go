package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of a connection.
const (
	MaxRequest = 64 << 10 // bytes of a request, its line end included
	MaxName    = 256      // bytes of a service's name; a path: condition is one too
	MaxLines   = 100_000  // log lines or events asked for at once
)

// Verb is what a request asks for.
type Verb string

// The verbs of the protocol.
const (
	VerbList           Verb = "list"
	VerbStatus         Verb = "status"
	VerbWhy            Verb = "why"
	VerbStart          Verb = "start"
	VerbStop           Verb = "stop"
	VerbRestart        Verb = "restart"
	VerbLog            Verb = "log"
	VerbEvents         Verb = "events"
	VerbBlame          Verb = "blame"
	VerbShutdown       Verb = "shutdown"
	VerbConsoleTake    Verb = "console-take"
	VerbConsoleRelease Verb = "console-release"
)

// Request is one line from a client.
type Request struct {
	Verb    Verb   `json:"verb"`
	Service string `json:"service,omitempty"` // log and events: empty means all of them; blame: sshd
	Follow  bool   `json:"follow,omitempty"`  // log, events: go on with what comes
	Lines   int    `json:"lines,omitempty"`   // log, events: the last so many; 0: all that is kept
	Action  Action `json:"action,omitempty"`  // shutdown
	Reason  string `json:"reason,omitempty"`  // stop, restart, shutdown: for the record
}

// needsService says which verbs make no sense without a name.
func needsService(v Verb) (needs, known bool) {
	switch v {
	case VerbStatus, VerbWhy, VerbStart, VerbStop, VerbRestart:
		return true, true
	case VerbList, VerbLog, VerbEvents, VerbBlame, VerbShutdown, VerbConsoleTake, VerbConsoleRelease:
		return false, true
	}
	return false, false
}

// ParseRequest reads one request line and checks all that can be checked
// without knowing the services.
func ParseRequest(line []byte) (Request, error) {
	var r Request
	if len(line) > MaxRequest {
		return r, fmt.Errorf("parse request: longer than %d bytes", MaxRequest)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("parse request: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Request{}, errors.New("parse request: more than one JSON value on the line")
	}
	if err := r.check(); err != nil {
		return Request{}, fmt.Errorf("parse request: %w", err)
	}
	return r, nil
}

func (r Request) check() error {
	needs, known := needsService(r.Verb)
	switch {
	case !known:
		return fmt.Errorf("unknown verb %q", r.Verb)
	case needs && r.Service == "":
		return fmt.Errorf("%s needs the name of a service", r.Verb)
	case len(r.Service) > MaxName:
		return fmt.Errorf("the name of a service has at most %d bytes", MaxName)
	case strings.ContainsFunc(r.Service+r.Reason, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return errors.New("control characters in a name or reason")
	case r.Lines < 0 || r.Lines > MaxLines:
		return fmt.Errorf("lines is not 0…%d", MaxLines)
	}
	if r.Verb == VerbShutdown {
		switch r.Action {
		case Reboot, Poweroff, Halt, Kexec:
		default:
			return fmt.Errorf("unknown action %q; known are reboot, poweroff, halt, kexec", r.Action)
		}
	}
	return nil
}

// Reply is one line to a client. Exactly one field is set, except that Done
// may stand alone to end a stream or say that all went well.
type Reply struct {
	Error    string   `json:"error,omitempty"`
	Done     bool     `json:"done,omitempty"`
	Services []Status `json:"services,omitempty"`
	Why      *Why     `json:"why,omitempty"`
	Log      *LogLine `json:"log,omitempty"`
	Event    *Event   `json:"event,omitempty"`
	Blame    *Blame   `json:"blame,omitempty"`
}
