// Package nvme decodes what NVMe controllers answer: Identify data structures
// and log pages (NVM Express base specification 2.0). It opens nothing; numbers
// are little-endian, as there.
package nvme

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

var le = binary.LittleEndian

// Lengths of the structures, bytes.
const (
	IdentifySize = 4096
	HealthSize   = 512
	SelfTestSize = 564
	FirmwareSize = 512
	errorSize    = 64
)

// Controller is the Identify Controller data structure (figure 275).
type Controller struct {
	VendorID, SubsystemVendorID uint16
	Serial, Model, Firmware     string
	ControllerID                uint16
	Version                     uint32 // 1.4.0 is 0x00010400; 0: older than 1.2
	Capacity, Unallocated       uint64 // bytes; 0: not told
	WarningKelvin, CriticalK    uint16
	Namespaces                  uint32 // the most that there may be
	ErrorEntries                int    // that the error log holds
	FirmwareSlots               int
	Slot1ReadOnly               bool
	SelfTest                    bool // supports the device self-test command
	NQN                         string
}

// ParseController decodes Identify with CNS 1.
func ParseController(b []byte) (Controller, error) {
	if len(b) < IdentifySize {
		return Controller{}, short("Identify Controller", len(b), IdentifySize)
	}
	c := Controller{
		VendorID: le.Uint16(b), SubsystemVendorID: le.Uint16(b[2:]), Serial: text(b[4:24]), Model: text(b[24:64]), Firmware: text(b[64:72]),
		ControllerID: le.Uint16(b[78:]), Version: le.Uint32(b[80:]), Capacity: u128(b[280:]), Unallocated: u128(b[296:]),
		WarningKelvin: le.Uint16(b[266:]), CriticalK: le.Uint16(b[268:]), Namespaces: le.Uint32(b[516:]), ErrorEntries: int(b[262]) + 1,
		FirmwareSlots: int(b[260] >> 1 & 7), Slot1ReadOnly: b[260]&1 != 0, SelfTest: le.Uint16(b[256:])&(1<<4) != 0, NQN: text(b[768:1024]),
	}
	if c.Model == "" && c.Serial == "" && c.VendorID == 0 {
		return c, fmt.Errorf("decode Identify Controller: it is all zeros")
	}
	return c, nil
}

// VersionText writes a version as makers do; empty where the controller tells
// none.
func (c Controller) VersionText() string {
	if c.Version == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", c.Version>>16, c.Version>>8&0xff, c.Version&0xff)
}

// Health is the SMART / health information log page (02h, figure 207).
type Health struct {
	CriticalWarning                     byte
	Kelvin                              uint16
	Spare, SpareThreshold, Used         byte // percent
	DataRead, DataWritten               uint64
	ReadCommands, WriteCommands         uint64
	BusyMinutes, PowerCycles            uint64
	PowerOnHours, UnsafeShutdowns       uint64
	MediaErrors, ErrorEntries           uint64
	WarningMinutes, CriticalTempMinutes uint32
}

// ParseHealth decodes log page 02h. A page of zeros is an error: no controller
// runs at 0 K.
func ParseHealth(b []byte) (Health, error) {
	if len(b) < HealthSize {
		return Health{}, short("health log", len(b), HealthSize)
	}
	h := Health{
		CriticalWarning: b[0], Kelvin: le.Uint16(b[1:]), Spare: b[3], SpareThreshold: b[4], Used: b[5],
		DataRead: u128(b[32:]), DataWritten: u128(b[48:]), ReadCommands: u128(b[64:]), WriteCommands: u128(b[80:]), BusyMinutes: u128(b[96:]),
		PowerCycles: u128(b[112:]), PowerOnHours: u128(b[128:]), UnsafeShutdowns: u128(b[144:]), MediaErrors: u128(b[160:]), ErrorEntries: u128(b[176:]),
		WarningMinutes: le.Uint32(b[192:]), CriticalTempMinutes: le.Uint32(b[196:]),
	}
	if h == (Health{}) {
		return h, fmt.Errorf("decode health log: it is all zeros")
	}
	return h, nil
}

// Warnings names the bits of a critical warning.
func Warnings(w byte) []string {
	var names []string
	for i, n := range []string{"spare blocks below the threshold", "temperature", "reliability degraded", "read-only", "volatile memory backup failed", "persistent memory region read-only or unreliable"} {
		if w>>i&1 != 0 {
			names = append(names, n)
			w &^= 1 << i
		}
	}
	if w != 0 {
		names = append(names, fmt.Sprintf("reserved bits %#02x", w))
	}
	return names
}

// Error is one entry of the error information log (01h, figure 206).
type Error struct {
	Count     uint64
	Queue     uint16
	Status    uint16 // without the phase bit
	LBA       uint64
	Namespace uint32
}

// ParseErrors decodes log page 01h: the entries that are in use, newest first.
func ParseErrors(b []byte) []Error {
	var list []Error
	for ; len(b) >= errorSize; b = b[errorSize:] {
		if n := le.Uint64(b); n != 0 {
			list = append(list, Error{Count: n, Queue: le.Uint16(b[8:]), Status: le.Uint16(b[12:]) >> 1, LBA: le.Uint64(b[16:]), Namespace: le.Uint32(b[24:])})
		}
	}
	return list
}

