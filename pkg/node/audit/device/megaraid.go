package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MegaRAID speaks to the disks behind a controller of megaraid_sas, through the
// driver's own management node.
const MegaRAID Kind = "megaraid"

// megaNode is the driver's node; the driver has a major number and nobody makes
// the file.
const megaNode = "dev/megaraid_sas_ioctl_node"

// megaPacket is struct megasas_iocpacket (drivers/scsi/megaraid/megaraid_sas.h),
// which is packed: 20 bytes, a frame of 128, 16 scatter-gather entries.
const (
	megaFrame  = 20
	megaSGL    = megaFrame + 128
	megaPacket = megaSGL + 16*16
	megaIoctl  = 0xc1944d01 // _IOWR('M', 1, struct megasas_iocpacket)
)

// MegaList makes the question for the list of physical disks of a host
// (MR_DCMD_PD_GET_LIST). The answer is the controller's.
func MegaList(host uint16) Question {
	return Question{Device: megaNode, Kind: MegaRAID, Request: binary.LittleEndian.AppendUint16([]byte{'L'}, host), Reply: 8 + 24*256}
}

// MegaCommand makes the question of a SCSI command for a physical disk; the
// answer is that of SCSICommand.
func MegaCommand(host, disk uint16, reply int, cdb ...byte) Question {
	b := binary.LittleEndian.AppendUint16([]byte{'C'}, host)
	b = binary.LittleEndian.AppendUint16(b, disk)
	return Question{Device: megaNode, Kind: MegaRAID, Request: append(b, cdb...), Reply: reply}
}

func askMegaRAID(q Question, patience time.Duration) ([]byte, error) {
	list := len(q.Request) == 3 && q.Request[0] == 'L'
	if !list && (len(q.Request) < 11 || q.Request[0] != 'C' || !allowed(q.Request[5:])) {
		return nil, fmt.Errorf("%x is no command that is let through", q.Request)
	}
	f, err := openMega()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	le := binary.LittleEndian
	data, sense := make([]byte, max(q.Reply, 1)), make([]byte, 64)
	p := make([]byte, megaPacket)
	le.PutUint16(p, le.Uint16(q.Request[1:]))
	frame := p[megaFrame:]
	seconds := uint16(max(1, patience/time.Second))
	if list {
		le.PutUint32(p[4:], 40)                     // sgl_off: of a DCMD frame
		frame[0] = 5                                // MFI_CMD_DCMD
		le.PutUint16(frame[16:], 0x10)              // from the controller
		le.PutUint32(frame[20:], uint32(len(data))) //
		le.PutUint32(frame[24:], 0x02010000)        // MR_DCMD_PD_GET_LIST
	} else {
		cdb := q.Request[5:]
		le.PutUint32(p[4:], 48)  // sgl_off: of a pass-through frame
		le.PutUint32(p[12:], 24) // sense_off: where the frame holds the sense data's address
		le.PutUint32(p[16:], uint32(len(sense)))
		frame[0], frame[1] = 4, byte(len(sense)) // MFI_CMD_PD_SCSI_IO
		frame[4], frame[6] = byte(le.Uint16(q.Request[3:])), byte(len(cdb))
		le.PutUint16(frame[16:], 0x10)
		le.PutUint32(frame[20:], uint32(q.Reply))
		copy(frame[32:48], cdb)
		le.PutUint64(frame[24:], uint64(uintptr(unsafe.Pointer(&sense[0]))))
	}
	if list || q.Reply > 0 {
		frame[7] = 1           // sge_count
		le.PutUint32(p[8:], 1) // of the packet too
		le.PutUint64(p[megaSGL:], uint64(uintptr(unsafe.Pointer(&data[0]))))
		le.PutUint64(p[megaSGL+8:], uint64(len(data)))
	}
	le.PutUint16(frame[18:], seconds)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), megaIoctl, uintptr(unsafe.Pointer(&p[0])))
	runtime.KeepAlive(data)
	runtime.KeepAlive(sense)
	if errno != 0 {
		return nil, fmt.Errorf("MegaRAID request: %w", errno)
	}
	status := frame[2]
	if list {
		if status != 0 {
			return nil, fmt.Errorf("MegaRAID request: firmware status %#02x", status)
		}
		return data, nil
	}
	if status != 0 && status != 0x2d { // MFI_STAT_SCSI_DONE_WITH_ERROR: the disk's own status tells
		return nil, fmt.Errorf("MegaRAID request: firmware status %#02x", status)
	}
	// The driver hands back the firmware's word alone, not the disk's status.
	scsi, n := byte(0), 0
	if status != 0 {
		scsi, n = 2, 32 // check condition
	}
	out := append([]byte{scsi, byte(n)}, sense[:n]...)
	return append(out, data[:q.Reply]...), nil
}

// openMega opens the driver's node, and makes it where it is missing.
func openMega() (*os.File, error) {
	f, err := os.OpenFile("/"+megaNode, os.O_RDWR, 0)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	text, readErr := os.ReadFile("/proc/devices")
	if readErr != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		var major uint32
		if n, _ := fmt.Sscanf(line, "%d megaraid_sas_ioctl", &major); n == 1 && strings.HasSuffix(strings.TrimSpace(line), "megaraid_sas_ioctl") {
			if err := unix.Mknod("/"+megaNode, unix.S_IFCHR|0o600, int(unix.Mkdev(major, 0))); err != nil && err != unix.EEXIST {
				return nil, fmt.Errorf("make /%s: %w", megaNode, err)
			}
			return os.OpenFile("/"+megaNode, os.O_RDWR, 0)
		}
	}
	return nil, err
}
