package shell

import (
	"os"
	"path/filepath"
	"strings"
)

const defaultPS1 = `\u@\h:\w\$ `

// prompt is PS1, or PS2 in the middle of a command.
func (sh *shell) prompt(again bool) string {
	name, text := "PS1", defaultPS1
	if again {
		name, text = "PS2", "> "
	}
	if v, ok := sh.runner.Vars[name]; ok && v.IsSet() {
		text = v.String()
	} else if v := os.Getenv(name); v != "" {
		text = v
	}
	if again {
		return text
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return expandPrompt(text, promptValues{
		user: user(), host: host, dir: sh.runner.Dir, home: os.Getenv("HOME"), root: os.Geteuid() == 0,
	})
}

type promptValues struct {
	user, host, dir, home string
	root                  bool
}

// expandPrompt knows \u \h \H \w \W \$ \n \e \[ \] \\ of bash's prompts.
func expandPrompt(text string, v promptValues) string {
	dir := v.dir
	if v.home != "" && v.home != "/" && (dir == v.home || strings.HasPrefix(dir, v.home+"/")) {
		dir = "~" + dir[len(v.home):]
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch text[i] {
		case 'u':
			b.WriteString(v.user)
		case 'h':
			host, _, _ := strings.Cut(v.host, ".")
			b.WriteString(host)
		case 'H':
			b.WriteString(v.host)
		case 'w':
			b.WriteString(dir)
		case 'W':
			b.WriteString(filepath.Base(dir))
		case '$':
			if v.root {
				b.WriteByte('#')
			} else {
				b.WriteByte('$')
			}
		case 'n':
			b.WriteByte('\n')
		case 'e':
			b.WriteByte(27)
		case '[', ']':
		case '\\':
			b.WriteByte('\\')
		default:
			b.WriteByte('\\')
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// user is who the shell runs as; no user database is needed for the two there
// are.
func user() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "bee"
}
