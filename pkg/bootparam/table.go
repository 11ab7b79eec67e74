package bootparam

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Prefix is what every parameter of bee begins with.
const Prefix = "bee."

// Definition is one kernel parameter.
type Definition struct {
	Name    string // with prefix
	Usage   string // how it is written
	Meaning string // one line
	Flag    bool   // may stand without a value
	Secret  bool   // its value never reaches a log

	set  func(*Params, string) error
	get  func(Params) []string
	over func(before []string, value string) error // judges the words before it, and sets nothing
}

// take reads a value; before are the words that stand in front of it.
func (d Definition) take(p *Params, before []string, value string) error {
	if d.over != nil {
		return d.over(before, value)
	}
	return d.set(p, value)
}

// Table holds every parameter. Adding one is adding a line here.
var Table = []Definition{
	{Name: "bee.ssh_key", Usage: `bee.ssh_key="ssh-ed25519 AAAA… user@host"`, Meaning: "authorised for root and the operator beside the keys baked in; repeatable",
		set: setSSHKey, get: func(p Params) []string { return p.SSHKeys }},
	{Name: "bee.password_hash", Usage: "bee.password_hash=$6$…", Meaning: "crypt(5) hash for the operator `bee`; without keys and without this a random password is made at boot and shown on the console only", Secret: true,
		set: setPasswordHash, get: func(p Params) []string { return nonEmpty(p.PasswordHash) }},
	{Name: "bee.hostname", Usage: "bee.hostname=NAME", Meaning: "host name; default: what DHCP offers, else `bee-<mac>`",
		set: setHostname, get: func(p Params) []string { return nonEmpty(p.Hostname) }},
	{Name: "bee.ip", Usage: "bee.ip=dhcp|off|ADDR/PREFIX[@NIC],[GATEWAY],[DNS…]", Meaning: "addresses by hand, `@NIC` also after dhcp and off; repeatable; default: DHCP on every physical NIC",
		set: setIP, get: getIP},
	{Name: "bee.nic", Usage: "bee.nic=NAME|MAC,…", Meaning: "use these network interfaces only",
		set: func(p *Params, v string) error { return appendList(&p.NIC, v) }, get: func(p Params) []string { return joined(p.NIC) }},
	{Name: "bee.vlan", Usage: "bee.vlan=NIC.ID,…", Meaning: "make tagged interfaces (802.1Q)",
		set: setVLAN, get: getVLAN},
	{Name: "bee.ntp", Usage: "bee.ntp=HOST,…", Meaning: "time servers; default: those that DHCP offers, else none is asked",
		set: func(p *Params, v string) error { return appendList(&p.NTP, v) }, get: func(p Params) []string { return joined(p.NTP) }},
	{Name: "bee.syslog", Usage: "bee.syslog=[tcp://|udp://]HOST[:PORT]", Meaning: "send every log line there (RFC 5424), those from before the network too",
		set: func(p *Params, v string) error { return setString(&p.Syslog, v) }, get: func(p Params) []string { return nonEmpty(p.Syslog) }},
	{Name: "bee.module", Usage: `bee.module="NAME [option=value …]"`, Meaning: "load a module besides those that the devices ask for; repeatable",
		set: setModule, get: getModule},
	{Name: "bee.blacklist", Usage: "bee.blacklist=MODULE,…", Meaning: "never load these modules",
		set: func(p *Params, v string) error { return appendList(&p.Blacklist, v) }, get: func(p Params) []string { return joined(p.Blacklist) }},
	{Name: "bee.nvidia", Usage: "bee.nvidia=off|modeset", Meaning: "leave the NVIDIA driver alone, or load its module for screens too",
		set: setNVIDIA, get: getNVIDIA},
	{Name: "bee.nocloud", Usage: "bee.nocloud=on|off", Meaning: "take SSH keys and host name of a NoCloud seed (a volume labelled `cidata`); default: in virtual machines",
		set: setNoCloud, get: func(p Params) []string { return nonEmpty(p.NoCloud) }},
	{Name: "bee.watchdog", Usage: "bee.watchdog=SECONDS|off", Meaning: "timeout of the hardware watchdog; default: 30 where there is one",
		set: setWatchdog, get: getWatchdog},
	{Name: "bee.reboot_on_failure", Usage: "bee.reboot_on_failure", Meaning: "reboot when something that SSH needs failed for good; default: stay, say why, keep the console", Flag: true,
		set: func(p *Params, v string) error { return setFlag(&p.RebootOnFailure, v) }, get: func(p Params) []string { return flagWord(p.RebootOnFailure, "") }},
	{Name: "bee.debug", Usage: "bee.debug", Meaning: "say more on the console", Flag: true,
		set: func(p *Params, v string) error { return setFlag(&p.Debug, v) }, get: func(p Params) []string { return flagWord(p.Debug, "") }},
	{Name: "bee.shell", Usage: "bee.shell", Meaning: "stop for a shell on the console before any service starts", Flag: true,
		set: func(p *Params, v string) error { return setFlag(&p.Shell, v) }, get: func(p Params) []string { return flagWord(p.Shell, "") }},
	{Name: BlockName, Usage: "bee.block=SUM", Meaning: "written by `go tool mage patch` after the words of a medium's parameter block; a warning tells when those words did not arrive as they were written",
		over: checkBlock},
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func joined(list []string) []string { return nonEmpty(strings.Join(list, ",")) }

func flagWord(on bool, word string) []string {
	if !on {
		return nil
	}
	return []string{word}
}

func setFlag(dst *bool, v string) (err error) {
	b, err := parseFlag(v)
	if err == nil {
		*dst = b
	}
	return err
}

func setString(dst *string, v string) error {
	if v == "" {
		return errors.New("empty")
	}
	*dst = v
	return nil
}

func appendList(dst *[]string, v string) error {
	var list []string
	for _, item := range strings.Split(v, ",") {
		if item == "" {
			return errors.New("empty item in the list")
		}
		list = append(list, item)
	}
	*dst = append(*dst, list...)
	return nil
}

func setSSHKey(p *Params, v string) error {
	fields := strings.Fields(v)
	if len(fields) < 2 {
		return errors.New("not a public key: type and base64 expected; is the value in double quotes?")
	}
	p.SSHKeys = append(p.SSHKeys, strings.Join(fields, " "))
	return nil
}

func setPasswordHash(p *Params, v string) error {
	if !strings.HasPrefix(v, "$") || strings.Count(v, "$") < 3 {
		return errors.New("not a crypt(5) hash")
	}
	p.PasswordHash = v
	return nil
}

func setHostname(p *Params, v string) error {
	if err := CheckHostname(v); err != nil {
		return err
	}
	p.Hostname = v
	return nil
}

// CheckHostname says what is wrong with a host name (RFC 1123, 2.1); labels may
// be parted by dots.
func CheckHostname(v string) error {
	if len(v) == 0 || len(v) > 64 { // HOST_NAME_MAX, gethostname(2)
		return errors.New("a host name has 1 to 64 characters")
	}
	for _, label := range strings.Split(v, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("bad label %q (RFC 1123)", label)
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
				return fmt.Errorf("character %q has no place in a host name (RFC 1123)", r)
			}
		}
	}
	return nil
}

