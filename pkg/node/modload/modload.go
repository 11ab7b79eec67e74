// Package modload loads the kernel modules that the machine's devices ask for:
// modalias from sysfs and uevents, modules.alias, dependency order,
// finit_module, independent modules at the same time, network cards first.
// What has no driver in the image is told with the module and the firmware
// that it wanted; one module that fails stops no other.
package modload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/node/modload/modstate"
)

// loadList names modules that are loaded whether or not a device asks, one a
// line, beside the tables.
const loadList = "bee.load"

// Service is coldplug.
type Service struct {
	Root   string // directory that holds sys, lib and run: "/"
	Loader *Loader
	Out    io.Writer
	Events Events // nil: none are served

	MountEFI func() []error // mounts the firmware's variables, once their file system is in; nil: they are not mounted

	Yield    func() // called once, when the network cards have their modules: nobody waits for the rest; may be nil
	Ready    func()
	Degraded func(reason string)

	fsys    fs.FS
	hints   *kmod.Hints
	orphans map[string]modstate.Orphan // by device
	mu      sync.Mutex
	told    map[string]bool // failures that were logged
}

// Events are the kernel's, in their order. An error that is ErrOverrun says that
// some were lost.
type Events interface {
	Next() (Uevent, error)                   // waits
	Pending() (u Uevent, ok bool, err error) // does not: ok is false where none is there
}

// Run does the first pass, says that it is ready, and serves uevents until
// they end. It returns an error only where those cannot be received.
func (s *Service) Run(ctx context.Context) error {
	s.fsys = os.DirFS(s.Root)
	s.orphans = make(map[string]modstate.Orphan)
	s.told = make(map[string]bool)
	s.firstPass()
	s.tell(true)
	s.Ready()
	if _, failed := s.Loader.Log(); len(failed) > 0 {
		s.Degraded(fmt.Sprintf("%d modules would not load, first %s", len(failed), failed[0].Error))
	}
	if s.Events == nil {
		return nil
	}
	for ctx.Err() == nil {
		u, err := s.Events.Next()
		switch {
		case errors.Is(err, ErrOverrun):
			s.logf("uevents were lost: look at every device again")
			s.scan()
		case err != nil:
			return err
		case !s.event(u):
			continue
		}
		s.tell(true)
	}
	return nil
}

// firstPass loads for everything that is there, then what is loaded anyway.
func (s *Service) firstPass() {
	cards, others := s.nearest()
	s.serve(cards, Now)
	if s.Yield != nil {
		s.Yield()
	}
	// Disks take long to answer: theirs begin before everything else is looked for.
	// The look at every device below has their modules too, and judges.
	disk := make(map[string]bool)
	for _, d := range others {
		disk[d.Modalias] = true
	}
	urgency := func(d Device) Urgency {
		if disk[d.Modalias] {
			return Early // whichever pass asks first
		}
		return Later
	}
	disks := s.begin(others, urgency)
	all := s.begin(s.devices(), urgency)
	var wg sync.WaitGroup
	for _, name := range s.always() {
		wg.Go(func() { s.load(name, "always") })
	}
	s.prepareToJudge(all)
	if s.Events != nil {
		s.whileLoading(disks, all)
	}
	s.finish(all)
	wg.Wait()
	s.mountEFI()
	// Buses appear as their drivers load, and their devices with them.
	s.catchUp()
}

// nearest lists network cards, and what else is on their buses, disks first.
func (s *Service) nearest() (cards, others []Device) {
	all, err := earlyDevices(s.fsys)
	if err != nil {
		s.logf("%v", err)
	}
	n := len(all)
	if i := slices.IndexFunc(all, func(d Device) bool { return !isNetwork(d.Modalias) }); i >= 0 {
		n = i
	}
	return all[:n], all[n:]
}

// prepareToJudge reads the hints, which takes longer than all tables, if somebody
// will want them.
func (s *Service) prepareToJudge(p *pass) {
	if slices.ContainsFunc(p.devices, func(d Device) bool { return !d.Bound && len(p.results[p.seen[d.Modalias]].found) == 0 }) {
		s.wanted("")
	}
}

// whileLoading serves what appears while disks take their time.
func (s *Service) whileLoading(passes ...*pass) {
	loaded := make(chan struct{})
	go func() {
		for _, p := range passes {
			p.wg.Wait()
		}
		close(loaded)
	}()
	s.tell(false) // what is in by now: nobody needs the processor, and the end is told the sooner
	for {
		select {
		case <-loaded:
			return
		case <-time.After(lookAgain):
			s.catchUp()
		}
	}
}

