package device

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BMC is the kernel's node of the first management controller, below the root.
const BMC = "dev/ipmi0"

// ipmiReaders are the messages that are let through, network function and
// command (IPMI 2.0, appendix G): all of them read. Reserve SDR Repository and
// Reserve SEL hand out a number for a walk and change nothing that lasts.
var ipmiReaders = sync.OnceValue(func() map[[2]byte]bool {
	return map[[2]byte]bool{
		{0x00, 0x01}: true, {0x00, 0x07}: true, // chassis status, restart cause
		{0x04, 0x23}: true, {0x04, 0x25}: true, {0x04, 0x27}: true, {0x04, 0x2d}: true, // sensor factors, hysteresis…, thresholds, reading
		{0x06, 0x01}: true, {0x06, 0x25}: true, {0x06, 0x37}: true, {0x06, 0x42}: true, // device id, watchdog, GUID, channel info
		{0x0a, 0x10}: true, {0x0a, 0x11}: true, {0x0a, 0x20}: true, {0x0a, 0x22}: true, {0x0a, 0x23}: true, // FRU, SDR
		{0x0a, 0x40}: true, {0x0a, 0x42}: true, {0x0a, 0x43}: true, {0x0a, 0x48}: true, // SEL
		{0x0c, 0x02}: true, // LAN configuration
	}
})

// IPMIMessage makes the question of a message to the management controller.
// The answer is the completion code and the data behind it.
func IPMIMessage(netfn, cmd byte, data ...byte) Question {
	return Question{Device: BMC, Kind: IPMI, Request: append([]byte{netfn, cmd}, data...), Reply: 272} // IPMI_MAX_MSG_LENGTH
}

// bmc is the open device: opening it for every message costs more than the
// message.
type bmc struct {
	mu   sync.Mutex
	f    *os.File
	last int64 // id of the last message
}

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

// ask sends a message and waits for its answer.
func (c *bmc) ask(q Question, patience time.Duration) ([]byte, error) {
	if len(q.Request) < 2 || !ipmiReaders()[[2]byte{q.Request[0], q.Request[1]}] {
		return nil, fmt.Errorf("%x is no message that is let through", q.Request)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.f == nil {
		f, err := os.OpenFile("/"+q.Device, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		c.f = f // stays open as long as the process
	}
	c.last++
	data := append([]byte(nil), q.Request[2:]...)
	addr := systemAddr{kind: systemAddrType, channel: bmcChannel}
	req := request{addr: uintptr(unsafe.Pointer(&addr)), addrSize: uint32(unsafe.Sizeof(addr)), id: c.last,
		msg: message{netfn: q.Request[0], cmd: q.Request[1], size: uint16(len(data)), data: uintptr(unsafe.Pointer(unsafe.SliceData(data)))}}
	err := ioctl(c.f, sendCommand, unsafe.Pointer(&req))
	runtime.KeepAlive(&addr)
	runtime.KeepAlive(data)
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	until := time.Now().Add(patience)
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil, TimedOut(patience)
		}
		fds := []unix.PollFd{{Fd: int32(c.f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(left.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return nil, fmt.Errorf("wait: %w", err)
		}
		if n <= 0 {
			continue
		}
		answer, id, err := c.receive()
		switch {
		case err != nil:
			return nil, fmt.Errorf("receive: %w", err)
		case id != c.last: // of a message that was given up
		case len(answer) == 0:
			return nil, errors.New("the answer is empty")
		default:
			return answer, nil
		}
	}
}

func (c *bmc) receive() (answer []byte, id int64, err error) {
	buf := make([]byte, 272) // IPMI_MAX_MSG_LENGTH
	addr := make([]byte, 40)
	r := response{addr: uintptr(unsafe.Pointer(&addr[0])), addrSize: uint32(len(addr)),
		msg: message{size: uint16(len(buf)), data: uintptr(unsafe.Pointer(&buf[0]))}}
	err = ioctl(c.f, receiveTrunc, unsafe.Pointer(&r))
	runtime.KeepAlive(addr)
	runtime.KeepAlive(buf)
	if err != nil {
		return nil, 0, err
	}
	return buf[:min(int(r.msg.size), len(buf))], r.id, nil
}

func ioctl(f *os.File, number uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), number, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
