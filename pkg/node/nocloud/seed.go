package nocloud

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/sshserver"
)

// Bounds on a seed.
const (
	MaxFile = 256 << 10 // bytes of each file; the metadata services of clouds stop at 16 to 64 KiB
	maxKeys = 64        // SSH keys of a seed
	maxName = 40        // characters of a foreign word in a message
	maxTold = 40        // problems, and settings that are not honoured, that are told
)

// Seed is what a seed says, as far as bee honours it.
type Seed struct {
	InstanceID  string
	Hostname    string // first label; empty: none
	Keys        []sshserver.Key
	NotHonoured []string // settings by name, such as "user-data: packages"
	Problems    []string // what was meant for bee and could not be taken
}

// Parse reads the two files of a seed (cloud-init, reference/datasources/nocloud).
// It takes what it can: what is broken, unknown or not honoured is named.
func Parse(metaData, userData []byte) Seed {
	p := parser{}
	p.metaData(metaData)
	p.userData(userData)
	p.Problems, p.NotHonoured = bounded(p.Problems), bounded(p.NotHonoured)
	return p.Seed
}

// bounded keeps a seed from filling the log.
func bounded(list []string) []string {
	if len(list) <= maxTold {
		return list
	}
	return append(list[:maxTold:maxTold], fmt.Sprintf("and %d more", len(list)-maxTold))
}

// parser collects a seed; source is the file at hand.
type parser struct {
	Seed
	source  string
	tooMany bool
}

func (p *parser) problem(format string, args ...any) {
	p.Problems = append(p.Problems, p.source+": "+fmt.Sprintf(format, args...))
}

func (p *parser) notHonoured(what string) {
	p.NotHonoured = append(p.NotHonoured, p.source+": "+shortenTo(what, 2*maxName))
}

func (p *parser) metaData(text []byte) {
	p.source = "meta-data"
	settings, err := document(text)
	if err != nil {
		p.problem("%v", err)
		return
	}
	for _, s := range settings {
		switch s.name {
		case "instance-id":
			p.InstanceID = printable(scalar(s.value))
		case "local-hostname":
			p.hostname(s)
		case "public-keys":
			p.publicKeys(s)
		default:
			p.notHonoured(s.name)
		}
	}
}

// publicKeys takes the forms that cloud-init takes (normalize_pubkey_data): a
// text of lines, a list, or lists and texts by name.
func (p *parser) publicKeys(s setting) {
	if s.value.Kind != yaml.MappingNode {
		p.keys(s)
		return
	}
	byName, err := mapping(s.value)
	if err != nil {
		p.problem("public-keys: %v", err)
	}
	for _, k := range byName {
		p.keys(setting{"public-keys." + shorten(k.name), k.value})
	}
}

// keys takes a list of keys, or one text with a key a line.
func (p *parser) keys(s setting) {
	switch s.value.Kind {
	case yaml.ScalarNode:
		p.key(s.name, scalar(s.value))
	case yaml.SequenceNode:
		for i, item := range s.value.Content {
			item = resolve(item)
			if item.Kind != yaml.ScalarNode {
				p.problem("%s[%d] is no text", s.name, i)
				continue
			}
			if p.key(fmt.Sprintf("%s[%d]", s.name, i), scalar(item)); p.tooMany {
				return
			}
		}
	default:
		p.problem("%s is no list", s.name)
	}
}

func (p *parser) key(name, text string) {
	if strings.Contains(text, "PRIVATE KEY") { // what it says must not get into the log
		p.problem("%s is a private key: change it, others may have seen it", name)
		return
	}
	keys, warnings := sshserver.ParseAuthorizedKeys(name, []byte(text))
	for _, w := range warnings {
		p.problem("%s", w)
	}
	for _, k := range keys {
		if slices.ContainsFunc(p.Keys, func(other sshserver.Key) bool { return other.Fingerprint == k.Fingerprint }) {
			continue
		}
		if len(p.Keys) == maxKeys {
			if !p.tooMany {
				p.problem("more than %d SSH keys: the rest is left out", maxKeys)
			}
			p.tooMany = true
			return
		}
		p.Keys = append(p.Keys, k)
	}
}

// hostname takes the first label, as cloud-init does.
func (p *parser) hostname(s setting) {
	name, _, _ := strings.Cut(scalar(s.value), ".")
	if name == "" && s.value.Kind == yaml.ScalarNode {
		return // what tools write for none
	}
	if err := bootparam.CheckHostname(name); err != nil {
		p.problem("%s: %v", s.name, err)
		return
	}
	p.Hostname = name
}
