package bootparam

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// compare compares addresses by value.
var compare = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
var comparePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestParse(t *testing.T) {
	for _, c := range []struct {
		cmdline string
		want    Params
	}{
		{"", Params{}},
		{"console=ttyS0,115200 root=/dev/ram0 quiet", Params{}},
		{`bee.ssh_key="ssh-ed25519  AAAA  u@h" bee.ssh-key="ssh-rsa BBBB"`, Params{SSHKeys: []string{"ssh-ed25519 AAAA u@h", "ssh-rsa BBBB"}}},
		{`"bee.ssh_key=ssh-ed25519 AAAA"`, Params{SSHKeys: []string{"ssh-ed25519 AAAA"}}},
		{"bee.password_hash=$6$salt$hash bee.hostname=rack7-u12.example", Params{PasswordHash: "$6$salt$hash", Hostname: "rack7-u12.example"}},
		{"bee.ip=dhcp@eth0 bee.ip=off@eth1 bee.ip=192.0.2.7/24@52:54:00:00:00:01,192.0.2.1,192.0.2.2,2001:db8::1 bee.ip=2001:db8::7/64,,2001:db8::1", Params{IP: []IP{
			{Method: "dhcp", NIC: "eth0"},
			{Method: "off", NIC: "eth1"},
			{Method: "static", NIC: "52:54:00:00:00:01", Addr: netip.MustParsePrefix("192.0.2.7/24"), Gateway: netip.MustParseAddr("192.0.2.1"), DNS: []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}},
			{Method: "static", Addr: netip.MustParsePrefix("2001:db8::7/64"), DNS: []netip.Addr{netip.MustParseAddr("2001:db8::1")}},
		}}},
		{"bee.nic=eth0,eth1 bee.nic=eth2 bee.vlan=eth0.100,bond0.1.4094", Params{NIC: []string{"eth0", "eth1", "eth2"}, VLAN: []VLAN{{"eth0", 100}, {"bond0.1", 4094}}}},
		{"bee.ntp=a,b bee.syslog=tcp://logs:6514", Params{NTP: []string{"a", "b"}, Syslog: "tcp://logs:6514"}},
		{`bee.module="nbd nbds_max=4 max_part=8" bee.module=loop bee.blacklist=ast,mgag200`, Params{Modules: []Module{{"nbd", "nbds_max=4 max_part=8"}, {"loop", ""}}, Blacklist: []string{"ast", "mgag200"}}},
		{"bee.nvidia=off bee.watchdog=60 bee.reboot_on_failure bee.debug=1 bee.shell=no", Params{NVIDIAOff: true, Watchdog: time.Minute, RebootOnFailure: true, Debug: true}},
		{"bee.watchdog=off bee.debug", Params{Watchdog: -1, Debug: true}},
		{"bee.debug -- bee.shell", Params{Debug: true}},
		{"bee.hostname=first bee.hostname=second\n", Params{Hostname: "second"}},
	} {
		got, warnings := Parse(c.cmdline)
		if len(warnings) > 0 {
			t.Errorf("%s: %v", c.cmdline, warnings)
		}
		if d := cmp.Diff(c.want, got, compare, comparePrefix); d != "" {
			t.Errorf("%s: %s", c.cmdline, d)
		}
		again, _ := Parse(Render(got))
		if d := cmp.Diff(got, again, compare, comparePrefix); d != "" {
			t.Errorf("%s: not the same after Render %s: %s", c.cmdline, Render(got), d)
		}
	}
}

// TestParseBad: what cannot be understood is told and left out, and the rest
// holds.
func TestParseBad(t *testing.T) {
	for word, want := range map[string]string{
		"bee.hots=1":                  "unknown",
		"bee.hostname":                "needs a value",
		"bee.hostname=":               "1 to 64",
		"bee.hostname=-a":             "RFC 1123",
		"bee.hostname=a..b":           "RFC 1123",
		"bee.hostname=a_b":            "RFC 1123",
		"bee.ssh_key=ssh-ed25519":     "double quotes",
		"bee.ip=192.0.2.1":            "bee.ip=dhcp|off|ADDR/PREFIX",
		"bee.ip=dhcp,192.0.2.1":       "no gateway",
		"bee.ip=192.0.2.1/24,gateway": "gateway",
		"bee.nic=a,,b":                "empty item",
		"bee.vlan=eth0":               "NIC.ID",
		"bee.vlan=eth0.0":             "1…4094",
		"bee.vlan=eth0.4095":          "1…4094",
		"bee.module=../evil":          "no module name",
		"bee.nvidia=maybe":            "neither on nor off",
		"bee.watchdog=1":              "5…3600",
		"bee.debug=perhaps":           "neither on nor off",
		"bee.syslog=":                 "empty",
		"bee.block=12":                "16 hexadecimal digits",
		"bee.block=0123456789abcdef":  "not those that were written",
	} {
		p, warnings := Parse("bee.ntp=a " + word + " bee.shell")
		if len(warnings) != 1 || !strings.Contains(warnings[0].String(), want) || !strings.Contains(warnings[0].String(), word) {
			t.Errorf("%s: %v, want one warning with %q", word, warnings, want)
		}
		if d := cmp.Diff(Params{NTP: []string{"a"}, Shell: true}, p, compare, comparePrefix); d != "" {
			t.Errorf("%s: %s", word, d)
		}
	}
}

func TestSecretsStayOutOfWarnings(t *testing.T) {
	_, warnings := Parse("bee.password_hash=hunter2")
	if len(warnings) != 1 || strings.Contains(warnings[0].String(), "hunter2") {
		t.Errorf("%v", warnings)
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"":                       nil,
		"  a\tb \n":              {"a", "b"},
		`a="b c" "d=e f" g=""`:   {"a=b c", "d=e f", "g="},
		`open="never closed x`:   {"open=never closed x"},
		"nul\x00":                {"nul"},
		`""`:                     {""},
		`mid"dle quo"ted=1 rest`: {"middle quoted=1", "rest"},
	} {
		if d := cmp.Diff(want, Split(in)); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}

func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range Table {
		if !strings.HasPrefix(d.Name, Prefix) || !strings.HasPrefix(d.Usage, d.Name) || d.Meaning == "" || (d.set == nil || d.get == nil) == (d.over == nil) || seen[d.Name] {
			t.Errorf("%+v is not a whole line of its own", d.Name)
		}
		seen[d.Name] = true
	}
	if n := strings.Count(Markdown(), "\n"); n != len(Table)+2 {
		t.Errorf("Markdown has %d lines", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`bee.ssh_key="ssh-ed25519 AAAA u@h" bee.debug`, "bee.ip=192.0.2.7/24@eth0,,192.0.2.1", `bee.module="a b=c"`, `bee.nic=" "`, "bee.watchdog=30s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cmdline string) {
		p, warnings := Parse(cmdline)
		for _, w := range warnings {
			if w.Reason == "" {
				t.Errorf("%q: a warning without a reason", cmdline)
			}
		}
		line := Render(p)
		again, warnings := Parse(line)
		if len(warnings) > 0 {
			t.Errorf("%q renders as %q, which gives %v", cmdline, line, warnings)
		}
		if d := cmp.Diff(p, again, compare, comparePrefix); d != "" {
			t.Errorf("%q renders as %q: %s", cmdline, line, d)
		}
	})
}
