// Package enter is the part of the sandbox that runs inside the fresh
// namespaces, as their PID 1: it mounts the root that the step declared, enters
// it, gives up what the step must not have, starts the program, forwards
// signals to it, reaps orphans and leaves with the program's exit status. The
// kernel kills whatever is left of the step when this process ends.
//
// It is compiled into cmds/host/beebox. os/exec is its job: it starts the
// step's program.
package enter

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// SpecEnv is the environment variable that carries the Spec, as JSON.
const SpecEnv = "BEEBOX_SPEC"

// FailedStatus is the exit status when the sandbox could not be set up or the
// program could not be started; the reason is on standard error.
const FailedStatus = 125

// Prefix begins every line that this package writes to standard error, so that
// they can be told from the program's own.
const Prefix = "beebox: "

// Spec is everything the process inside needs to know.
type Spec struct {
	Root   string   // tools tree on the host; each of its top-level entries is shown read-only
	Binds  []Bind   // in the order in which they are mounted
	Dev    []string // device nodes of the host shown beside the minimal set, such as /dev/kvm
	Args   []string // program and arguments; a name without a slash is looked up in PATH of Env
	Env    []string // complete environment of the program
	Dir    string   // working directory inside; empty is /
	Files  int      // inherited descriptors from 3 on that the program gets
	TTY    bool     // standard input becomes the program's controlling terminal
	NetCap bool     // keep the capabilities to configure the network namespace
	Check  bool     // set everything up, run nothing: does this host allow it?
}

// Bind shows a file or folder of the host inside.
type Bind struct {
	Host  string // absolute, on the host
	Path  string // absolute, inside
	Write bool
}

// minimalDev are the device nodes that every step has. They are bound from the
// host, since no device node can be made in a user namespace.
var minimalDev = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}

// parseSpec reads and checks a Spec.
func parseSpec(text string) (Spec, error) {
	var s Spec
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("parse %s: %w", SpecEnv, err)
	}
	return s, s.check()
}

func (s Spec) check() error {
	if !s.Check && (len(s.Args) == 0 || s.Args[0] == "") {
		return fmt.Errorf("check step: it names no program")
	}
	if !clean(s.Root) {
		return fmt.Errorf("check step: tools tree %q is not an absolute, clean path", s.Root)
	}
	if s.Dir != "" && !clean(s.Dir) {
		return fmt.Errorf("check step: working directory %q is not an absolute, clean path", s.Dir)
	}
	for _, b := range s.Binds {
		if !clean(b.Host) || !clean(b.Path) || b.Path == "/" {
			return fmt.Errorf("check step: bind %q at %q: both must be absolute, clean paths, and not the root", b.Host, b.Path)
		}
	}
	for _, d := range s.Dev {
		if !clean(d) || !strings.HasPrefix(d, "/dev/") {
			return fmt.Errorf("check step: device %q is not below /dev", d)
		}
	}
	return nil
}

func clean(p string) bool { return path.IsAbs(p) && path.Clean(p) == p }
