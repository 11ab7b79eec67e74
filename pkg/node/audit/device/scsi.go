package device

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sgIO is struct sg_io_hdr (scsi/sg.h).
type sgIO struct {
	interfaceID    int32
	direction      int32
	cmdLen         byte
	maxSense       byte
	iovecs         uint16
	dataLen        uint32
	data           uintptr
	cmd            uintptr
	sense          uintptr
	timeout        uint32 // ms
	flags          uint32
	packID         int32
	_              [4]byte
	user           uintptr
	status         byte
	maskedStatus   byte
	msgStatus      byte
	senseLen       byte
	hostStatus     uint16
	driverStatus   uint16
	residual       int32
	duration, info uint32
}

const (
	sgIOCtl      = 0x2285 // SG_IO
	sgNone       = -1     // SG_DXFER_NONE
	sgFromDevice = -3     // SG_DXFER_FROM_DEV
)

// readOnly are the SCSI commands that are let through (SPC-6, SBC-4), all of
// them readers. The two ATA PASS-THROUGH ones carry their own list.
var readOnly = sync.OnceValue(func() map[byte]bool {
	return map[byte]bool{0x12: true, 0x1c: true, 0x25: true, 0x37: true, 0x4d: true, 0x5a: true, 0x9e: true, 0xa0: true}
})

// ataReadOnly are the ATA commands that are let through: READ LOG EXT, READ
// LOG DMA EXT, SMART with reading features, IDENTIFY (PACKET) DEVICE, CHECK
// POWER MODE (ACS-4).
func ataReadOnly(command, feature byte) bool {
	switch command {
	case 0x2f, 0x47, 0xa1, 0xe5, 0xec:
		return true
	case 0xb0:
		return feature == 0xd0 || feature == 0xd1 || feature == 0xd5 || feature == 0xda
	}
	return false
}

func allowed(cdb []byte) bool {
	if len(cdb) < 6 {
		return false
	}
	switch cdb[0] {
	case 0x85:
		return len(cdb) == 16 && ataReadOnly(cdb[14], cdb[4])
	case 0xa1:
		return len(cdb) == 12 && ataReadOnly(cdb[9], cdb[3])
	}
	return readOnly()[cdb[0]]
}

// SCSICommand makes the question of a command block. The answer is one byte of
// SCSI status, one that says how much sense data follows, the sense data, and
// the data that the device sent.
func SCSICommand(dev string, reply int, cdb ...byte) Question {
	return Question{Device: dev, Kind: SCSI, Request: cdb, Reply: reply}
}

func askSCSI(q Question, patience time.Duration) ([]byte, error) {
	if !allowed(q.Request) {
		return nil, fmt.Errorf("%x is no command that is let through", q.Request)
	}
	f, err := os.OpenFile("/"+q.Device, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, sense, cdb := make([]byte, q.Reply), make([]byte, 64), append([]byte(nil), q.Request...)
	h := sgIO{interfaceID: 'S', direction: sgFromDevice, cmdLen: byte(len(cdb)), maxSense: byte(len(sense)), dataLen: uint32(len(data)),
		cmd: uintptr(unsafe.Pointer(&cdb[0])), sense: uintptr(unsafe.Pointer(&sense[0])), timeout: uint32(patience.Milliseconds())}
	if len(data) > 0 {
		h.data = uintptr(unsafe.Pointer(&data[0]))
	} else {
		h.direction = sgNone
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), sgIOCtl, uintptr(unsafe.Pointer(&h)))
	runtime.KeepAlive(data)
	runtime.KeepAlive(sense)
	runtime.KeepAlive(cdb)
	if errno != 0 {
		return nil, fmt.Errorf("SCSI command %#02x: %w", cdb[0], errno)
	}
	if h.hostStatus != 0 {
		return nil, fmt.Errorf("SCSI command %#02x: host adapter status %#02x", cdb[0], h.hostStatus)
	}
	got := len(data) - int(min(max(h.residual, 0), int32(len(data))))
	out := append([]byte{h.status, h.senseLen}, sense[:min(int(h.senseLen), len(sense))]...)
	out[1] = byte(len(out) - 2)
	return append(out, data[:got]...), nil
}