func setNoCloud(p *Params, v string) error {
	on, err := parseFlag(v)
	if err != nil {
		return err
	}
	if p.NoCloud = "off"; on {
		p.NoCloud = "on"
	}
	return nil
}

func setIP(p *Params, v string) error {
	parts := strings.Split(v, ",")
	method, nic, _ := strings.Cut(parts[0], "@")
	ip := IP{Method: method, NIC: nic}
	if method == "dhcp" || method == "off" {
		if len(parts) > 1 {
			return fmt.Errorf("%s takes no gateway and no DNS", method)
		}
		p.IP = append(p.IP, ip)
		return nil
	}
	prefix, err := netip.ParsePrefix(method)
	if err != nil {
		return err
	}
	ip.Method, ip.Addr = "static", prefix
	for i, part := range parts[1:] {
		if part == "" {
			continue
		}
		addr, err := netip.ParseAddr(part)
		if err != nil {
			return err
		}
		if i == 0 {
			ip.Gateway = addr
		} else {
			ip.DNS = append(ip.DNS, addr)
		}
	}
	p.IP = append(p.IP, ip)
	return nil
}

func getIP(p Params) []string {
	var out []string
	for _, ip := range p.IP {
		word := ip.Method
		if ip.Method == "static" {
			word = ip.Addr.String()
		}
		if ip.NIC != "" {
			word += "@" + ip.NIC
		}
		if ip.Gateway.IsValid() {
			word += "," + ip.Gateway.String()
		} else if len(ip.DNS) > 0 {
			word += ","
		}
		for _, d := range ip.DNS {
			word += "," + d.String()
		}
		out = append(out, word)
	}
	return out
}

func setVLAN(p *Params, v string) error {
	var list []VLAN
	for _, item := range strings.Split(v, ",") {
		i := strings.LastIndexByte(item, '.')
		if i < 1 {
			return fmt.Errorf("%q has no NIC.ID", item)
		}
		id, err := strconv.Atoi(item[i+1:])
		if err != nil || id < 1 || id > 4094 {
			return fmt.Errorf("VLAN id %q is not 1…4094", item[i+1:])
		}
		list = append(list, VLAN{NIC: item[:i], ID: id})
	}
	p.VLAN = append(p.VLAN, list...)
	return nil
}

func getVLAN(p Params) []string {
	var list []string
	for _, v := range p.VLAN {
		list = append(list, v.NIC+"."+strconv.Itoa(v.ID))
	}
	return joined(list)
}

func setModule(p *Params, v string) error {
	name, options, _ := strings.Cut(strings.TrimSpace(v), " ")
	if name == "" || strings.ContainsAny(name, "/=") {
		return fmt.Errorf("%q is no module name", name)
	}
	p.Modules = append(p.Modules, Module{Name: name, Options: strings.TrimSpace(options)})
	return nil
}

func getModule(p Params) []string {
	var out []string
	for _, m := range p.Modules {
		out = append(out, strings.TrimSpace(m.Name+" "+m.Options))
	}
	return out
}

func setNVIDIA(p *Params, v string) error {
	if v == "modeset" {
		p.NVIDIAOff, p.NVIDIAModeset = false, true
		return nil
	}
	on, err := parseFlag(v)
	if err == nil {
		p.NVIDIAOff, p.NVIDIAModeset = !on, false
	}
	return err
}

func getNVIDIA(p Params) []string {
	if p.NVIDIAModeset && !p.NVIDIAOff {
		return []string{"modeset"}
	}
	return flagWord(p.NVIDIAOff, "off")
}

func setWatchdog(p *Params, v string) error {
	if v == "off" || v == "0" {
		p.Watchdog = -1
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(v, "s"))
	if err != nil || n < 5 || n > 3600 {
		return fmt.Errorf("%q is not 5…3600 seconds", v)
	}
	p.Watchdog = time.Duration(n) * time.Second
	return nil
}

func getWatchdog(p Params) []string {
	switch {
	case p.Watchdog == 0:
		return nil
	case p.Watchdog < 0:
		return []string{"off"}
	}
	return []string{strconv.Itoa(int(p.Watchdog / time.Second))}
}
