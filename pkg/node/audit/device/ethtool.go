package device

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolReaders are the commands that are let through (linux/ethtool.h):
// GDRVINFO, GMODULEINFO, GMODULEEEPROM, GPERMADDR, GLINKSETTINGS, GFECPARAM.
var ethtoolReaders = sync.OnceValue(func() map[uint32]bool {
	return map[uint32]bool{0x03: true, 0x42: true, 0x43: true, 0x20: true, 0x4c: true, 0x50: true}
})

// EthtoolCommand makes the question of an SIOCETHTOOL request: the command and
// the words that follow it in its structure. The answer is the whole structure,
// as long as Reply says.
func EthtoolCommand(nic string, reply int, command uint32, words ...uint32) Question {
	b := binary.NativeEndian.AppendUint32(nil, command)
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return Question{Device: nic, Kind: Ethtool, Request: b, Reply: reply}
}

func askEthtool(q Question, _ time.Duration) ([]byte, error) {
	if len(q.Request) < 4 || q.Reply < len(q.Request) || !ethtoolReaders()[binary.NativeEndian.Uint32(q.Request)] {
		return nil, fmt.Errorf("%x is no request that is let through", q.Request)
	}
	if len(q.Device) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("%q is too long for an interface's name", q.Device)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	data := make([]byte, q.Reply)
	copy(data, q.Request)
	var ifr struct {
		name [unix.IFNAMSIZ]byte
		data uintptr
		_    [16]byte
	}
	copy(ifr.name[:], q.Device)
	ifr.data = uintptr(unsafe.Pointer(&data[0]))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return nil, fmt.Errorf("ethtool command %#x: %w", binary.NativeEndian.Uint32(q.Request), errno)
	}
	return data, nil
}
