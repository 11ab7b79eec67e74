package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/bee-os/bee/pkg/node/supervise/journal"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// drainer reads a pipe from a goroutine of its own and can be told to take, now,
// all that is in it: the past must be known before the end of a process is.
type drainer struct {
	f    *os.File
	fd   int
	take func([]byte)

	mu sync.Mutex // held while bytes are read and taken
}

func newDrainer(fd int, name string, take func([]byte)) (*drainer, error) {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("set %s non-blocking: %w", name, err)
	}
	return &drainer{f: os.NewFile(uintptr(fd), name), fd: fd, take: take}, nil
}

// run reads until the pipe is closed.
func (d *drainer) run() {
	raw, err := d.f.SyscallConn()
	if err != nil {
		return // it is closed already
	}
	// The poller waits; the reading itself is done under the lock, in step with
	// drain.
	for open := true; open; {
		err := raw.Read(func(uintptr) bool {
			var got bool
			got, open = d.readAll()
			return got || !open
		})
		if err != nil {
			return
		}
	}
}

// readAll takes all that is there. got: there was something; open: a writer
// may follow.
func (d *drainer) readAll() (got, open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var buf [4096]byte
	for {
		n, err := syscall.Read(d.fd, buf[:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return got, true
		case err != nil || n == 0:
			return got, false
		default:
			got = true
			d.take(buf[:n])
		}
	}
}

// drain takes what is in the pipe now.
func (d *drainer) drain() {
	raw, err := d.f.SyscallConn()
	if err != nil {
		return
	}
	// Control keeps the descriptor from being closed meanwhile.
	if err := raw.Control(func(uintptr) { d.readAll() }); err != nil {
		return // closed: run has seen its end
	}
}

// logPipe is where a service writes its log. PID 1 holds both ends, so that
// nothing is lost between the end of one process and the start of the next.
type logPipe struct {
	*drainer
	write int
}

func newLogPipe(log *journal.Log) (*logPipe, error) {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make log pipe: %w", err)
	}
	d, err := newDrainer(fds[0], "log pipe", func(b []byte) {
		// Write of a journal.Log never fails.
		log.Write(b)
	})
	if err != nil {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
		return nil, err
	}
	return &logPipe{d, fds[1]}, nil
}

// listener reads the notify lines of one process.
type listener struct {
	*drainer
	part []byte
}

func newListener(fd int, say func(notify.Message), complain func(error)) (*listener, error) {
	l := &listener{}
	d, err := newDrainer(fd, "notify pipe", func(b []byte) { l.lines(b, say, complain) })
	l.drainer = d
	return l, err
}

func (l *listener) lines(b []byte, say func(notify.Message), complain func(error)) {
	l.part = append(l.part, b...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			break
		}
		m, err := notify.Parse(l.part[:i])
		if err != nil {
			complain(err)
		} else {
			say(m)
		}
		l.part = l.part[i+1:]
	}
	if len(l.part) > notify.MaxLine {
		complain(errors.New("notify line without an end: dropped"))
		l.part = nil
	}
}

// finish takes what is there and closes the pipe: its owner has ended, and a
// descendant that inherited the other end does not speak for it.
func (l *listener) finish() {
	l.drain()
	l.close()
}

// close also ends run. Nothing was written that an error could be about.
func (l *listener) close() { l.f.Close() }
