// Package power is how a machine is left and how it came to start: the
// hardware watchdog, the cause of the last reset, the end of a shutdown, the
// power button.
package power

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// WatchdogDevice is the first watchdog (Documentation/watchdog/watchdog-api.rst).
const WatchdogDevice = "/dev/watchdog0"

// DefaultWatchdog is the timeout where bee.watchdog= says nothing.
const DefaultWatchdog = 30 * time.Second

// Requests of include/uapi/linux/watchdog.h.
const (
	wdiocSetTimeout = 0xc0045706
	wdiocKeepalive  = 0x80045705
)

// Watchdog is an armed hardware watchdog: unless it is fed the machine is
// reset.
type Watchdog struct {
	Timeout time.Duration // as the hardware took it

	mu sync.Mutex
	f  *os.File
}

// OpenWatchdog arms the watchdog at path. Opening is what arms it.
func OpenWatchdog(path string, timeout time.Duration) (*Watchdog, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("arm watchdog: %w", err)
	}
	w := &Watchdog{f: f}
	if err := w.SetTimeout(timeout); err != nil {
		// Some have one timeout only: it stays armed with that, fed as often as
		// the one that was asked for needs.
		w.Timeout = timeout
		return w, fmt.Errorf("arm watchdog %s: %w; it keeps its own timeout", path, err)
	}
	return w, nil
}

// SetTimeout sets the timeout; the hardware may round it.
func (w *Watchdog) SetTimeout(d time.Duration) error {
	seconds := int32((d + time.Second - 1) / time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ioctl(wdiocSetTimeout, unsafe.Pointer(&seconds)); err != nil {
		return fmt.Errorf("set timeout to %d s: %w", seconds, err)
	}
	w.Timeout = time.Duration(seconds) * time.Second
	return nil
}

func (w *Watchdog) ioctl(request uintptr, arg unsafe.Pointer) error {
	raw, err := w.f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// Feed resets the countdown.
func (w *Watchdog) Feed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var zero int32
	if err := w.ioctl(wdiocKeepalive, unsafe.Pointer(&zero)); err != nil {
		return fmt.Errorf("feed watchdog: %w", err)
	}
	return nil
}

// Disarm stops the watchdog (magic close). Where the driver was told never to
// stop (nowayout) the error says that the machine will be reset.
func (w *Watchdog) Disarm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	nowayout, err := os.ReadFile("/sys/class/watchdog/" + filepath.Base(w.f.Name()) + "/nowayout")
	if _, err := w.f.WriteString("V"); err != nil {
		return fmt.Errorf("disarm watchdog: %w", err)
	}
	if err := w.f.Close(); err != nil {
		return fmt.Errorf("disarm watchdog: %w", err)
	}
	if err == nil && len(nowayout) > 0 && nowayout[0] == '1' {
		return errors.New("disarm watchdog: its driver has nowayout set; it goes on counting and resets the machine")
	}
	return nil
}

// Guard feeds the watchdog for as long as alive says in good time that there is
// progress. Once it does not, tell is called and feeding pauses; when progress
// is back in time, so is the feeding. It ends with ctx and leaves the watchdog
// armed.
func (w *Watchdog) Guard(ctx context.Context, alive func(context.Context) error, tell func(error)) {
	every := max(w.Timeout/4, time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	well := true
	for {
		check, cancel := context.WithTimeout(ctx, every)
		err := alive(check)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = w.Feed()
		} else {
			err = fmt.Errorf("watchdog is not fed, %s to reset: %w", w.Timeout, err)
		}
		if err != nil && well {
			tell(err)
		}
		well = err == nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
