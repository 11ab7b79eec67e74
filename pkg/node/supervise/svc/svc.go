// Package svc is the operator's side of the supervisor: the command svc, and
// shutdown, reboot, poweroff and halt, which are short for one of its verbs.
package svc

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

const usage = `usage: svc [--json] VERB [ARGUMENT]

  list                     every service and its state
  status NAME              all that is known of one
  why NAME                 what holds it up, or what made it fail
  start NAME               want it up, and what it needs
  stop NAME                want it down; those that need it go first
  restart NAME             both
  log [-f] [-n N] [NAME]   what services wrote; -f goes on with what comes
  events [-f] [-n N] [NAME]  what happened to them
  blame [NAME]             where the time of the boot went; the chain of NAME (sshd)
  shutdown [reboot|poweroff|halt|kexec]  leave the machine, in order

The exit status is 0, or 1 when it could not be done; of status, 3 when the
service is not well.
`

// notWell is the exit status of svc status for a service that does not do what
// it is for.
const notWell = 3

// Client is what svc needs of control.Client.
type Client interface {
	List(ctx context.Context) ([]control.Status, error)
	Status(ctx context.Context, service string) (control.Status, error)
	Why(ctx context.Context, service string) (control.Why, error)
	Start(ctx context.Context, service string) error
	Stop(ctx context.Context, service string) error
	Restart(ctx context.Context, service string) error
	Log(ctx context.Context, service string, lines int, follow bool, line func(control.LogLine) error) error
	Events(ctx context.Context, service string, lines int, follow bool, event func(control.Event) error) error
	Blame(ctx context.Context, service string) (control.Blame, error)
	Shutdown(ctx context.Context, a control.Action, reason string) error
}

// Main is the command svc. It returns the exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	return run(args, stdout, stderr, dial)
}

// Leave is the commands reboot, poweroff, halt and shutdown: args are what
// stands behind the name.
func Leave(name string, args []string, stdout, stderr io.Writer) int {
	action := control.Action(name)
	if name == "shutdown" {
		action = control.Poweroff
	}
	for _, a := range args {
		switch a {
		case "-r", "--reboot":
			action = control.Reboot
		case "-h", "-P", "--poweroff", "now", "+0":
		case "-H", "--halt":
			action = control.Halt
		case "-f", "--force": // bee's way down has a deadline of its own
		default:
			fmt.Fprintf(stderr, "%s: unknown argument %q; it takes -r, -h, -H and now. All else is told by svc shutdown\n", name, a)
			return 1
		}
	}
	return run([]string{"shutdown", string(action)}, stdout, stderr, dial)
}

// dial connects to PID 1.
func dial() (Client, error) {
	c, err := control.Dial(control.Path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("the supervisor speaks to root alone: use sudo svc")
	case err != nil:
		return nil, fmt.Errorf("speak to the supervisor: %w; is PID 1 bee's?", err)
	}
	return c, nil
}

func run(args []string, stdout, stderr io.Writer, dial func() (Client, error)) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	asJSON := false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "--json":
			asJSON = true
		case "-h", "--help":
			fmt.Fprint(stdout, usage)
			return 0
		default:
			fmt.Fprintf(stderr, "svc: unknown option %q\n%s", args[0], usage)
			return 1
		}
		args = args[1:]
	}
	verb := "list"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	c := command{out: stdout, json: asJSON}
	if err := c.parse(verb, args); err != nil {
		fmt.Fprintf(stderr, "svc: %v\n%s", err, usage)
		return 1
	}
	var err error
	if c.client, err = dial(); err == nil {
		err = c.do(ctx)
	}
	switch {
	case errors.Is(err, errNotWell):
		return notWell
	case err != nil && !(c.follow && ctx.Err() != nil):
		fmt.Fprintf(stderr, "svc: %v\n", err)
		return 1
	}
	return 0
}

var errNotWell = errors.New("not well")

// command is one invocation.
type command struct {
	client Client
	out    io.Writer
	json   bool

	verb   string
	name   string
	follow bool
	lines  int
}

// parse checks what stands behind the verb.
func (c *command) parse(verb string, args []string) error {
	c.verb = verb
	least, most := 0, 0
	switch verb {
	case "list":
	case "status", "why", "start", "stop", "restart":
		least, most = 1, 1
	case "log", "events":
		flags := flag.NewFlagSet(verb, flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		flags.BoolVar(&c.follow, "f", false, "")
		flags.IntVar(&c.lines, "n", 0, "")
		// -f may stand behind the name too: log sshd -f.
		if len(args) > 1 && !strings.HasPrefix(args[0], "-") {
			args = append(args[1:], args[0])
		}
		if err := flags.Parse(args); err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		if c.lines < 0 || c.lines > control.MaxLines {
			return fmt.Errorf("%s: -n is 0 to %d", verb, control.MaxLines)
		}
		args, most = flags.Args(), 1
	case "blame", "shutdown":
		most = 1
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
	if len(args) < least || len(args) > most {
		return fmt.Errorf("%s takes %d to %d arguments, and there are %d", verb, least, most, len(args))
	}
	if len(args) > 0 {
		c.name = args[0]
	}
	return nil
}

func (c *command) do(ctx context.Context) error {
	switch c.verb {
	case "list":
		list, err := c.client.List(ctx)
		if err != nil {
			return err
		}
		return c.print(list, func() { listText(c.out, list, time.Now()) })
	case "status":
		s, err := c.client.Status(ctx, c.name)
		if err != nil {
			return err
		}
		if err := c.print(s, func() { statusText(c.out, s, time.Now()) }); err != nil {
			return err
		}
		if !s.State.Good() && s.Wanted == control.Up {
			return errNotWell
		}
		return nil
	case "why":
		w, err := c.client.Why(ctx, c.name)
		if err != nil {
			return err
		}
		return c.print(w, func() { whyText(c.out, w, time.Now()) })
	case "start":
		return c.client.Start(ctx, c.name)
	case "stop":
		return c.client.Stop(ctx, c.name)
	case "restart":
		return c.client.Restart(ctx, c.name)
	case "log":
		return c.client.Log(ctx, c.name, c.lines, c.follow, func(l control.LogLine) error {
			return c.print(l, func() { logText(c.out, l, c.name == "") })
		})
	case "events":
		return c.client.Events(ctx, c.name, c.lines, c.follow, func(e control.Event) error {
			return c.print(e, func() { eventText(c.out, e) })
		})
	case "blame":
		b, err := c.client.Blame(ctx, c.name)
		if err != nil {
			return err
		}
		return c.print(b, func() { blameText(c.out, b) })
	}
	action := control.Action(c.name)
	if c.name == "" {
		action = control.Poweroff
	}
	switch action {
	case control.Reboot, control.Poweroff, control.Halt, control.Kexec:
		return c.client.Shutdown(ctx, action, "svc shutdown")
	}
	return fmt.Errorf("shutdown: %q is none of reboot, poweroff, halt, kexec", c.name)
}

// print writes v as one line of JSON, or as text.
func (c *command) print(v any, text func()) error {
	if !c.json {
		text()
		return nil
	}
	return json.NewEncoder(c.out).Encode(v)
}
