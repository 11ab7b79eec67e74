// Package logship sends what the services and the kernel said since the boot to
// a remote syslog (RFC 5424), over UDP (RFC 5426) or TCP with octet counting
// (RFC 6587, 3.4.1). Nothing is sent unless bee.syslog names a server. What
// could not be sent is kept, up to a bound, and sent later; what fell out is
// told.
package logship

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Severities and facilities (RFC 5424, 6.2.1).
const (
	facilityKernel = 0
	facilityDaemon = 3
	severityInfo   = 6
)

// maxMessage is what every receiver must take over UDP without fragments on an
// ordinary network (RFC 5426, 3.2), bytes.
const maxMessage = 1280

// Message is one line to send.
type Message struct {
	Time     time.Time
	Facility int
	Severity int
	Program  string // "kernel", or a service
	Text     string
}

// Render gives the RFC 5424 form. host is this machine's name.
func (m Message) Render(host string) []byte {
	stamp := "-"
	if y := m.Time.Year(); y > 1 && y < 10000 {
		stamp = m.Time.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	s := fmt.Sprintf("<%d>1 %s %s %s - - - %s", m.Facility<<3|m.Severity&7, stamp, word(host, 255), word(m.Program, 48), clean(m.Text))
	if len(s) > maxMessage {
		s = s[:maxMessage]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return []byte(s)
}

// word is a header field: printable ASCII without blanks, at most n bytes, "-"
// where nothing is left.
func word(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if len(s) > n {
		s = s[:n]
	}
	if s == "" {
		return "-"
	}
	return s
}

// clean is a text in one line, valid UTF-8.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// Target reads bee.syslog: host[:port], with tcp:// or udp:// before it. The
// port is 514 (udp) or 601 (tcp, RFC 3195) where none is named.
func Target(s string) (network, addr string, err error) {
	network, port := "udp", "514"
	if rest, ok := strings.CutPrefix(s, "tcp://"); ok {
		network, port, s = "tcp", "601", rest
	} else {
		s = strings.TrimPrefix(s, "udp://")
	}
	host := s
	if h, p, err := net.SplitHostPort(s); err == nil {
		host, port = h, p
	}
	host = strings.Trim(host, "[]")
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" || strings.ContainsAny(host, "/ ") {
		return "", "", fmt.Errorf("read bee.syslog: %q is no host:port", s)
	}
	return network, net.JoinHostPort(host, port), nil
}

// Frame is how a message goes over the network.
func Frame(network string, message []byte) []byte {
	if network == "tcp" {
		return append(fmt.Appendf(nil, "%d ", len(message)), message...)
	}
	return message
}
