package nocloud

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// operators are the users of a cloud-config whose keys are taken: bee has no
// others. Whoever has one of the keys may log in as bee and as root.
var operators = []string{"bee", "root", "default"}

// kinds are what user-data can be besides a cloud-config (cloud-init,
// explanation/format), by how it begins. The longest that fits counts.
var kinds = []struct{ begins, name string }{
	{"#!", "a script, which is not run"},
	{"#cloud-config-archive", "an archive of several parts"},
	{"#cloud-config-jsonp", "a JSON patch"},
	{"#cloud-boothook", "a boot hook, which is not run"},
	{"#part-handler", "a program, which is not run"},
	{"#include", "a list of addresses, and nothing is fetched at boot"},
	{"## template:", "a template"},
	{"Content-Type: multipart", "a MIME message of several parts"},
	{"MIME-Version:", "a MIME message of several parts"},
	{"From ", "a MIME message of several parts"},
	{"\x1f\x8b", "compressed"},
}

const cloudConfig = "#cloud-config"

// checkKind says why user-data is not read; empty: it is a cloud-config.
func checkKind(text []byte) string {
	for _, k := range kinds {
		if bytes.HasPrefix(text, []byte(k.begins)) {
			return "it is " + k.name
		}
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	rest, ok := bytes.CutPrefix(line, []byte(cloudConfig))
	if !ok || len(rest) > 0 && rest[0] > ' ' {
		return "its first line is not " + cloudConfig
	}
	return ""
}

func (p *parser) userData(text []byte) {
	p.source = "user-data"
	if len(bytes.TrimSpace(text)) == 0 {
		return
	}
	if why := checkKind(text); why != "" {
		p.problem("refused: %s; only a document that begins with %s is read", why, cloudConfig)
		return
	}
	settings, err := document(text)
	if err != nil {
		p.problem("%v", err)
		return
	}
	var named setting
	for _, s := range settings {
		switch s.name {
		case "ssh_authorized_keys":
			p.keys(s)
		case "users":
			p.users(s)
		case "hostname":
			named = s
		case "fqdn": // its first label, where there is no host name
			if named.value == nil {
				named = s
			}
		default:
			p.notHonoured(s.name)
		}
	}
	if named.value != nil {
		p.hostname(named)
	}
}

// users takes the keys of the users whom bee has.
func (p *parser) users(s setting) {
	if s.value.Kind != yaml.SequenceNode {
		p.notHonoured("users, which is no list")
		return
	}
	for i, item := range s.value.Content {
		item = resolve(item)
		where := fmt.Sprintf("users[%d]", i)
		if item.Kind == yaml.ScalarNode {
			p.knownUser(where, scalar(item))
			continue
		}
		fields, err := mapping(item)
		if err != nil {
			p.problem("%s: %v", where, err)
			continue
		}
		p.user(where, fields)
		if p.tooMany {
			return
		}
	}
}

func (p *parser) user(where string, fields []setting) {
	name := ""
	for _, f := range fields {
		if f.name == "name" {
			name = scalar(f.value)
		}
	}
	if !p.knownUser(where, name) {
		return
	}
	for _, f := range fields {
		switch f.name {
		case "name":
		case "ssh_authorized_keys", "ssh-authorized-keys": // cloud-init takes both
			p.keys(setting{where + "." + f.name, f.value})
		default:
			p.notHonoured(where + "." + f.name)
		}
	}
}

// knownUser says whether a user's keys are taken; of another the whole entry is
// not honoured.
func (p *parser) knownUser(where, name string) bool {
	if slices.Contains(operators, name) {
		return true
	}
	p.notHonoured(fmt.Sprintf("%s (user %q; there are %s)", where, shorten(name), strings.Join(operators, ", ")))
	return false
}
