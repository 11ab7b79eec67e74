package device

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nvmeAdmin is struct nvme_passthru_cmd (linux/nvme_ioctl.h).
type nvmeAdmin struct {
	opcode, flags byte
	_             uint16
	nsid          uint32
	cdw2, cdw3    uint32
	metadata      uint64
	addr          uint64
	metadataLen   uint32
	dataLen       uint32
	cdw10         [6]uint32 // cdw10…cdw15
	timeout       uint32    // ms
	result        uint32
}

// nvmeAdminCmd is _IOWR('N', 0x41, struct nvme_passthru_cmd).
const nvmeAdminCmd = 0xc0484e41

// Opcodes that are let through: they read and change nothing (NVM Express base
// specification 2.0, figure 138).
const (
	nvmeGetLogPage = 0x02
	nvmeIdentify   = 0x06
)

// NVMeCommand makes the question of an admin command: opcode, namespace,
// dwords 10 and 11. The answer is the data alone.
func NVMeCommand(dev string, opcode byte, nsid, cdw10, cdw11 uint32, reply int) Question {
	b := []byte{opcode}
	b = binary.LittleEndian.AppendUint32(b, nsid)
	b = binary.LittleEndian.AppendUint32(b, cdw10)
	b = binary.LittleEndian.AppendUint32(b, cdw11)
	return Question{Device: dev, Kind: NVMe, Request: b, Reply: reply}
}

func askNVMe(q Question, patience time.Duration) ([]byte, error) {
	if len(q.Request) != 13 || q.Request[0] != nvmeGetLogPage && q.Request[0] != nvmeIdentify {
		return nil, fmt.Errorf("%x is no command that is let through", q.Request)
	}
	f, err := os.OpenFile("/"+q.Device, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, q.Reply)
	c := nvmeAdmin{opcode: q.Request[0], nsid: binary.LittleEndian.Uint32(q.Request[1:]), addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(data)))),
		dataLen: uint32(len(data)), timeout: uint32(patience.Milliseconds())}
	c.cdw10[0], c.cdw10[1] = binary.LittleEndian.Uint32(q.Request[5:]), binary.LittleEndian.Uint32(q.Request[9:])
	status, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), nvmeAdminCmd, uintptr(unsafe.Pointer(&c)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return nil, fmt.Errorf("NVMe command %#02x: %w", q.Request[0], errno)
	}
	if status != 0 {
		return nil, fmt.Errorf("NVMe command %#02x, dword 10 %#x: status %#x", q.Request[0], c.cdw10[0], status&0x7ff)
	}
	return data, nil
}
