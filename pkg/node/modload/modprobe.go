package modload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/kmod"
)

const modprobeUsage = `usage: modprobe [-q] [-v] [-n] [-b] MODULE [PARAMETER=VALUE…]
       modprobe [-q] [-v] [-n] [-b] -a MODULE…
       modprobe [-q] [-v] [-n] -r MODULE…
MODULE is a module's name or an alias, such as fs-ext4.
  -a  every argument is a module
  -r  take modules out, and what they needed if nobody else does
  -b  the kernel command line's blacklists hold for names too, not only for aliases
  -n  do nothing, say with -v what would be done
  -q  an unknown module is no error worth a word
  -v  say what is done
`

// ModprobeMain is the command modprobe on a machine. It returns the exit status.
func ModprobeMain(args []string, stdout, stderr io.Writer) int {
	if os.Getppid() == kthreadd {
		// The kernel asks and shows nobody what is said: its log is where one looks.
		if f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); err == nil {
			defer f.Close()
			stderr = f
		}
	}
	return modprobeMain(args, stdout, stderr, openModprobe)
}

// kthreadd is the parent of what the kernel starts (kernel/umh.c).
const kthreadd = 2

func modprobeMain(args []string, stdout, stderr io.Writer, open func() (*modprobe, error)) int {
	o, err := parseModprobe(args)
	if err != nil {
		fmt.Fprintf(stderr, "modprobe: %v\n%s", err, modprobeUsage)
		return 2
	}
	if o.help {
		io.WriteString(stdout, modprobeUsage)
		return 0
	}
	m, err := open()
	if err != nil {
		fmt.Fprintf(stderr, "modprobe: %v\n", err)
		return 1
	}
	m.modprobeOptions, m.out = o, stdout
	status := 0
	for _, name := range m.names {
		if err := m.one(name); err != nil {
			status = 1
			if !m.quiet || len(m.Index.Resolve(name)) > 0 { // of a known one every failure is told
				fmt.Fprintf(stderr, "modprobe: %v\n", err)
			}
		}
	}
	return status
}

// modprobeOptions are a command line of modprobe.
type modprobeOptions struct {
	help, all, remove, blacklist, dry, quiet, verbose bool

	names      []string
	parameters []string // of the one module
}

func parseModprobe(args []string) (o modprobeOptions, err error) {
	flags := map[string]*bool{
		"a": &o.all, "all": &o.all, "r": &o.remove, "remove": &o.remove, "b": &o.blacklist, "use-blacklist": &o.blacklist,
		"n": &o.dry, "dry-run": &o.dry, "show": &o.dry, "q": &o.quiet, "quiet": &o.quiet, "v": &o.verbose, "verbose": &o.verbose,
		"h": &o.help, "help": &o.help,
	}
	for i, arg := range args {
		if arg == "--" {
			o.names = append(o.names, args[i+1:]...)
			break
		}
		var words []string
		switch long, isLong := strings.CutPrefix(arg, "--"); {
		case isLong:
			words = []string{long}
		case len(arg) > 1 && arg[0] == '-' && len(o.names) == 0:
			words = strings.Split(arg[1:], "")
		default:
			o.names = append(o.names, arg)
		}
		for _, w := range words {
			f := flags[w]
			if f == nil {
				return o, fmt.Errorf("unknown option %q", arg)
			}
			*f = true
		}
	}
	if len(o.names) == 0 && !o.help {
		return o, errors.New("no module is named")
	}
	if !o.all && !o.remove && len(o.names) > 1 {
		o.names, o.parameters = o.names[:1], o.names[1:]
	}
	return o, nil
}

// modprobe is one call of the command.
type modprobe struct {
	modprobeOptions
	*Loader
	out    io.Writer
	unload func(name string) error
}

func openModprobe() (*modprobe, error) {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, fmt.Errorf("read kernel parameters: %w", err)
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	root := os.DirFS("/")
	dir, index, err := openIndex(root)
	if err != nil {
		return nil, err
	}
	return &modprobe{
		Loader: &Loader{Root: root, Dir: dir, Index: index, Policy: NewPolicy(string(cmdline), params), Inserter: Kernel{"/"}},
		unload: deleteModule,
	}, nil
}

// openIndex opens the tables of the kernel that runs.
func openIndex(root fs.FS) (dir string, index *kmod.Index, err error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", nil, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	dir = path.Join("lib/modules", unix.ByteSliceToString(name.Release[:]))
	if index, err = kmod.Open(root, dir); err != nil {
		return "", nil, fmt.Errorf("%w; is this initrd made for this kernel?", err)
	}
	return dir, index, nil
}

// one does what is asked with all modules that a name or alias stands for.
func (m *modprobe) one(name string) error {
	found := m.Index.Resolve(name)
	if len(found) == 0 && !m.Index.Builtin(name) {
		return fmt.Errorf("find module %s: %w; BEE_MODULES names modules to a build", name, kmod.ErrNotFound)
	}
	byName := slices.Contains(found, kmod.Normalize(name))
	var errs []error
	for _, module := range found {
		if m.remove {
			errs = append(errs, m.takeOut(module))
		} else {
			errs = append(errs, m.putIn(module, byName))
		}
	}
	return errors.Join(errs...)
}

// putIn loads a module. As with modprobe(8), a blacklist keeps the aliases of a
// module from leading to it, and not those away who name it.
func (m *modprobe) putIn(module string, byName bool) error {
	if m.Policy.Forbidden(module) {
		if m.blacklist || !byName {
			m.say("%s is blacklisted", module)
			return nil
		}
		delete(m.Policy.blacklist, module)
	}
	for _, p := range m.parameters {
		m.Policy.add(module, p)
	}
	if m.verbose || m.dry {
		order, err := m.Index.Closure(module)
		if err != nil {
			return fmt.Errorf("load module %s: %w", module, err)
		}
		for _, name := range order {
			if file, ok := m.Index.Path(name); ok && !m.loaded(name) {
				m.say("%s", strings.TrimSpace("insmod /"+path.Join(m.Dir, file)+" "+m.Policy.Options(name)))
			}
		}
	}
	if m.dry {
		return nil
	}
	return m.Load(module, "modprobe", Now)
}

// takeOut removes a module, and of what it needed what nobody else needs.
func (m *modprobe) takeOut(module string) error {
	if !m.loaded(module) {
		if m.quiet {
			return nil
		}
		return fmt.Errorf("remove module %s: it is not loaded", module)
	}
	m.say("rmmod %s", module)
	if m.dry {
		return nil
	}
	if err := remove(m.unload, module); err != nil {
		return err
	}
	order, err := m.Index.Closure(module)
	if err != nil {
		return nil // it is gone, and what it needed is not known
	}
	slices.Reverse(order) // who needs comes before whom it needs
	for _, name := range order {
		if name != module && m.loaded(name) && m.unload(name) == nil { // in use by others: it stays
			m.say("rmmod %s", name)
		}
	}
	return nil
}

func (m *modprobe) loaded(name string) bool {
	_, err := fs.Stat(m.Root, path.Join("sys/module", kmod.Normalize(name), "initstate"))
	return err == nil
}

func (m *modprobe) say(format string, args ...any) {
	if m.verbose {
		fmt.Fprintf(m.out, format+"\n", args...)
	}
}
