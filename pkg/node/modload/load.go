package modload

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/node/modload/modstate"
)

// Inserter puts one module into the kernel: Kernel does it for real, at the
// priority that its urgency deserves.
type Inserter interface {
	Insert(file, options string, u Urgency) error
}

// Urgency is who waits for a module.
type Urgency uint8

const (
	Now   Urgency = iota // an operator does: network cards
	Early                // nobody does, but what it drives takes long to answer: disks
	Later                // nobody does; no more at a time than Loader.Parallel
)

// errForbidden is the fate of a module on a blacklist.
var errForbidden = errors.New("blacklisted")

// Loader loads modules with what they need, each once, independent ones at the
// same time. It is safe for concurrent use.
type Loader struct {
	Root     fs.FS
	Dir      string // lib/modules/<release>
	Index    *kmod.Index
	Policy   Policy
	Inserter Inserter
	Parallel int // modules inserted at the same time, of those that are loaded Later

	once  sync.Once
	slots chan struct{}
	mu    sync.Mutex
	jobs  map[string]*job
	asked map[string]bool // not only needed by others, by normalized name
	fresh []string        // loaded, and its companions not yet seen to
	log   []modstate.Module

	attempts int
}

// job is one module's way into the kernel.
type job struct {
	done chan struct{}
	err  error
}

// Load loads a module and everything it needs, and returns when that is done.
// wanted says who asked. What is not loaded Now has a low priority.
func (l *Loader) Load(name, wanted string, u Urgency) error {
	l.once.Do(func() {
		l.slots = make(chan struct{}, max(1, l.Parallel))
		l.jobs = make(map[string]*job)
	})
	err := l.load(kmod.Normalize(name), wanted, u)
	l.companions(u)
	return err
}

func (l *Loader) load(name, wanted string, u Urgency) error {
	if l.Index.Builtin(name) {
		return nil
	}
	l.mu.Lock()
	j, running := l.jobs[name]
	if !running {
		j = &job{done: make(chan struct{})}
		l.jobs[name] = j
	}
	l.mu.Unlock()
	if running {
		<-j.done
		return j.err
	}
	defer close(j.done)
	if j.err = l.insert(name, wanted, u); j.err == nil {
		l.mu.Lock()
		l.fresh = append(l.fresh, name)
		l.mu.Unlock()
	}
	return j.err
}

// companions loads what is wanted after the modules that were loaded: softdep
// post: (modprobe.d(5)). No load waits for it: a companion may need the module
// that it follows, and whatever else is being loaded.
func (l *Loader) companions(u Urgency) {
	for {
		l.mu.Lock()
		fresh := l.fresh
		l.fresh = nil
		l.mu.Unlock()
		if fresh == nil {
			return
		}
		for _, name := range fresh {
			_, post := l.Index.Soft(name)
			for _, p := range post {
				for _, m := range l.Index.Resolve(p) {
					l.Ask([]string{m})
					l.load(m, "", u) // wanted, not needed: its own record tells
				}
			}
		}
	}
}

