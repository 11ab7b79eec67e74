// Package sandbox runs tools that the host does not have: pinned Debian
// packages, merged once into a tree in the cache and entered through user,
// mount, PID, IPC, UTS and network namespaces. A step sees the tree and what it
// declares, nothing else, and writes only where it declared so. No root is
// needed on the host; with root it works too, without a user namespace of its
// own.
//
// What happens inside is pkg/build/sandbox/enter, compiled once into the cache
// from cmds/host/beebox. os/exec is the job here: every step is a process.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/build/sandbox/enter"
)

// Path is the PATH inside.
const Path = "/usr/sbin:/usr/bin"

// defaultEpoch is SOURCE_DATE_EPOCH where a Sandbox names none: 1980-01-01, the
// first instant that FAT can hold, so that every format takes it.
const defaultEpoch = 315532800

// killGrace is how long a killed step's output may still be read before its
// pipes are closed.
const killGrace = 5 * time.Second

// ErrUnavailable is wrapped by New's error when this host does not let the
// sandbox be entered.
var ErrUnavailable = errors.New("enter sandbox")

// Sandbox is a tools tree that steps run in. It is safe for concurrent use.
type Sandbox struct {
	Epoch int64 // SOURCE_DATE_EPOCH of every step; 0 is 1980-01-01

	tree   string // merged tools tree
	helper string // the compiled cmds/host/beebox
}

// Bind shows a file or folder of the host inside the sandbox.
type Bind struct {
	Host string // path on the host
	Path string // absolute path inside; empty: the same as Host
}

// Step is one program run in the sandbox. The environment is TZ=UTC LC_ALL=C
// SOURCE_DATE_EPOCH PATH HOME=/tmp, then Env.
type Step struct {
	Args    []string   // program and arguments; found in Path unless it has a slash
	Env     []string   // further variables, NAME=value
	Dir     string     // working directory inside; empty is /
	Ro, Rw  []Bind     // what is visible, and what of it can be written; Rw is mounted after Ro
	Dev     []string   // device nodes of the host, such as /dev/net/tun
	Network bool       // stay in the caller's network namespace, with the right to configure it if the caller has it
	TTY     bool       // Stdin is a terminal and becomes the program's controlling one
	Files   []*os.File // passed on as descriptors 3, 4, …

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Tree is the folder with the merged tools on the host, for reading data files
// such as firmware images. It is shared: nothing may write there.
func (s *Sandbox) Tree() string { return s.tree }

// Command prepares the step as a command that has not been started. Its
// process is PID 1 of the sandbox: killing it, by the context or otherwise,
// kills every process of the step. The exit status is the program's, 128 plus
// the signal that ended it, or 125 with a line "beebox: …" on standard error
// when the step could not be set up. Explain makes its errors speak.
func (s *Sandbox) Command(ctx context.Context, step Step) (*exec.Cmd, error) {
	spec, err := s.spec(step)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("write sandbox step: %w", err)
	}
	attr, err := namespaces(step.Network)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, s.helper)
	cmd.Env = []string{enter.SpecEnv + "=" + string(text)}
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	cmd.ExtraFiles = step.Files
	cmd.Stdin, cmd.Stdout, cmd.Stderr = step.Stdin, step.Stdout, step.Stderr
	cmd.WaitDelay = killGrace
	return cmd, nil
}

// Run runs the step to its end. The error of a step that failed holds the end
// of what it wrote to standard error, which goes to step.Stderr too.
func (s *Sandbox) Run(ctx context.Context, step Step) error {
	var tail Tail
	if step.Stderr == nil {
		step.Stderr = &tail
	} else {
		step.Stderr = io.MultiWriter(step.Stderr, &tail)
	}
	cmd, err := s.Command(ctx, step)
	if err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		err = Explain(err, tail.String())
		return fmt.Errorf("run %s: %w%s", step.Args[0], err, tail.indented())
	}
	return nil
}

// Output is Run, and returns what the step wrote to standard output.
func (s *Sandbox) Output(ctx context.Context, step Step) ([]byte, error) {
	var out bytes.Buffer
	step.Stdout = &out
	err := s.Run(ctx, step)
	return out.Bytes(), err
}

// check enters the sandbox once and leaves it, to find out early, and say
// clearly, that this host does not allow it.
func (s *Sandbox) check(ctx context.Context) error {
	attr, err := namespaces(false)
	if err != nil {
		return err
	}
	text, err := json.Marshal(enter.Spec{Root: s.tree, Check: true})
	if err != nil {
		return fmt.Errorf("write sandbox step: %w", err)
	}
	var tail Tail
	cmd := exec.CommandContext(ctx, s.helper)
	cmd.Env = []string{enter.SpecEnv + "=" + string(text)}
	cmd.Dir, cmd.SysProcAttr, cmd.Stderr = "/", attr, &tail
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %w%s", ErrUnavailable, Explain(err, tail.String()), tail.indented())
	}
	return nil
}

func (s *Sandbox) spec(step Step) (enter.Spec, error) {
	if len(step.Args) == 0 {
		return enter.Spec{}, errors.New("prepare sandbox step: it names no program")
	}
	epoch := s.Epoch
	if epoch == 0 {
		epoch = defaultEpoch
	}
	spec := enter.Spec{
		Root: s.tree, Args: step.Args, Dir: step.Dir, Dev: step.Dev,
		Files: len(step.Files), TTY: step.TTY, NetCap: step.Network,
		Env: append([]string{
			"TZ=UTC", "LC_ALL=C", "SOURCE_DATE_EPOCH=" + strconv.FormatInt(epoch, 10), "PATH=" + Path, "HOME=/tmp",
		}, step.Env...),
	}
	for i, binds := range [][]Bind{step.Ro, step.Rw} {
		for _, b := range binds {
			host, err := filepath.Abs(b.Host)
			if err != nil {
				return spec, fmt.Errorf("prepare sandbox step %s: bind %s: %w", step.Args[0], b.Host, err)
			}
			inside := b.Path
			if inside == "" {
				inside = host
			}
			spec.Binds = append(spec.Binds, enter.Bind{Host: host, Path: filepath.Clean(inside), Write: i == 1})
		}
	}
	return spec, nil
}

// namespaces says how the process is cloned. A user namespace is made only
// where the caller lacks CAP_SYS_ADMIN: with it, a step keeps its rights over
// the caller's network namespace, which tests that make taps need.
func namespaces(network bool) (*syscall.SysProcAttr, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("read own capabilities: %w", err)
	}
	admin, err := isAdmin(bytes.NewReader(status))
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if !network {
		attr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if !admin {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr, nil
}

// isAdmin reads /proc/self/status: is CAP_SYS_ADMIN (21) effective?
func isAdmin(r io.Reader) (bool, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return false, fmt.Errorf("read own capabilities: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "CapEff:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			if err != nil {
				return false, fmt.Errorf("parse own capabilities: %w", err)
			}
			return mask&(1<<21) != 0, nil
		}
	}
	return false, errors.New("parse own capabilities: /proc/self/status has no line CapEff")
}
