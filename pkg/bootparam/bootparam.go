// Package bootparam is the contract between whoever writes a kernel command
// line (the builder, a boot loader, an operator) and the node that reads it:
// every bee.* parameter stands as one typed line in one table, from which
// parsing, rendering, the help text and the README's table are made.
//
// An unknown or malformed parameter is a warning and never stops a boot.
package bootparam

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Params is what the kernel command line asks of bee. The zero value is a
// machine that nobody told anything.
type Params struct {
	SSHKeys         []string      // authorized_keys lines (sshd(8), AUTHORIZED_KEYS FILE FORMAT), for root and the operator
	PasswordHash    string        // crypt(5) hash of the operator's password
	Hostname        string        // RFC 1123 host name; empty: DHCP, else bee-<mac>
	IP              []IP          // how each NIC gets its address; empty: DHCP on every physical NIC
	NIC             []string      // use only these NICs (name or MAC); empty: all physical ones
	VLAN            []VLAN        // tagged interfaces to make (IEEE 802.1Q)
	NTP             []string      // time servers to ask; empty: those that DHCP offers
	Syslog          string        // host:port or tcp://host:port of a remote syslog (RFC 5424, UDP by default); empty: none
	Modules         []Module      // modules to load besides those that the devices ask for
	Blacklist       []string      // modules never to load
	NVIDIAOff       bool          // do not load the NVIDIA driver
	NVIDIAModeset   bool          // load its module for screens too
	NoCloud         string        // "on" or "off": whether SSH keys and host name of a NoCloud seed are taken; empty: in virtual machines
	Watchdog        time.Duration // hardware watchdog timeout; 0: default (30 s where there is a device); negative: off
	RebootOnFailure bool          // reboot when a service that SSH needs failed for good
	Debug           bool          // verbose
	Shell           bool          // stop for a console shell before the services start
}

// IP is one bee.ip= value.
type IP struct {
	Method  string       // "dhcp", "off" or "static"
	NIC     string       // name or MAC; empty: every physical NIC (dhcp, off) or the first with carrier (static)
	Addr    netip.Prefix // static only
	Gateway netip.Addr   // optional
	DNS     []netip.Addr // optional
}

// VLAN is one bee.vlan= value: a tagged interface <NIC>.<ID>.
type VLAN struct {
	NIC string // parent interface, name or MAC
	ID  int    // 1…4094
}

// Module is one bee.module= value.
type Module struct {
	Name    string // as in modules.dep, '-' and '_' alike
	Options string // space separated, as finit_module(2) takes them
}

// A Warning is a parameter that was left out of Params, and why.
type Warning struct {
	Param  string // as written on the command line
	Reason string
}

func (w Warning) String() string {
	return fmt.Sprintf("kernel parameter %s ignored: %s", w.Param, w.Reason)
}

// Parse reads a kernel command line (/proc/cmdline). Words without the prefix
// "bee." are the kernel's own and passed over. It never fails: what cannot be
// understood is returned as warnings.
func Parse(cmdline string) (Params, []Warning) {
	var p Params
	var warns []Warning
	words := Split(cmdline)
	for n, word := range words {
		if word == "--" { // the rest belongs to init, see kernel-parameters.rst
			break
		}
		if !strings.HasPrefix(word, Prefix) {
			continue
		}
		name, value, hasValue := strings.Cut(word, "=")
		name = strings.ReplaceAll(name, "-", "_")
		i := slices.IndexFunc(Table, func(d Definition) bool { return d.Name == name })
		if i < 0 {
			warns = append(warns, Warning{word, "unknown; known are " + strings.Join(Names(), " ")})
			continue
		}
		if !hasValue && !Table[i].Flag {
			warns = append(warns, Warning{word, "needs a value: " + Table[i].Usage})
			continue
		}
		if err := Table[i].take(&p, words[:n], value); err != nil {
			shown := word
			if Table[i].Secret {
				shown = name + "=…"
			}
			warns = append(warns, Warning{shown, err.Error() + "; want " + Table[i].Usage})
		}
	}
	return p, warns
}

// Split cuts a kernel command line into words as the kernel does
// (lib/cmdline.c, next_arg): double quotes protect blanks and may stand around
// the value or the whole word. A NUL ends it.
func Split(cmdline string) []string {
	var words []string
	var b strings.Builder
	quoted, open := false, false
	cmdline, _, _ = strings.Cut(cmdline, "\x00")
	for _, r := range strings.TrimRight(cmdline, "\n") {
		switch {
		case r == '"':
			quoted, open = !quoted, true
		case !quoted && (r == ' ' || r == '\t' || r == '\n'):
			if open {
				words = append(words, b.String())
				b.Reset()
			}
			open = false
		default:
			b.WriteRune(r)
			open = true
		}
	}
	if open {
		words = append(words, b.String())
	}
	return words
}

// Render is the inverse of Parse: the shortest command line that gives p, in
// the table's order, quoted where a value holds blanks.
func Render(p Params) string {
	var words []string
	for _, d := range Table {
		if d.get == nil {
			continue
		}
		for _, v := range d.get(p) {
			switch {
			case d.Flag && v == "":
				words = append(words, d.Name)
			case strings.ContainsAny(v, " \t\n"):
				words = append(words, d.Name+`="`+v+`"`)
			default:
				words = append(words, d.Name+"="+v)
			}
		}
	}
	return strings.Join(words, " ")
}

// Names lists every parameter in the table's order.
func Names() []string {
	names := make([]string, len(Table))
	for i, d := range Table {
		names[i] = d.Name
	}
	return names
}

// Secret says whether the value of a parameter must reach no log and no
// report.
func Secret(name string) bool {
	name = strings.ReplaceAll(name, "-", "_")
	return slices.ContainsFunc(Table, func(d Definition) bool { return d.Name == name && d.Secret })
}

// Help is the table as text, a line a parameter.
func Help() string {
	var b strings.Builder
	for _, d := range Table {
		fmt.Fprintf(&b, "%-42s %s\n", d.Usage, d.Meaning)
	}
	return b.String()
}

// Markdown is the table as the README shows it; a test compares the two.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| parameter | meaning |\n|---|---|\n")
	for _, d := range Table {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(d.Usage, "|", `\|`), d.Meaning)
	}
	return b.String()
}

func parseFlag(v string) (bool, error) {
	switch v {
	case "", "1", "y", "yes", "on", "true":
		return true, nil
	case "0", "n", "no", "off", "false":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither on nor off", strconv.Quote(v))
}
