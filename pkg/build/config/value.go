package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bee-os/bee/pkg/build/nearest"
	"github.com/bee-os/bee/pkg/build/paramblock"
)

// Kind is what the value of a key is.
type Kind int

// The kinds.
const (
	Word   Kind = iota // a string
	Path               // a string that names a file or folder
	Words              // a list of strings; in the environment parted by blanks, quotes hold them together, or by commas
	Switch             // true or false; in the environment on or off
	Size               // a string such as "512 MiB"
	Files              // tables of source, path and mode
)

// String says how a value is written in the file.
func (k Kind) String() string {
	return [...]string{"a string", "a path as a string", "a list of strings", "true or false", `a size such as "512 MiB"`, "tables with source, path and mode"}[k]
}

// value is what a key is set to.
type value struct {
	text  string
	list  []string
	files []map[string]string
}

// all is every string of a value.
func (v value) all() []string {
	list := append([]string{}, v.list...)
	if v.text != "" {
		list = append(list, v.text)
	}
	for _, f := range v.files {
		for _, name := range fileKeys {
			if f[name] != "" {
				list = append(list, f[name])
			}
		}
	}
	return list
}

// fileKeys are the keys of one of the tables of files.
var fileKeys = []string{"source", "path", "mode"}

// fromText reads a value of the environment.
func (k Kind) fromText(s string) (value, error) {
	switch k {
	case Words:
		if !strings.ContainsAny(s, " \t=") {
			s = strings.ReplaceAll(s, ",", " ")
		}
		list, err := paramblock.Fields(s)
		return value{list: list}, err
	case Switch:
		if s != "on" && s != "off" {
			return value{}, fmt.Errorf("%q is neither on nor off", s)
		}
	case Files:
		var v value
		for _, f := range strings.Fields(s) {
			source, rest, ok := strings.Cut(f, ":")
			path, mode, _ := strings.Cut(rest, ":")
			if !ok {
				return value{}, fmt.Errorf("%q is not of the form SOURCE:PATH[:MODE]", f)
			}
			v.files = append(v.files, map[string]string{"source": source, "path": path, "mode": mode})
		}
		return v, nil
	}
	return value{text: s}, nil
}

// fromFile reads a value of the file, as the TOML library gives it.
func (k Kind) fromFile(a any) (value, error) {
	wrong := fmt.Errorf("want %s", k)
	switch k {
	case Words:
		list, err := texts(a)
		if err != nil {
			return value{}, wrong
		}
		return value{list: list}, nil
	case Switch:
		switch a {
		case true:
			return value{text: "on"}, nil
		case false:
			return value{text: "off"}, nil
		}
		return value{}, wrong
	case Files:
		tables, ok := a.([]any)
		if !ok {
			return value{}, wrong
		}
		var v value
		for i, t := range tables {
			f, err := oneFile(t)
			if err != nil {
				return value{}, fmt.Errorf("file %d: %w", i+1, err)
			}
			v.files = append(v.files, f)
		}
		return v, nil
	}
	s, ok := a.(string)
	if !ok || s == "" {
		return value{}, wrong
	}
	return value{text: s}, nil
}

func texts(a any) ([]string, error) {
	items, ok := a.([]any)
	if !ok {
		return nil, errors.New("no list")
	}
	var list []string
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			return nil, errors.New("no string")
		}
		list = append(list, s)
	}
	return list, nil
}

func oneFile(a any) (map[string]string, error) {
	table, ok := a.(map[string]any)
	if !ok {
		return nil, errors.New("want a table with source, path and mode")
	}
	f := make(map[string]string)
	for name, v := range table {
		s, ok := v.(string)
		known := false
		for _, k := range fileKeys {
			known = known || k == name
		}
		switch {
		case !known:
			return nil, fmt.Errorf("unknown key %q%s (there are: %s)", name, nearest.Suggest(name, fileKeys), join(fileKeys))
		case !ok:
			return nil, fmt.Errorf("%s: want a string", name)
		}
		f[name] = s
	}
	return f, nil
}

// noSecret refuses what is the content of a key's file rather than its name.
// The value is not shown.
func noSecret(s string) error {
	if strings.Contains(s, "-----BEGIN") || strings.Contains(s, "PRIVATE KEY") {
		return errors.New("this is the content of a key's file; secrets have no place here: name the file")
	}
	if strings.ContainsAny(s, "\n\r\x00") {
		return errors.New("the value has more than one line")
	}
	return nil
}

func join(names []string) string { return strings.Join(names, ", ") }
