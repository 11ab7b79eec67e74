package shell

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

const usage = `usage: sh [-aefilnuxC] [-o OPTION] [-c COMMAND [NAME [ARG…]] | -s [ARG…] | FILE [ARG…]]
`

// options are sh's command line (POSIX, sh).
type options struct {
	name        string // $0
	params      []string
	set         []string // for the interpreter's set
	command     string   // -c
	hasCommand  bool
	script      string // a file
	login       bool
	interactive bool
}

func parseOptions(args []string) (options, error) {
	o := options{name: "sh"}
	if len(args) > 0 {
		o.name = args[0]
		o.login = strings.HasPrefix(filepath.Base(args[0]), "-")
		args = args[1:]
	}
	stdin := false
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" || arg == "-" {
			args = args[1:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' && arg[0] != '+' {
			break
		}
		args = args[1:]
		if strings.HasPrefix(arg, "--") {
			if arg != "--login" {
				return o, fmt.Errorf("unknown option %s", arg)
			}
			o.login = true
			continue
		}
		sign, rest := arg[:1], arg[1:]
		for _, c := range rest {
			switch c {
			case 'c':
				o.hasCommand = true
			case 's':
				stdin = true
			case 'i':
				o.interactive = sign == "-"
			case 'l':
				o.login = sign == "-"
			case 'a', 'e', 'f', 'n', 'u', 'x':
				o.set = append(o.set, sign+string(c))
			case 'o':
				if len(args) == 0 {
					return o, errors.New("option -o needs a name")
				}
				o.set = append(o.set, sign+"o", args[0])
				args = args[1:]
			case 'b', 'h', 'm', 'v', 'C', 'E', 'B', 'p':
				// what they ask for is not there: notification, hashing, job
				// control; refusing them would only break scripts
			default:
				return o, fmt.Errorf("unknown option %s%c", sign, c)
			}
		}
	}
	switch {
	case o.hasCommand:
		if len(args) == 0 {
			return o, errors.New("option -c needs a command")
		}
		o.command = args[0]
		if args = args[1:]; len(args) > 0 {
			o.name, args = args[0], args[1:]
		}
	case !stdin && len(args) > 0:
		o.script, o.name, args = args[0], args[0], args[1:]
	}
	o.params = args
	return o, nil
}
