package nocloud

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// setting is one key of a mapping with its value, which is no alias.
type setting struct {
	name  string // as it stands there: not fit for a log line
	value *yaml.Node
}

// document reads a YAML document whose top is a mapping; an empty one has no
// settings. The tree is looked at as it was written and never expanded, so that
// aliases of aliases cost nothing.
func document(text []byte) ([]setting, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is no UTF-8 text")
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var n yaml.Node
	if err := d.Decode(&n); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, wrong(err)
	}
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		return nil, errors.New("it holds more than one YAML document")
	} else if !errors.Is(err, io.EOF) {
		return nil, wrong(err)
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
		return nil, errors.New("it is no YAML document")
	}
	top := resolve(n.Content[0])
	if top.Kind == yaml.ScalarNode && top.ShortTag() == "!!null" {
		return nil, nil
	}
	return mapping(top)
}

// wrong makes a parser's error fit for a log line: its text may quote the seed.
func wrong(err error) error { return errors.New(shortenTo(err.Error(), 120)) }

// resolve is what an alias stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias // the parser makes no alias of an alias
	}
	return n
}

// mapping lists the settings of a mapping in their order. One that stands twice
// makes it an error: which of the two is meant cannot be known (YAML 1.2.2,
// 3.2.1.3).
func mapping(n *yaml.Node) ([]setting, error) {
	if n.Kind != yaml.MappingNode {
		return nil, errors.New("it is no mapping of settings")
	}
	var list []setting
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: the name of a setting is no text", key.Line)
		}
		if seen[key.Value] {
			return nil, fmt.Errorf("line %d: %s stands there twice", key.Line, shorten(key.Value))
		}
		seen[key.Value] = true
		list = append(list, setting{key.Value, resolve(n.Content[i+1])})
	}
	return list, nil
}

// scalar is the text of a value; empty where it is none or null.
func scalar(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}

// shorten makes a foreign word fit for a log line and a terminal.
func shorten(s string) string { return shortenTo(s, maxName) }

func shortenTo(s string, n int) string {
	s = printable(s)
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// printable drops control characters, which could fake log lines or drive a
// terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}
