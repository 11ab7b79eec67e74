// Package excerpt is the commands head and tail as coreutils has them (head(1),
// tail(1); POSIX.1-2024): u-root's know no `head -3`, no `tail -c` and no exit
// status for a file that is not there. Left out are negative counts of head,
// multipliers such as 1k, and tail -F; they are refused, not misread.
package excerpt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// options of both commands.
type options struct {
	count    int64 // lines or bytes
	bytes    bool
	from     bool // tail: beginning with the count-th, from 1, instead of the last count
	follow   bool // tail: go on as the file grows
	quiet    bool // never a header
	loud     bool // always a header
	files    []string
	mayTail  bool // tail's own options are known
	optsOver bool
}

// errUsage is wrapped by what is wrong with a command line.
var errUsage = errors.New("usage")

// parse reads a command line as getopt(3) does, and -N for -n N.
func parse(args []string, tail bool) (options, error) {
	o := options{count: 10, mayTail: tail}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case o.optsOver || a == "-" || !strings.HasPrefix(a, "-"):
			o.files = append(o.files, a)
		case a == "--":
			o.optsOver = true
		case strings.HasPrefix(a, "--"):
			if err := o.long(a[2:]); err != nil {
				return o, err
			}
		default:
			used, err := o.short(a[1:], args[i+1:])
			if err != nil {
				return o, err
			}
			i += used
		}
	}
	if len(o.files) == 0 {
		o.files = []string{"-"}
	}
	return o, nil
}

func (o *options) long(a string) error {
	name, value, _ := strings.Cut(a, "=")
	switch {
	case name == "lines" || name == "bytes":
		return o.number(value, name == "bytes")
	case a == "quiet" || a == "silent":
		o.quiet, o.loud = true, false
	case a == "verbose":
		o.quiet, o.loud = false, true
	case a == "follow" && o.mayTail:
		o.follow = true
	default:
		return fmt.Errorf("%w: unknown option --%s", errUsage, a)
	}
	return nil
}

// short reads one word of short options; used says how many of the words after
// it belong to it.
func (o *options) short(a string, rest []string) (used int, err error) {
	for i := 0; i < len(a); i++ {
		switch c := a[i]; {
		case c == 'n' || c == 'c':
			value := a[i+1:]
			if value == "" {
				if len(rest) == 0 {
					return 0, fmt.Errorf("%w: option -%c needs a number", errUsage, c)
				}
				value, used = rest[0], 1
			}
			return used, o.number(value, c == 'c')
		case c >= '0' && c <= '9' && i == 0:
			n := len(a) - len(strings.TrimLeft(a, "0123456789"))
			if err := o.number(a[:n], false); err != nil {
				return 0, err
			}
			i = n - 1
		case c == 'q':
			o.quiet, o.loud = true, false
		case c == 'v':
			o.quiet, o.loud = false, true
		case c == 'f' && o.mayTail:
			o.follow = true
		default:
			return 0, fmt.Errorf("%w: unknown option -%c", errUsage, c)
		}
	}
	return 0, nil
}

func (o *options) number(s string, bytes bool) error {
	digits, from := s, false
	if o.mayTail {
		if d, ok := strings.CutPrefix(s, "+"); ok {
			digits, from = d, true
		} else {
			digits = strings.TrimPrefix(s, "-") // tail -n -3 is tail -n 3
		}
	}
	if strings.Trim(digits, "0123456789") != "" {
		return fmt.Errorf("%w: %q is no number of lines or bytes that is known here", errUsage, s)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %q is no number of lines or bytes", errUsage, s)
	}
	o.count, o.bytes, o.from = n, bytes, from
	return nil
}

// command is one run.
type command struct {
	options
	name   string
	stdin  *os.File
	stdout io.Writer
	stderr io.Writer
	shown  string // whose header was written last
	status int
}

// each calls f for every file, under its header.
func (c *command) each(f func(name string, file *os.File) error) {
	for _, name := range c.files {
		file, err := c.stdin, error(nil)
		if name != "-" {
			file, err = os.Open(name)
		}
		if err == nil {
			if c.headers() {
				err = c.header(name)
			}
			if err == nil {
				err = f(name, file)
			}
			if !c.follow {
				err = errors.Join(err, closeFile(file, c.stdin))
			}
		}
		if err != nil {
			c.fail(name, err)
		}
	}
}

func closeFile(f, stdin *os.File) error {
	if f == stdin {
		return nil
	}
	return f.Close()
}

// headers says whether files are told apart.
func (c *command) headers() bool { return c.loud || len(c.files) > 1 && !c.quiet }

func (c *command) header(name string) error {
	lead := "\n"
	if c.shown == "" {
		lead = ""
	}
	c.shown = name
	if name == "-" {
		name = "standard input"
	}
	_, err := fmt.Fprintf(c.stdout, "%s==> %s <==\n", lead, name)
	return err
}

func (c *command) fail(name string, err error) {
	c.status = 1
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if !errors.Is(err, syscall.EPIPE) { // who reads it has enough
		fmt.Fprintf(c.stderr, "%s: %s: %v\n", c.name, name, err)
	}
}
