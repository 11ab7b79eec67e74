package nvidia

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/node/nvidia/nvstate"
)

// machine is what loading acts on. Tests bring one of their own.
type machine struct {
	root    fs.FS
	out     io.Writer
	options func(module string) string
	forbids func(module string) bool

	depend      func(module string) error                 // loads a module of the kernel's own with what it needs
	insert      func(file, options string) error          // finit_module(2)
	log         func() []string                           // what the kernel's log said since the last call
	node        func(Node) error                          // makes a device file
	persistence func(ctx context.Context) (string, error) // turns persistence mode on
	save        func(nvstate.State) error                 // tells the rest of the node, before each step that may never end
}

// persistencePatience bounds what turning persistence mode on may take: each
// GPU is brought up for it, which takes seconds on a large machine.
const persistencePatience = 45 * time.Second

// mostLines bounds what is kept of the kernel's log for one module.
const mostLines = 20

// load does what the plan says and tells what became of it. The error names
// every failure, with the kernel's own words.
func (m machine) load(ctx context.Context, p Plan) (nvstate.State, error) {
	s := nvstate.State{GPUs: p.GPUs, Image: p.Driver.Version, Flavor: p.Driver.Flavor}
	problem := func(err error) {
		if err != nil {
			s.Problems = append(s.Problems, err.Error())
		}
	}
	save := func() { problem(m.save(s)) }
	m.log() // what was said before is not about us
	for _, name := range p.Depends {
		if err := m.depend(name); err != nil {
			problem(fmt.Errorf("load %s, which the NVIDIA driver needs: %w", name, err))
		}
	}
	for _, file := range p.Files {
		// What is behind a module that would not load needs it, but says so in its
		// own words: all are tried.
		s.Modules = append(s.Modules, nvstate.Module{Name: moduleName(file), File: "/" + file, Error: "it is being loaded"})
		save()
		s.Modules[len(s.Modules)-1] = m.module(file)
	}
	if len(s.Failed()) < len(s.Modules) {
		nodes, err := Nodes(m.root)
		problem(err)
		for _, n := range nodes {
			problem(m.node(n))
		}
		var same error
		s.Driver, s.Libraries, same = m.versions()
		problem(same)
		if len(p.GPUs) > 0 && same == nil {
			s.Persistence = "it is being turned on"
			save()
			ctx, cancel := context.WithTimeout(ctx, persistencePatience)
			text, err := m.persistence(ctx)
			cancel()
			s.Persistence = text
			problem(err)
		}
	}
	save()
	return s, failures(s)
}

// module inserts one.
func (m machine) module(file string) nvstate.Module {
	name := moduleName(file)
	r := nvstate.Module{Name: name, File: "/" + file, Options: m.options(name)}
	var err error
	if m.forbids(name) {
		err = errors.New("it is blacklisted by a kernel parameter")
	} else {
		err = m.insert(file, r.Options)
	}
	r.Kernel = about(m.log())
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Loaded = true
	fmt.Fprintf(m.out, "nvidia: loaded %s\n", r.File)
	return r
}

// versions are those of the driver that runs and of the libraries; the error
// says that they are not the same.
func (m machine) versions() (driver, libraries string, err error) {
	driver, err = DriverVersion(m.root)
	if err != nil {
		return "", "", err
	}
	libraries, err = LibraryVersion(m.root)
	if err != nil {
		return driver, "", err
	}
	if driver != libraries {
		return driver, libraries, fmt.Errorf("the driver that runs is %s and the libraries are %s: nothing that uses the GPUs will work; build the image anew", driver, libraries)
	}
	return driver, libraries, nil
}

// about keeps the lines of the kernel's log that are about the driver: its own,
// and the loader's.
func about(lines []string) []string {
	var kept []string
	for _, l := range lines {
		low := strings.ToLower(l)
		if strings.Contains(low, "nvidia") || strings.Contains(low, "nvrm") || strings.Contains(low, "module") {
			kept = append(kept, l)
		}
	}
	if n := len(kept) - mostLines; n > 0 { // the beginning and the end tell most
		kept = slices.Concat(kept[:mostLines/2], []string{fmt.Sprintf("… %d lines …", n)}, kept[len(kept)-mostLines/2:])
	}
	return kept
}

// failures says what failed; nil where nothing did.
func failures(s nvstate.State) error {
	var errs []error
	for _, m := range s.Failed() {
		text := fmt.Sprintf("load %s: %s", m.File, m.Error)
		if i := slices.IndexFunc(m.Kernel, telling); i >= 0 {
			text += "; the kernel says: " + m.Kernel[i]
		}
		errs = append(errs, errors.New(text))
	}
	for _, p := range s.Problems {
		errs = append(errs, errors.New(p))
	}
	return errors.Join(errs...)
}

// telling says that a line tells more than that a module was looked at.
func telling(line string) bool {
	for _, dull := range []string{"loading out-of-tree", "taints kernel", "module verification failed", "module license", "major device number", "Disabling lock debugging"} {
		if strings.Contains(line, dull) {
			return false
		}
	}
	return strings.TrimSpace(line) != ""
}

// loaded says whether the kernel has a module (sysfs-module).
func loaded(root fs.FS, module string) bool {
	_, err := fs.Stat(root, "sys/module/"+kmod.Normalize(module))
	return err == nil
}
