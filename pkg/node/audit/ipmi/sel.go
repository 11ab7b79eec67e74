package ipmi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// maxEvents bounds how many entries of the log are read.
const maxEvents = 1024

// Log is the system event log (31).
type Log struct {
	Entries  int // that the controller states
	Free     int // bytes; 65535: at least so many
	Overflow bool
	Events   []Event // oldest first; at most maxEvents
	Cut      bool    // there are more
}

// Event is one entry (32).
type Event struct {
	ID        uint16
	Type      byte      // 02h: event; the others are OEM's
	Time      time.Time // zero: the clock was not set
	Sensor    byte
	Kind      byte // sensor type
	EventType byte
	Deassert  bool
	Data      [3]byte
}

// ReadLog reads the event log. What came before an error is returned with it.
func (c Client) ReadLog(ctx context.Context) (Log, error) {
	b, err := c.do(ctx, 0x0a, 0x40)
	if err == nil {
		err = atLeast(b, 14, "the event log's state")
	}
	if err != nil {
		return Log{}, err
	}
	l := Log{Entries: int(le.Uint16(b[1:])), Free: int(le.Uint16(b[3:])), Overflow: b[13]&0x80 != 0}
	if l.Entries == 0 {
		return l, nil
	}
	seen := map[uint16]bool{}
	for id := uint16(0); id != 0xffff; {
		if len(l.Events) == maxEvents {
			l.Cut = true
			return l, nil
		}
		if seen[id] {
			return l, fmt.Errorf("read the event log: entry %#04x comes twice: the list is a loop", id)
		}
		seen[id] = true
		b, err := c.do(ctx, 0x0a, 0x43, 0, 0, byte(id), byte(id>>8), 0, 0xff)
		if errors.Is(err, CodeNotPresent) && id == 0 {
			return l, nil // it was emptied meanwhile
		}
		if err == nil {
			err = atLeast(b, 18, "an event")
		}
		if err != nil {
			return l, err
		}
		id = le.Uint16(b)
		l.Events = append(l.Events, ParseEvent([16]byte(b[2:18])))
	}
	return l, nil
}

// ParseEvent decodes an entry.
func ParseEvent(b [16]byte) Event {
	e := Event{ID: le.Uint16(b[:]), Type: b[2]}
	if e.Type >= 0xe0 {
		return e // OEM without a time
	}
	if t, err := stamp(b[3:7]); err == nil {
		e.Time = t
	}
	if e.Type == 2 {
		e.Sensor, e.Kind, e.EventType, e.Deassert, e.Data = b[11], b[10], b[12]&0x7f, b[12]&0x80 != 0, [3]byte(b[13:16])
	}
	return e
}

// Gravity sorts events for triage.
type Gravity int

// The gravities.
const (
	Routine Gravity = iota
	Notable
	Grave
)

// Judge tells what an event means, and how grave it is (tables 42-2 and 42-3).
// An event that went away again is routine.
func (e Event) Judge() (string, Gravity) {
	if e.Type != 2 {
		return fmt.Sprintf("OEM record %#02x", e.Type), Routine
	}
	offset := e.Data[0] & 0xf
	text, g := "", Routine
	switch {
	case e.EventType == 1 && int(offset) < len(thresholdEvents):
		t := thresholdEvents[offset]
		text, g = t.text, t.g
	case e.EventType == 0x6f:
		for _, s := range specific {
			if s.kind == e.Kind && s.offset == offset {
				text, g = s.text, s.g
			}
		}
	case e.EventType == 0x0b && offset > 0 && offset < 8: // redundancy
		text, g = [...]string{"", "redundancy lost", "redundancy degraded", "redundancy lost, enough left", "not redundant, enough left", "not redundant, too little", "redundancy degraded from full", "redundancy degraded from none"}[offset], Notable
	case e.EventType == 0x07 && offset > 0 && offset < 7: // severity
		text = [...]string{"", "to non-critical", "to critical", "to non-recoverable", "to non-critical from worse", "to critical from worse", "to non-recoverable"}[offset]
		if offset == 1 || offset == 4 {
			g = Notable
		} else {
			g = Grave
		}
	}
	if text == "" {
		text = fmt.Sprintf("event type %#02x offset %d", e.EventType, offset)
	}
	if e.Deassert {
		return text + " (over)", Routine
	}
	return text, g
}

