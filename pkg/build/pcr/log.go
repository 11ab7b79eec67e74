package pcr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Of the event log (PC Client Platform Firmware Profile, 10.2 and 10.4).
const (
	noAction  = 3 // EV_NO_ACTION: tells something and extends nothing
	algSHA256 = 0x000b
	signature = "Spec ID Event03\x00"
)

// errLog is said of a log that is cut short.
var errLog = errors.New("the event log is cut short")

// cursor takes bytes from the front.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad = true
		return nil
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u16() int {
	if p := c.take(2); p != nil {
		return int(binary.LittleEndian.Uint16(p))
	}
	return 0
}

func (c *cursor) u32() int {
	if p := c.take(4); p != nil {
		return int(binary.LittleEndian.Uint32(p))
	}
	return 0
}

// Log reads a TCG 2.0 event log, as Linux shows it in
// /sys/kernel/security/tpm0/binary_bios_measurements: the measurements of the
// SHA-256 bank in their order. What the machine measured after the firmware's
// last look, in its final events table, is part of that file too.
func Log(b []byte) ([]Event, error) {
	c := &cursor{b: b}
	c.take(4 + 4 + 20) // the first entry is of the old form
	sizes, err := algorithms(c.take(c.u32()))
	if err != nil {
		return nil, err
	}
	if c.bad {
		return nil, errLog
	}
	var list []Event
	for len(c.b) > 0 {
		register, kind := c.u32(), c.u32()
		var d Digest
		var found bool
		for range c.u32() {
			alg := c.u16()
			n, ok := sizes[alg]
			if !ok {
				return nil, fmt.Errorf("read the event log: a digest is of algorithm %#x, which its header does not name", alg)
			}
			p := c.take(n)
			if c.bad {
				return nil, errLog
			}
			if alg == algSHA256 {
				found = copy(d[:], p) == len(d)
			}
		}
		data := c.take(c.u32())
		if c.bad {
			return nil, errLog
		}
		if kind == noAction {
			continue
		}
		if !found {
			return nil, fmt.Errorf("read the event log: a measurement into PCR %d has no SHA-256 digest; turn that bank on in the firmware's setup", register)
		}
		list = append(list, Event{register, d, note(kind, data)})
	}
	return list, nil
}

// algorithms reads the header: how long the digests of each algorithm are.
func algorithms(b []byte) (map[int]int, error) {
	c := &cursor{b: b}
	if string(c.take(len(signature))) != signature {
		return nil, errors.New("read the event log: it is not of the form of TPM 2.0")
	}
	c.take(4 + 4) // platform class, version, size of an address
	sizes := make(map[int]int)
	for range c.u32() {
		alg, n := c.u16(), c.u16()
		if c.bad {
			return nil, errLog
		}
		sizes[alg] = n
	}
	return sizes, nil
}

// note is the kind of an event, and its text where it looks like one.
func note(kind int, data []byte) string {
	name, ok := kinds[kind]
	if !ok {
		name = fmt.Sprintf("event %#x", kind)
	}
	if t := text(data); t != "" {
		name += " " + t
	}
	return name
}

// text is data that is ASCII, or UTF-16 of it; else empty.
func text(data []byte) string {
	s := strings.TrimRight(string(data), "\x00")
	if printable(s) {
		return s
	}
	var units []uint16
	for ; len(data) > 1; data = data[2:] {
		units = append(units, binary.LittleEndian.Uint16(data))
	}
	s = strings.TrimRight(string(utf16.Decode(units)), "\x00")
	if printable(s) {
		return s
	}
	return ""
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < ' ' && r != '\n') || r > '~' })
}

// kinds are the events that boot loaders make, by their number.
var kinds = map[int]string{
	0x04: "EV_SEPARATOR", 0x05: "EV_ACTION", 0x06: "EV_EVENT_TAG", 0x0d: "EV_IPL",
	0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG", 0x80000002: "EV_EFI_VARIABLE_BOOT", 0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
	0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER", 0x80000006: "EV_EFI_GPT_EVENT", 0x80000007: "EV_EFI_ACTION",
	0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB", 0x80000009: "EV_EFI_HANDOFF_TABLES", 0x800000e0: "EV_EFI_VARIABLE_AUTHORITY",
}