// ErrorLogSize is the number of bytes of n entries.
func ErrorLogSize(n int) int { return n * errorSize }

// SelfTest is one result of the device self-test log (06h, figure 213).
type SelfTest struct {
	Code   byte // 1 short, 2 extended, 0xe vendor
	Result byte // 0 passed, 0xf not used
	Hours  uint64
}

// ParseSelfTests decodes log page 06h: the test that runs (0: none), how far
// it is in percent, and the results, newest first.
func ParseSelfTests(b []byte) (running, percent byte, list []SelfTest, err error) {
	if len(b) < SelfTestSize {
		return 0, 0, nil, short("self-test log", len(b), SelfTestSize)
	}
	for i := range 20 {
		e := b[4+28*i:]
		if e[0]&0xf == 0xf || e[0] == 0 && le.Uint64(e[4:]) == 0 {
			continue
		}
		list = append(list, SelfTest{Code: e[0] >> 4, Result: e[0] & 0xf, Hours: le.Uint64(e[4:])})
	}
	return b[0] & 0xf, b[1] & 0x7f, list, nil
}

// SelfTestResult is a result in words.
func SelfTestResult(r byte) string {
	names := [...]string{"passed", "aborted by a command", "aborted by a reset", "aborted: namespace removed", "aborted by a format", "failed: unknown error", "failed: unknown segment", "failed: known segments", "aborted: unknown reason", "aborted by a sanitize"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("reserved result %#x", r)
}

// SelfTestKind is a self-test code in words.
func SelfTestKind(c byte) string {
	switch c {
	case 1:
		return "short"
	case 2:
		return "extended"
	case 0xe:
		return "vendor"
	}
	return fmt.Sprintf("code %#x", c)
}

// ParseFirmware decodes log page 03h (figure 208): the slot that runs, the one
// that will after the next reset (0: the same), and each slot's revision.
func ParseFirmware(b []byte) (active, next byte, slots []string, err error) {
	if len(b) < FirmwareSize {
		return 0, 0, nil, short("firmware slot log", len(b), FirmwareSize)
	}
	for i := range 7 {
		slots = append(slots, text(b[8+8*i:16+8*i]))
	}
	return b[0] & 7, b[0] >> 4 & 7, slots, nil
}

// Namespace is the Identify Namespace data structure of the NVM command set
// (NVM command set specification 1.0, figure 97).
type Namespace struct {
	Blocks, CapacityBlocks, UsedBlocks uint64
	BlockBytes, MetadataBytes          uint64
	NGUID, EUI64                       string // hexadecimal; empty: none
}

// ParseNamespace decodes Identify with CNS 0.
func ParseNamespace(b []byte) (Namespace, error) {
	if len(b) < IdentifySize {
		return Namespace{}, short("Identify Namespace", len(b), IdentifySize)
	}
	format := int(b[26]&0xf) | int(b[26]>>5&3)<<4
	lbaf := le.Uint32(b[128+4*format:])
	n := Namespace{Blocks: le.Uint64(b), CapacityBlocks: le.Uint64(b[8:]), UsedBlocks: le.Uint64(b[16:]), MetadataBytes: uint64(lbaf & 0xffff), NGUID: hexID(b[104:120]), EUI64: hexID(b[120:128])}
	if shift := lbaf >> 16 & 0xff; shift >= 9 && shift <= 32 {
		n.BlockBytes = 1 << shift
	}
	return n, nil
}

// Bytes is a number of blocks in bytes; false where that is beyond counting or
// the block size is unknown.
func (n Namespace) Bytes(blocks uint64) (int64, bool) {
	hi, lo := bits.Mul64(blocks, n.BlockBytes)
	return int64(lo), hi == 0 && lo <= math.MaxInt64 && n.BlockBytes != 0
}

// ParseActive decodes Identify with CNS 2: the active namespaces, at most max.
func ParseActive(b []byte, max int) []uint32 {
	var list []uint32
	for ; len(b) >= 4 && len(list) < max; b = b[4:] {
		n := le.Uint32(b)
		if n == 0 || len(list) > 0 && n <= list[len(list)-1] {
			break // the list ascends
		}
		list = append(list, n)
	}
	return list
}

func short(what string, got, want int) error {
	return fmt.Errorf("decode %s: %d bytes where %d were expected", what, got, want)
}

// u128 is a 16-byte number, capped to what 63 bits hold.
func u128(b []byte) uint64 {
	n := le.Uint64(b)
	if le.Uint64(b[8:]) != 0 || n > math.MaxInt64 {
		return math.MaxInt64
	}
	return n
}

// text is a field of ASCII, padded with blanks or zeros.
func text(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

func hexID(b []byte) string {
	if strings.Trim(string(b), "\x00") == "" {
		return ""
	}
	return fmt.Sprintf("%x", b)
}