// lookAgain is how often events are looked at while modules are loaded.
const lookAgain = 20 * time.Millisecond

// catchUp serves what appeared since the service began to listen, and what that
// makes appear, until nothing is left. The kernel tells of each, which costs a
// fraction of another look at every device.
func (s *Service) catchUp() {
	if s.Events == nil {
		s.scan()
		return
	}
	for {
		var fresh []Device
		for {
			u, ok, err := s.Events.Pending()
			if err != nil {
				if !errors.Is(err, ErrOverrun) {
					s.logf("%v: look at every device again", err)
				}
				s.scan()
				if fresh = nil; !errors.Is(err, ErrOverrun) {
					return // Run meets it again
				}
				continue
			}
			if !ok {
				break
			}
			if u.Action == "add" && u.Modalias != "" {
				fresh = append(fresh, Device{Path: u.Path, Modalias: u.Modalias})
			} else {
				s.event(u)
			}
		}
		if len(fresh) == 0 {
			return
		}
		s.serve(fresh, Later) // looks whether they are bound meanwhile
	}
}

// The firmware's variables, where UEFI started the machine, and the module of
// their file system.
const (
	efiVars   = "sys/firmware/efi/efivars"
	efiModule = "efivarfs"
)

// mountEFI makes the firmware's variables readable: nothing else asks for their
// module.
func (s *Service) mountEFI() {
	if _, err := fs.Stat(s.fsys, efiVars); err != nil || s.MountEFI == nil {
		return // started by something else
	}
	if len(s.Loader.Index.Resolve(efiModule)) == 0 && !s.Loader.Index.Builtin(efiModule) {
		s.logf("%s is not in the image: nobody can tell whether Secure Boot is on", efiModule)
		return
	}
	s.load(efiModule, "UEFI")
	for _, err := range s.MountEFI() {
		s.logf("%v", err)
	}
}

// always is the image's list and the operator's.
func (s *Service) always() []string {
	var names []string
	text, err := fs.ReadFile(s.fsys, path.Join(s.Loader.Dir, loadList))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.logf("read %s: %v", loadList, err)
	}
	names = append(names, strings.Fields(string(text))...)
	return append(names, s.Loader.Policy.Extra...)
}

func (s *Service) load(name, wanted string) {
	modules := s.Loader.Index.Resolve(name)
	if len(modules) == 0 && !s.Loader.Index.Builtin(name) {
		modules = []string{name} // fails by name, and is told
	}
	for _, m := range modules {
		if err := s.Loader.Load(m, wanted, Later); err != nil {
			s.fail(m, err)
		}
	}
}

// devices lists every device, and forgets those that were left without a driver
// and are gone.
func (s *Service) devices() []Device {
	devices, err := Devices(s.fsys)
	if err != nil {
		s.logf("%v", err)
		return devices
	}
	// A removal may be among the events that were lost.
	maps.DeleteFunc(s.orphans, func(path string, _ modstate.Orphan) bool {
		return !slices.ContainsFunc(devices, func(d Device) bool { return d.Path == path })
	})
	return devices
}

// scan looks at every device.
func (s *Service) scan() { s.serve(s.devices(), Later) }

// serve loads what the devices ask for, at the same time.
func (s *Service) serve(devices []Device, u Urgency) {
	s.finish(s.begin(devices, func(Device) Urgency { return u }))
}

// pass is devices whose modules are being loaded.
type pass struct {
	devices []Device
	results []result       // of the first device with a modalias
	seen    map[string]int // index into results, by modalias
	wg      sync.WaitGroup
}

// result is what a modalias led to.
type result struct {
	found []string
	errs  []error
}

// begin starts to load what the devices ask for.
func (s *Service) begin(devices []Device, urgency func(Device) Urgency) *pass {
	p := &pass{devices: devices, results: make([]result, len(devices)), seen: make(map[string]int)}
	for i, d := range devices {
		if _, ok := p.seen[d.Modalias]; ok {
			continue // hundreds of equal functions ask once
		}
		p.seen[d.Modalias] = i
		p.results[i].found = s.Loader.Index.Lookup(d.Modalias)
		s.Loader.Ask(p.results[i].found)
	}
	for i, d := range devices {
		r := &p.results[i]
		if len(r.found) == 0 {
			continue
		}
		u := urgency(d)
		r.errs = make([]error, len(r.found))
		for j, name := range r.found {
			p.wg.Go(func() { r.errs[j] = s.Loader.Load(name, d.Modalias, u) })
		}
	}
	return p
}

