package modload

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Uevent is one message of the kernel about a device (kernel:
// lib/kobject_uevent.c).
type Uevent struct {
	Action   string // add, remove, change, bind, …
	Path     string // below /sys, without the first slash
	Modalias string // may be empty
}

// ParseUevent reads a datagram of NETLINK_KOBJECT_UEVENT: "action@/path", then
// KEY=value, each ended by NUL.
func ParseUevent(b []byte) (Uevent, error) {
	head, rest, _ := bytes.Cut(b, []byte{0})
	action, path, ok := bytes.Cut(head, []byte("@/"))
	if !ok || len(action) == 0 {
		return Uevent{}, errors.New("parse uevent: it does not begin with action@/path")
	}
	u := Uevent{Action: string(action), Path: string(path)}
	for len(rest) > 0 {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte{0})
		if v, ok := bytes.CutPrefix(field, []byte("MODALIAS=")); ok {
			u.Modalias = string(v)
		}
	}
	return u, nil
}

// ErrOverrun says that the kernel dropped uevents because they were not read
// in time: sysfs must be looked at as a whole.
var ErrOverrun = errors.New("uevents were lost")

// Socket receives uevents.
type Socket struct{ fd int }

// receiveBuffer holds the events of a big machine's coldplug, bytes.
const receiveBuffer = 4 << 20

// Listen opens the socket. Events from now on are kept for Next.
func Listen() (*Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen for uevents: %w", err)
	}
	// More than the default where we may; without, an overrun leads to a rescan.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for uevents: %w", err), unix.Close(fd))
	}
	return &Socket{fd}, nil
}

// Next waits for the next event of the kernel; what other processes send is
// passed over. Its error is ErrOverrun where events were lost.
func (s *Socket) Next() (Uevent, error) { return s.receive(0) }

// Pending is Next for an event that is there already: ok says whether one was.
func (s *Socket) Pending() (u Uevent, ok bool, err error) {
	u, err = s.receive(unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EAGAIN) {
		return u, false, nil
	}
	return u, err == nil, err
}

func (s *Socket) receive(flags int) (Uevent, error) {
	buf := make([]byte, 16<<10)
	for {
		n, from, err := unix.Recvfrom(s.fd, buf, flags)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOBUFS:
			return Uevent{}, ErrOverrun
		case err != nil:
			return Uevent{}, fmt.Errorf("receive uevent: %w", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not from the kernel
		}
		if u, err := ParseUevent(buf[:n]); err == nil {
			return u, nil
		}
	}
}
