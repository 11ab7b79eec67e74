package pid1

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/node/kmsg"
	"github.com/bee-os/bee/pkg/node/power"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// watchdog is the hardware watchdog, once there is one.
type watchdog struct {
	mu      sync.Mutex
	dog     *power.Watchdog
	stop    context.CancelFunc // of the feeding
	leaving time.Duration      // the machine is going down: this is the last timeout
}

// watchdog arms the hardware watchdog when its device appears, which may be
// after coldplug found its driver.
func (p *pid1) watchdog(paths supervise.Paths) {
	if p.params.Watchdog < 0 || p.cfg.Watchdog == "" {
		return
	}
	timeout := p.params.Watchdog
	if timeout == 0 {
		timeout = power.DefaultWatchdog
	}
	err := paths.Watch(p.cfg.Watchdog, func(exists bool) {
		if exists {
			p.spawn(func() { p.arm(timeout) })
		}
	})
	if err != nil {
		p.say(true, "wait for a watchdog: %v", err)
	}
}

func (p *pid1) arm(timeout time.Duration) {
	p.dog.mu.Lock()
	if p.dog.dog != nil || p.dog.leaving > 0 {
		p.dog.mu.Unlock()
		return
	}
	dog, err := power.OpenWatchdog(p.cfg.Watchdog, timeout)
	if dog == nil {
		p.dog.mu.Unlock()
		p.say(true, "%v", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.dog.dog, p.dog.stop = dog, cancel
	p.dog.mu.Unlock()
	if err != nil {
		p.say(false, "%v", err)
	}
	p.say(false, "watchdog armed, %s", dog.Timeout)
	dog.Guard(ctx, p.engine.Progress, func(err error) { p.say(true, "%v", err) })
}

// lastBite gives the watchdog the timeout of the shutdown and feeds it no
// more.
func (w *watchdog) lastBite(timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaving = timeout
	if w.dog == nil {
		return
	}
	w.stop()
	// One that cannot be set keeps its own, shorter or longer: it is the last
	// resort of a last resort.
	w.dog.SetTimeout(timeout)
	w.dog.Feed()
}

// disarm stops the watchdog for good: nobody is going to feed it.
func (w *watchdog) disarm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaving = 1
	if w.dog == nil {
		return nil
	}
	w.stop()
	dog := w.dog
	w.dog = nil
	return dog.Disarm()
}

// release lets go of the watchdog in a handover, without waiting for a lock
// that the goroutine that panicked may hold. It reports whether the next one
// has to feed it.
func (w *watchdog) release() bool {
	if !w.mu.TryLock() {
		return true
	}
	armed := w.dog != nil
	w.mu.Unlock()
	return armed && w.disarm() != nil
}

// offerShell starts a shell on the console when nobody has taken it for a
// while: a boot that failed still has somebody to talk to.
func (p *pid1) offerShell() {
	every := min(p.cfg.Patience/4, time.Second)
	for free := time.Duration(0); ; time.Sleep(every) {
		if p.console.Owned() {
			free = 0
			continue
		}
		if free += every; free <= p.cfg.Patience {
			continue
		}
		p.say(true, "nobody took the console for %s: here is a shell", p.cfg.Patience)
		lost, release := p.console.Take()
		if err := p.engine.Start(context.Background(), RescueShell); err != nil {
			release()
			return // the machine is going down
		}
		<-lost
		if err := p.engine.Stop(context.Background(), RescueShell, "the console has another owner"); err != nil {
			p.say(true, "%v", err)
		}
		free = 0
	}
}

// tellLastReset says what the machine remembers of its last end. It is in no
// hurry.
func (p *pid1) tellLastReset() {
	time.Sleep(5 * time.Second)
	var next func() (kmsg.Record, error)
	r, c, err := kmsg.Open(false)
	if err != nil {
		p.say(false, "%v", err)
	} else {
		defer c.Close()
		next = r.Next
	}
	causes, err := power.LastReset(os.DirFS("/"), next)
	for _, c := range causes {
		p.say(true, "before this boot: %s", c)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.say(false, "find the cause of the last reset: %v", err)
	}
}