// insert waits for what the module needs and inserts it.
func (l *Loader) insert(name, wanted string, u Urgency) error {
	if l.Policy.Forbidden(name) {
		return errForbidden
	}
	file, ok := l.Index.Path(name)
	if !ok {
		err := fmt.Errorf("load module %s: %w", name, kmod.ErrNotFound)
		l.record(modstate.Module{Name: name, Wanted: wanted, Error: err.Error()})
		return err
	}
	needs := slices.DeleteFunc(l.Index.Deps(name), func(d string) bool { return l.leadsBack(d, name) })
	errs := make([]error, len(needs))
	var wg sync.WaitGroup
	for i, d := range needs {
		wg.Go(func() { errs[i] = l.load(d, "", u) })
	}
	pre, _ := l.Index.Soft(name)
	for _, p := range pre {
		for _, m := range l.Index.Resolve(p) {
			if !l.leadsBack(m, name) {
				wg.Go(func() { l.load(m, "", u) }) // wanted, not needed: its own record tells
			}
		}
	}
	wg.Wait()
	options := l.Policy.Options(name)
	for i, err := range errs {
		if err != nil {
			err = fmt.Errorf("load module %s: it needs %s: %w", name, needs[i], err)
			if refused(err) {
				return err
			}
			l.record(modstate.Module{Name: name, Options: options, Wanted: wanted, Error: err.Error()})
			return err
		}
	}
	// Somebody was faster. Of a module that is still coming the kernel tells how it ends
	// to whoever inserts it too.
	if state, err := fs.ReadFile(l.Root, path.Join("sys/module", name, "initstate")); err == nil && string(state) == "live\n" {
		l.record(modstate.Module{Name: name, Wanted: wanted, Before: true})
		return nil
	}
	// A disk's driver sleeps for most of the time that it takes: it holds nobody up.
	if u == Later {
		l.slots <- struct{}{}
	}
	began := time.Now()
	err := l.Inserter.Insert(path.Join(l.Dir, file), l.insertOptions(name, wanted, options), u)
	took := time.Since(began)
	if u == Later {
		<-l.slots
	}
	m := modstate.Module{Name: name, Options: options, Wanted: wanted, Duration: took}
	if err != nil {
		err = fmt.Errorf("load module %s: %w", name, err)
		m.Error = err.Error()
	}
	if !refused(err) {
		l.record(m)
	}
	return err
}

// asynchronous is the parameter that has a module's drivers probe beside its loading
// (kernel-parameters.txt, async_probe). The load of a module without it ends when all
// that probes so is through, whoever's driver it is (do_init_module,
// kernel/module/main.c): while a disk does not answer, what a watchdog's driver needs
// would not end, and the driver itself not begin.
const asynchronous = "async_probe"

// insertOptions are a module's options, and asynchronous where it is only there for
// other modules. Whoever loads the driver of a device wants the device too, and waits.
func (l *Loader) insertOptions(name, wanted, options string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wanted != "" || l.asked[name] {
		return options
	}
	return strings.TrimSpace(options + " " + asynchronous)
}

// Ask says that modules are asked for themselves, whoever else needs them too. It has
// an effect on those that are not loaded yet.
func (l *Loader) Ask(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		l.asked = make(map[string]bool)
	}
	for _, n := range names {
		l.asked[kmod.Normalize(n)] = true
	}
}

// refused says that a module is not in the kernel and that this is right: the
// operator forbade it, or it has nothing to do here.
func refused(err error) bool {
	return errors.Is(err, errForbidden) || errors.Is(err, ErrNothingToDrive)
}

// leadsBack says whether what a module needs leads back to name. Soft
// dependencies may form such circles; whoever waited in one would wait for
// ever.
func (l *Loader) leadsBack(module, name string) bool {
	order, _ := l.Index.Closure(module) // an unknown name leads nowhere
	return slices.Contains(order, name)
}

// record keeps what became of a module; the latest attempt counts.
func (l *Loader) record(m modstate.Module) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts++
	if i := slices.IndexFunc(l.log, func(o modstate.Module) bool { return o.Name == m.Name }); i >= 0 {
		l.log[i] = m
		return
	}
	l.log = append(l.log, m)
}

// Attempts counts what was recorded so far.
func (l *Loader) Attempts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attempts
}

// Retry forgets how a module failed, so that a device that comes again gets
// another try.
func (l *Loader) Retry(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.jobs[kmod.Normalize(name)]
	if j == nil {
		return
	}
	select {
	case <-j.done:
		if j.err != nil {
			delete(l.jobs, kmod.Normalize(name))
		}
	default:
	}
}

// Log is what became of every module so far: loaded and failed, by name.
// Modules that are rightly not there are in neither.
func (l *Loader) Log() (loaded, failed []modstate.Module) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.log {
		if m.Error == "" {
			loaded = append(loaded, m)
		} else {
			failed = append(failed, m)
		}
	}
	byName := func(a, b modstate.Module) int { return strings.Compare(a.Name, b.Name) }
	slices.SortStableFunc(loaded, byName)
	slices.SortStableFunc(failed, byName)
	return loaded, failed
}
