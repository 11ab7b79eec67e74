package shell

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
)

// maxChoices bounds the list that Tab shows.
const maxChoices = 200

// keywords and builtins that Tab knows besides the programs in PATH.
var completionWords = []string{
	"alias", "break", "case", "cd", "command", "continue", "do", "done", "echo", "elif", "else", "esac", "eval", "exec",
	"exit", "export", "false", "fi", "for", "getopts", "hash", "help", "if", "in", "jobs", "kill", "local", "printf", "pwd",
	"read", "readonly", "return", "set", "shift", "source", "test", "then", "times", "trap", "true", "type", "ulimit",
	"umask", "unalias", "unset", "until", "wait", "while",
}

// complete completes the word before pos: to what all possibilities share, or
// it returns them if they share no more.
func (sh *shell) complete(line string, pos int) (newLine string, newPos int, choices []string) {
	start := wordStart(line[:pos])
	word := unquote(line[start:pos])
	var found []string
	switch before := strings.TrimRight(line[:start], " \t"); {
	case strings.HasPrefix(word, "$"):
		found = sh.variables(word[1:])
	case isCommandPosition(before) && !strings.Contains(word, "/"):
		found = sh.commands(word)
	default:
		found = sh.files(word)
	}
	if len(found) == 0 {
		return line, pos, nil
	}
	slices.Sort(found)
	found = slices.Compact(found)
	shared := commonPrefix(found)
	text := escape(shared)
	if strings.HasPrefix(word, "~/") {
		text = "~/" + escape(shared[2:])
	} else if strings.HasPrefix(word, "$") {
		text = shared
	}
	if len(found) == 1 && !strings.HasSuffix(shared, "/") {
		text += " "
	}
	newLine = line[:start] + text + line[pos:]
	newPos = start + len(text)
	if newLine != line || len(found) == 1 {
		return newLine, newPos, nil
	}
	for i, f := range found {
		if i == maxChoices {
			choices = append(choices, "…")
			break
		}
		choices = append(choices, lastElement(f))
	}
	return line, pos, choices
}

// wordStart is where the word at the end of s begins.
func wordStart(s string) int {
	start := 0
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\\':
			i++
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte(" \t;|&<>()=`", c) >= 0:
			start = i + 1
		}
	}
	return start
}

// unquote removes the quoting of an unfinished word.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case '\'', '"':
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// escape is the inverse, with backslashes.
func escape(s string) string {
	var b strings.Builder
	for i, c := range s {
		if strings.ContainsRune(" \t\n\\'\"$`;|&<>()*?[]#!{}", c) || c == '~' && i == 0 {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// isCommandPosition reports whether a command may stand after before.
func isCommandPosition(before string) bool {
	if before == "" || strings.ContainsAny(before[len(before)-1:], ";|&(`{!") {
		return true
	}
	fields := strings.Fields(before)
	if len(fields) == 0 { // only blanks, such as the end of a line
		return true
	}
	switch fields[len(fields)-1] {
	case "then", "do", "else", "elif", "if", "while", "until", "sudo", "time", "exec", "command":
		return true
	}
	return false
}

func (sh *shell) commands(prefix string) []string {
	var found []string
	add := func(name string) {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	for _, w := range completionWords {
		add(w)
	}
	for name := range sh.runner.Funcs {
		add(name)
	}
	path := "/bin"
	if v, ok := sh.runner.Vars["PATH"]; ok {
		path = v.String()
	}
	for _, dir := range filepath.SplitList(path) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // as running a command would
		}
		for _, e := range entries {
			if !e.IsDir() {
				add(e.Name())
			}
		}
	}
	return found
}

func (sh *shell) variables(prefix string) []string {
	var found []string
	for name, v := range sh.runner.Vars {
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, "__sh_") && v.Kind == expand.String {
			found = append(found, "$"+name)
		}
	}
	return found
}

// files are the names that begin with prefix; folders end in a slash.
func (sh *shell) files(prefix string) []string {
	dir, base := filepath.Split(prefix)
	where := dir
	if strings.HasPrefix(where, "~/") {
		where = filepath.Join(os.Getenv("HOME"), where[2:])
	}
	if !filepath.IsAbs(where) {
		where = filepath.Join(sh.runner.Dir, where)
	}
	entries, err := os.ReadDir(where)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || base == "" && name[0] == '.' {
			continue
		}
		if fi, err := os.Stat(filepath.Join(where, name)); err == nil && fi.IsDir() {
			name += "/"
		}
		found = append(found, dir+name)
	}
	return found
}

// lastElement is what of a path is worth showing.
func lastElement(path string) string {
	if i := strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/'); i >= 0 {
		return path[i+1:]
	}
	return path
}

func commonPrefix(list []string) string {
	prefix := list[0]
	for _, s := range list[1:] {
		for !strings.HasPrefix(s, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return strings.ToValidUTF8(prefix, "")
}