// finish waits until they are loaded and judges the devices.
func (s *Service) finish(p *pass) {
	p.wg.Wait()
	for _, d := range p.devices {
		r := p.results[p.seen[d.Modalias]]
		s.judge(d, r.found, r.errs)
	}
}

// judge remembers a device that was left without a driver.
func (s *Service) judge(d Device, found []string, errs []error) {
	delete(s.orphans, d.Path)
	for i, err := range errs {
		if err != nil && !refused(err) {
			s.fail(found[i], err)
		}
	}
	// What an input device offers is for whoever reads it; no driver binds it.
	if d.Bound || s.bound(d.Path) || strings.HasPrefix(d.Modalias, "input:") {
		return
	}
	o := modstate.Orphan{Device: d.Path, Modalias: d.Modalias, Modules: found}
	switch {
	case len(found) == 0:
		for _, w := range s.wanted(d.Modalias) {
			o.Modules = append(o.Modules, w.Module)
			o.Firmware = append(o.Firmware, w.Firmware...)
		}
		o.Reason = "not in the image"
		if len(o.Modules) == 0 {
			if !mustHaveDriver(d.Modalias) {
				return
			}
			o.Modules = []string{}
			o.Reason = "this kernel has no driver"
		}
	case slices.ContainsFunc(errs, func(err error) bool { return errors.Is(err, errForbidden) }):
		o.Reason = "blacklisted"
	default:
		err := errors.Join(errs...)
		if err == nil {
			return // loaded; some drivers bind later, some serve no single device
		}
		if errors.Is(err, ErrNothingToDrive) && !mustHaveDriver(d.Modalias) {
			return // processors and boards match by the dozen
		}
		o.Reason = "failed: " + err.Error()
	}
	s.orphans[d.Path] = o
}

// bound says whether a device has a driver now.
func (s *Service) bound(device string) bool {
	_, err := fs.Stat(s.fsys, path.Join("sys", device, "driver"))
	return err == nil
}

// wanted asks the hints, which are read when the first device needs them.
func (s *Service) wanted(modalias string) []kmod.Wanted {
	if s.hints == nil {
		h, err := kmod.OpenHints(s.fsys, s.Loader.Dir)
		if err != nil {
			s.logf("%v: devices without a driver are told without the module that they want", err)
			h = &kmod.Hints{}
		}
		s.hints = h
	}
	return s.hints.Lookup(modalias)
}

// event serves one uevent; it says whether anything changed.
func (s *Service) event(u Uevent) bool {
	switch {
	case u.Action == "add" && u.Modalias != "":
		attempts, orphan := s.Loader.Attempts(), len(s.orphans)
		for _, m := range s.Loader.Index.Lookup(u.Modalias) {
			s.Loader.Retry(m)
		}
		urgency := Later
		if isNetwork(u.Modalias) {
			urgency = Now
		}
		s.serve([]Device{{Path: u.Path, Modalias: u.Modalias}}, urgency)
		// A coldplug of the kernel's own gives hundreds that change nothing.
		return s.Loader.Attempts() != attempts || len(s.orphans) != orphan
	case u.Action == "remove" || u.Action == "bind":
		_, was := s.orphans[u.Path]
		delete(s.orphans, u.Path)
		return was
	}
	return false
}

// fail logs a failure once.
func (s *Service) fail(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told[name] {
		s.told[name] = true
		s.logf("%v", err)
	}
}

// tell writes the state for the rest of the node.
func (s *Service) tell(complete bool) {
	st := modstate.State{Complete: complete, Time: time.Now().UTC(), Loaded: []modstate.Module{}, Failed: []modstate.Module{}, Orphans: []modstate.Orphan{}}
	loaded, failed := s.Loader.Log()
	st.Loaded, st.Failed = append(st.Loaded, loaded...), append(st.Failed, failed...)
	for _, o := range s.orphans {
		st.Orphans = append(st.Orphans, o)
	}
	slices.SortFunc(st.Orphans, func(a, b modstate.Orphan) int { return strings.Compare(a.Device, b.Device) })
	if err := write(filepath.Join(s.Root, modstate.Path), st); err != nil {
		s.logf("write what was loaded: %v", err)
	}
}

func write(name string, st modstate.State) error {
	text, err := json.MarshalIndent(st, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (s *Service) logf(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }
