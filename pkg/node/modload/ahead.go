package modload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
)

// AheadMain is coldplug ahead: the modules of network cards, which an operator waits
// for, and then of disks, which take longest to answer, ahead of the service. PID 1's
// entry starts it beside PID 1's own start, in a mount namespace of its own and before
// all others (see cmds/standalone/init), so that the cards are there when the network
// service is. Nobody waits for it: a driver that hangs holds up what it would hold up
// in the service. That does again what failed here, and all else; with bee.shell
// nothing is loaded.
//
// It tells the kernel's log what it did, as nobody else listens yet. It returns the
// exit status, which PID 1 tells.
func AheadMain() int {
	out, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return 1 // there is no other place, and the status tells
	}
	defer out.Close()
	if err := ahead(kernelLines{out}); err != nil {
		fmt.Fprintf(kernelLines{out}, "%v; network cards get their drivers a little later", err)
		return 1
	}
	return 0
}

// kernelLines writes each line into the kernel's log (Documentation/ABI/testing/dev-kmsg).
type kernelLines struct{ out io.Writer }

func (k kernelLines) Write(p []byte) (int, error) {
	if _, err := fmt.Fprintf(k.out, "<14>bee: coldplug ahead: %s\n", strings.TrimSpace(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func ahead(log io.Writer) error {
	if _, err := os.Lstat("/proc/self"); !errors.Is(err, os.ErrNotExist) {
		return errors.New("the machine is up: this is a part of its start; coldplug loads modules")
	}
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := unix.Mount(m.kind, m.at, m.kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fmt.Errorf("read kernel parameters: %w: no blacklist is known", err)
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	if params.Shell {
		return nil
	}
	root := os.DirFS("/")
	dir, index, err := openIndex(root)
	if err != nil {
		return err
	}
	s := &Service{Root: "/", Out: log, fsys: root, Loader: &Loader{
		Root: root, Dir: dir, Index: index, Policy: NewPolicy(string(cmdline), params), Inserter: Kernel{"/"},
	}}
	s.Yield = func() { setNice(log, 0) } // as the services
	s.loadAhead()
	return nil
}

// loadAhead loads what network cards need, and then what disks do.
func (s *Service) loadAhead() {
	cards, others := s.nearest()
	now := func(Device) Urgency { return Now }
	s.begin(cards, now).wg.Wait()
	s.Yield()
	s.begin(others, now).wg.Wait()
	loaded, failed := s.Loader.Log()
	var names []string
	for _, m := range loaded {
		if !m.Before {
			names = append(names, m.Name)
		}
	}
	if len(names) > 0 {
		s.logf("loaded %s", strings.Join(names, " "))
	}
	for _, m := range failed {
		s.logf("%s; it is tried again", m.Error)
	}
}
