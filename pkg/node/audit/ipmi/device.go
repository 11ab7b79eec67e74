// Package ipmi asks the management controller through the kernel's own driver
// (linux/ipmi.h, /dev/ipmi0): who it is, and what its inventory says of the
// machine. Messages are those of the Intelligent Platform Management Interface
// Specification v2.0.
package ipmi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Device is the driver's node, relative to the root.
const Device = "dev/ipmi0"

// A command that gets no answer in so long is given up. A healthy controller
// takes some milliseconds; one that is starting up, a second.
const patience = 2 * time.Second

// Client speaks to one controller.
type Client struct {
	f    *os.File
	last int64 // id of the last message
}

// Open opens /dev/ipmi0. The error wraps fs.ErrNotExist where there is no
// driver.
func Open() (*Client, error) {
	f, err := os.OpenFile("/"+Device, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open management controller: %w", err)
	}
	return &Client{f: f}, nil
}

// Close closes the device.
func (c *Client) Close() error { return c.f.Close() }

// The kernel's structures (linux/ipmi.h), as on every 64-bit machine.
type (
	systemAddr struct {
		kind    int32
		channel int16
		lun     byte
		_       byte
	}
	message struct {
		netfn, cmd byte
		size       uint16
		_          uint32
		data       uintptr
	}
	request struct {
		addr     uintptr
		addrSize uint32
		_        uint32
		id       int64
		msg      message
	}
	response struct {
		kind     int32
		_        int32
		addr     uintptr
		addrSize uint32
		_        uint32
		id       int64
		msg      message
	}
)

// ioctl numbers: _IOR('i', 13, struct ipmi_req), _IOWR('i', 11, struct ipmi_recv).
const (
	sendCommand    = 0x8028690d
	receiveTrunc   = 0xc030690b
	systemAddrType = 0x0c
	bmcChannel     = 0x0f
)

// do sends a command and returns the answer behind its completion code.
func (c *Client) do(ctx context.Context, netfn, cmd byte, data ...byte) ([]byte, error) {
	c.last++
	addr := systemAddr{kind: systemAddrType, channel: bmcChannel}
	req := request{addr: uintptr(unsafe.Pointer(&addr)), addrSize: uint32(unsafe.Sizeof(addr)), id: c.last,
		msg: message{netfn: netfn, cmd: cmd, size: uint16(len(data))}}
	if len(data) > 0 {
		req.msg.data = uintptr(unsafe.Pointer(&data[0]))
	}
	if err := c.ioctl(sendCommand, unsafe.Pointer(&req)); err != nil {
		return nil, fmt.Errorf("send IPMI command %#02x/%#02x: %w", netfn, cmd, err)
	}
	keep(&addr, data)
	until := time.Now().Add(patience)
	for {
		left := time.Until(until)
		if left <= 0 || ctx.Err() != nil {
			return nil, fmt.Errorf("wait for the answer to IPMI command %#02x/%#02x: none within %v", netfn, cmd, patience)
		}
		fds := []unix.PollFd{{Fd: int32(c.f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(min(left, 100*time.Millisecond).Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return nil, fmt.Errorf("wait for an IPMI answer: %w", err)
		}
		if n <= 0 {
			continue
		}
		answer, id, err := c.receive()
		if err != nil {
			return nil, err
		}
		if id != c.last {
			continue // of a command that was given up
		}
		if len(answer) == 0 {
			return nil, errors.New("read an IPMI answer: it is empty")
		}
		if answer[0] != 0 {
			return nil, fmt.Errorf("IPMI command %#02x/%#02x: completion code %#02x", netfn, cmd, answer[0])
		}
		return answer[1:], nil
	}
}

func (c *Client) receive() (answer []byte, id int64, err error) {
	buf := make([]byte, 272) // IPMI_MAX_MSG_LENGTH
	var addr [40]byte
	r := response{addr: uintptr(unsafe.Pointer(&addr[0])), addrSize: uint32(len(addr)),
		msg: message{size: uint16(len(buf)), data: uintptr(unsafe.Pointer(&buf[0]))}}
	if err := c.ioctl(receiveTrunc, unsafe.Pointer(&r)); err != nil {
		return nil, 0, fmt.Errorf("receive an IPMI answer: %w", err)
	}
	keep(&addr, buf)
	return buf[:min(int(r.msg.size), len(buf))], r.id, nil
}

func (c *Client) ioctl(number uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, c.f.Fd(), number, uintptr(arg))
	if errno != 0 {
		return errno
	}
	return nil
}