var thresholdEvents = [...]struct {
	text string
	g    Gravity
}{
	{"lower non-critical going low", Notable}, {"lower non-critical going high", Routine}, {"lower critical going low", Grave}, {"lower critical going high", Routine},
	{"lower non-recoverable going low", Grave}, {"lower non-recoverable going high", Routine}, {"upper non-critical going low", Routine}, {"upper non-critical going high", Notable},
	{"upper critical going low", Routine}, {"upper critical going high", Grave}, {"upper non-recoverable going low", Routine}, {"upper non-recoverable going high", Grave},
}

// specific are the events of table 42-3 that a person acts upon.
var specific = []struct {
	kind, offset byte
	text         string
	g            Gravity
}{
	{0x05, 0, "chassis intrusion", Notable},
	{0x07, 0, "internal error", Grave}, {0x07, 1, "thermal trip", Grave}, {0x07, 2, "self-test failed", Grave}, {0x07, 4, "startup failed", Grave}, {0x07, 5, "configuration error", Grave},
	{0x07, 8, "processor disabled", Notable}, {0x07, 10, "throttled by heat", Notable}, {0x07, 11, "machine check", Grave}, {0x07, 12, "correctable machine check", Notable},
	{0x08, 1, "power supply failed", Grave}, {0x08, 2, "power supply about to fail", Grave}, {0x08, 3, "input lost", Grave}, {0x08, 4, "input lost or out of range", Grave}, {0x08, 5, "input out of range", Notable}, {0x08, 6, "configuration error", Notable},
	{0x09, 4, "AC lost", Notable}, {0x09, 5, "soft power control failed", Grave}, {0x09, 6, "power unit failed", Grave}, {0x09, 7, "power unit about to fail", Grave},
	{0x0c, 0, "correctable ECC", Notable}, {0x0c, 1, "uncorrectable ECC", Grave}, {0x0c, 2, "parity error", Grave}, {0x0c, 3, "scrub failed", Grave}, {0x0c, 4, "memory device disabled", Grave}, {0x0c, 5, "correctable ECC limit reached", Grave}, {0x0c, 7, "configuration error", Notable}, {0x0c, 8, "spare memory in use", Notable}, {0x0c, 9, "throttled", Notable}, {0x0c, 10, "critical temperature", Grave},
	{0x0d, 1, "drive fault", Grave}, {0x0d, 2, "drive about to fail", Grave}, {0x0d, 5, "array degraded", Grave}, {0x0d, 6, "array failed", Grave},
	{0x0f, 0, "firmware error", Grave}, {0x0f, 1, "firmware hang", Grave},
	{0x10, 2, "log cleared", Routine}, {0x10, 4, "log full", Notable}, {0x10, 5, "log nearly full", Notable},
	{0x13, 0, "NMI button", Notable}, {0x13, 1, "bus timeout", Grave}, {0x13, 2, "I/O channel check", Grave}, {0x13, 4, "PCI PERR", Grave}, {0x13, 5, "PCI SERR", Grave}, {0x13, 7, "bus correctable error", Notable}, {0x13, 8, "bus uncorrectable error", Grave}, {0x13, 10, "bus fatal error", Grave},
	{0x19, 0, "soft power control failed", Grave}, {0x19, 1, "thermal trip", Grave},
	{0x20, 1, "kernel panic", Grave},
	{0x21, 0, "slot fault", Grave},
	{0x23, 0, "watchdog expired", Notable}, {0x23, 1, "watchdog reset the machine", Grave}, {0x23, 2, "watchdog powered off", Grave}, {0x23, 3, "watchdog power cycled", Grave},
	{0x28, 2, "controller unavailable", Notable}, {0x28, 4, "sensor failed", Notable},
	{0x29, 0, "battery low", Notable}, {0x29, 1, "battery failed", Notable},
}

// StateNames names the states that a discrete sensor asserts, those of table
// 42-3 that a person acts upon.
func StateNames(kind, eventType byte, states uint16) []string {
	var list []string
	for offset := byte(0); offset < 15; offset++ {
		if states>>offset&1 == 0 {
			continue
		}
		if kind == 0x08 && offset == 0 && eventType == 0x6f {
			list = append(list, "present")
			continue
		}
		if text, g := (Event{Type: 2, Kind: kind, EventType: eventType, Data: [3]byte{offset}}).Judge(); g != Routine {
			list = append(list, text)
		}
	}
	return list
}
