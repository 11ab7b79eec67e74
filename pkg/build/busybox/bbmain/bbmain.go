// Package bbmain is where the commands of a busybox register. It takes the place
// of gobusybox's package of that name in the generated program, with the same
// functions and one difference: a command runs as soon as it registers, which is
// when what it imports itself is initialised. What the other commands import is
// not initialised at all: a third of the time that a start takes. Any command
// can do without it, for it is a program of its own as well.
//
// It imports as little as can be: all of it is initialised before any command.
package bbmain

import (
	"errors"
	"os"
	"slices"
)

// ErrNotRegistered is returned by Run if there is no such command.
var ErrNotRegistered = errors.New("command is not present in busybox")

// Noop does nothing.
var Noop = func() {}

type command struct{ init, main func() }

var (
	commands = map[string]command{}
	standard *command
	called   = calledAs(os.Args)
)

// calledAs is the name by which the program was started, as gobusybox's main
// finds it: the last part of the last symbolic link. It is empty where that
// takes more than a look, and main finds it then.
func calledAs(args []string) string {
	if len(args) == 0 {
		return ""
	}
	file := args[0]
	i := len(file) - 1
	for i >= 0 && file[i] != '/' {
		i--
	}
	to, err := os.Readlink(file)
	if err != nil {
		return file[i+1:]
	}
	if to == "" || to[0] != '/' {
		to = file[:i+1] + to
	}
	if st, err := os.Lstat(to); err == nil && st.Mode()&os.ModeSymlink != 0 {
		return ""
	}
	return file[i+1:]
}

// Register registers a command's initialisation and its main function. If the
// program was started by its name, it runs and does not return.
func Register(name string, init, main func()) {
	if _, ok := commands[name]; ok {
		panic("two commands register as " + name)
	}
	c := command{init, main}
	commands[name] = c
	if name == called {
		// Packages are initialised on a goroutine that is bound to the first
		// thread; a command shall not be.
		go c.run()
		select {}
	}
}

// RegisterDefault registers what runs where no name fits.
func RegisterDefault(init, main func()) { standard = &command{init, main} }

// ListCmds names all commands, sorted.
func ListCmds() []string {
	var names []string
	for n := range commands {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Run runs a command and ends the process, with status 0 unless the command does
// so itself.
func Run(name string) error {
	c, ok := commands[name]
	switch {
	case ok:
		c.run()
	case standard != nil:
		standard.run()
	}
	return &unknown{name}
}

func (c command) run() {
	c.init()
	c.main()
	os.Exit(0)
}

type unknown struct{ name string }

func (u *unknown) Error() string { return ErrNotRegistered.Error() + ": " + u.name }
func (u *unknown) Unwrap() error { return ErrNotRegistered }
