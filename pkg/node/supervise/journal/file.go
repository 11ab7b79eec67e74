package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// FileBytes bounds one log file; there are at most two of a service, since
// they lie in RAM: <service>.log and <service>.log.1.
const FileBytes = 512 << 10

// file is the log of one service below /var/log. An error to write is told in
// the file's place of the ring by nobody: the ring itself has the line, so the
// file is tried again later and says then how much it lacks.
type file struct {
	path string

	mu      sync.Mutex
	f       *os.File
	size    int64
	retry   time.Duration // uptime before which it is not tried again
	missing int           // lines not written since the last success
	lastErr error
}

func newFile(dir, service string) *file {
	return &file{path: filepath.Join(dir, service+".log")}
}

const retryAfter = 5 * time.Second

func (w *file) write(line control.LogLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.retry > line.Uptime {
		w.missing++
		return
	}
	if err := w.try(line); err != nil {
		w.missing++
		w.lastErr = err
		w.retry = line.Uptime + retryAfter
		if w.f != nil {
			w.f.Close() // the error that counts is the one above
			w.f = nil
		}
	}
}

func (w *file) try(line control.LogLine) error {
	if w.f == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	b := make([]byte, 0, len(line.Text)+48)
	if w.missing > 0 {
		b = fmt.Appendf(b, "%s (%d lines could not be written here: %v)\n", stamp(line), w.missing, w.lastErr)
	}
	b = append(b, stamp(line)...)
	b = append(b, ' ')
	b = append(b, line.Text...)
	b = append(b, '\n')
	if w.size+int64(len(b)) > FileBytes && w.size > 0 {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	n, err := w.f.Write(b)
	w.size += int64(n)
	if err == nil {
		w.missing = 0
	}
	return err
}

// stamp is how a line begins: when, by the wall clock and since the kernel's
// start.
func stamp(line control.LogLine) string {
	b := make([]byte, 0, 40)
	b = line.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, ' ')
	return string(AppendUptime(b, line.Uptime))
}

// AppendUptime appends an uptime as the kernel's log shows it, with
// milliseconds: [   12.345].
func AppendUptime(b []byte, d time.Duration) []byte {
	ms := d.Milliseconds()
	return fmt.Appendf(b, "[%5d.%03d]", ms/1000, ms%1000)
}

func (w *file) open() error {
	if err := os.MkdirAll(filepath.Dir(w.path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	w.f, w.size = f, st.Size()
	return nil
}

func (w *file) rotate() error {
	if err := w.f.Close(); err != nil {
		return err
	}
	w.f = nil
	if err := os.Rename(w.path, w.path+".1"); err != nil {
		return err
	}
	return w.open()
}
