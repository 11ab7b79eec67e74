package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/bee-os/bee/pkg/build/nearest"
)

// entry is one key of the file.
type entry struct {
	value any
	line  int // from 1
}

// readFile reads the keys of a file, and names those that nobody knows.
func readFile(text []byte) (map[string]entry, []located) {
	var values map[string]any
	err := toml.Unmarshal(text, &values)
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, column := bad.Position()
		return nil, []located{{place{line}, fmt.Errorf("%s line %d, column %d: %s", Name, line, column, strings.TrimPrefix(bad.Error(), "toml: "))}}
	}
	// The library does not say where a key stands that is set twice: lines does.
	lines, twice := lines(text)
	if twice != nil {
		return nil, []located{*twice}
	}
	if err != nil {
		return nil, []located{{place{1}, fmt.Errorf("%s: %w", Name, err)}}
	}
	file := make(map[string]entry)
	var errs []located
	for name, v := range values {
		line := lines[name]
		if !isKey(name) {
			errs = append(errs, located{place{line}, fmt.Errorf("%s line %d: unknown key %q%s (there are: %s)", Name, line, name, nearest.Suggest(name, keys()), join(keys()))})
			continue
		}
		file[name] = entry{v, line}
	}
	return file, errs
}

// lines finds where each key of the first level stands first, and the first one
// that is set twice.
func lines(text []byte) (map[string]int, *located) {
	found := make(map[string]int)
	var p unstable.Parser
	p.Reset(text)
	inside := false
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.KeyValue && inside {
			continue // of a table, which has its own line
		}
		inside = e.Kind != unstable.KeyValue
		key := e.Key()
		if !key.Next() {
			continue
		}
		name, line := string(key.Node().Data), p.Shape(key.Node().Raw).Start.Line
		if _, ok := found[name]; !ok {
			found[name] = line
		} else if !inside && key.IsLast() {
			return found, &located{place{line}, fmt.Errorf("%s line %d: the key %s is set in line %d already", Name, line, name, found[name])}
		}
	}
	return found, nil // what cannot be parsed, Unmarshal has told
}

func keys() []string {
	var list []string
	for _, d := range Table {
		list = append(list, d.Key)
	}
	return list
}

func isKey(name string) bool {
	for _, d := range Table {
		if d.Key == name {
			return true
		}
	}
	return false
}
