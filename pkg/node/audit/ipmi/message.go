// Package ipmi walks what the management controller tells: who it is, its
// inventories, sensors, event log and network (Intelligent Platform Management
// Interface Specification v2.0, revision 1.1). A part that is broken is told and
// passed over. How a message reaches the controller is package device's.
package ipmi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/bee-os/bee/pkg/node/audit/device"
)

// Client asks one controller.
type Client struct{ Ask device.Asker }

// Code is a completion code that is not zero (IPMI 2.0, 5.2).
type Code byte

// Completion codes that callers tell apart.
const (
	CodeNoSuchCommand Code = 0xc1
	CodeTimeout       Code = 0xc3
	CodeLost          Code = 0xc5 // reservation cancelled
	CodeTooLong       Code = 0xca // cannot return that many bytes
	CodeNotPresent    Code = 0xcb // sensor, data or record not present
)

// Error implements error.
func (c Code) Error() string { return fmt.Sprintf("completion code %#02x", byte(c)) }

// do sends a message and returns the answer behind its completion code.
func (c Client) do(ctx context.Context, netfn, cmd byte, data ...byte) ([]byte, error) {
	b, err := c.Ask.Ask(ctx, device.IPMIMessage(netfn, cmd, data...))
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("IPMI command %#02x/%#02x: the answer is empty", netfn, cmd)
	}
	if b[0] != 0 {
		return nil, fmt.Errorf("IPMI command %#02x/%#02x: %w", netfn, cmd, Code(b[0]))
	}
	return b[1:], nil
}

// at least checks an answer's length.
func atLeast(b []byte, n int, what string) error {
	if len(b) < n {
		return fmt.Errorf("read %s: %d bytes where %d were expected", what, len(b), n)
	}
	return nil
}

// ID is the answer to Get Device ID (20.1).
type ID struct {
	Device       byte
	Major, Minor byte // of the firmware; Minor is BCD
	IPMI         byte // BCD, digits swapped: 0x02 is 2.0, 0x51 is 1.5
	Manufacturer uint32
	Product      uint16
	Updating     bool // firmware update or initialisation under way
}

// Firmware is the revision as makers write it.
func (d ID) Firmware() string { return fmt.Sprintf("%d.%02x", d.Major&0x7f, d.Minor) }

// Version is that of the specification.
func (d ID) Version() string { return fmt.Sprintf("%d.%d", d.IPMI&0x0f, d.IPMI>>4) }

// ParseID reads the data behind the completion code.
func ParseID(b []byte) (ID, error) {
	if err := atLeast(b, 11, "device id"); err != nil {
		return ID{}, err
	}
	return ID{
		Device: b[0], Major: b[2], Minor: b[3], IPMI: b[4], Updating: b[2]&0x80 != 0,
		Manufacturer: uint32(b[6]) | uint32(b[7])<<8 | uint32(b[8]&0x0f)<<16,
		Product:      uint16(b[9]) | uint16(b[10])<<8,
	}, nil
}

// DeviceID asks the controller who it is.
func (c Client) DeviceID(ctx context.Context) (ID, error) {
	b, err := c.do(ctx, 0x06, 0x01)
	if err != nil {
		return ID{}, err
	}
	return ParseID(b)
}

// chunk is how much of an inventory or record is asked for at once: controllers
// exist that fail above it.
const chunk = 16

// maxFRU bounds an inventory, bytes.
const maxFRU = 16 << 10

// ReadFRU reads the whole inventory of a unit (34.1 and 34.2).
func (c Client) ReadFRU(ctx context.Context, unit byte) ([]byte, error) {
	info, err := c.do(ctx, 0x0a, 0x10, unit)
	if err != nil {
		return nil, err
	}
	if err := atLeast(info, 3, "the inventory's size"); err != nil {
		return nil, err
	}
	size := int(info[0]) | int(info[1])<<8
	words := int(info[2] & 1) // counts in words
	var all []byte
	for len(all) < min(size, maxFRU) {
		n := min(chunk, size-len(all))
		at := len(all) >> words
		b, err := c.do(ctx, 0x0a, 0x11, unit, byte(at), byte(at>>8), byte((n+words)>>words))
		if err != nil {
			return all, err
		}
		if len(b) < 2 || b[0] == 0 || int(b[0])<<words > len(b)-1 {
			return all, errors.New("read the inventory: an answer states more or less than it holds")
		}
		all = append(all, b[1:1+int(b[0])<<words]...)
	}
	return all[:min(len(all), size)], nil
}

// Chassis is the answer to Get Chassis Status (28.2).
type Chassis struct {
	On, Overload, Interlock, PowerFault, ControlFault bool
	Policy                                            string // what it does when power returns
	LastEvent                                         []string
	Intrusion, DriveFault, FanFault                   bool
}

// ReadChassis asks for the chassis' state.
func (c Client) ReadChassis(ctx context.Context) (Chassis, error) {
	b, err := c.do(ctx, 0x00, 0x01)
	if err == nil {
		err = atLeast(b, 3, "chassis status")
	}
	if err != nil {
		return Chassis{}, err
	}
	s := Chassis{On: b[0]&1 != 0, Overload: b[0]&2 != 0, Interlock: b[0]&4 != 0, PowerFault: b[0]&8 != 0, ControlFault: b[0]&16 != 0,
		Policy: [...]string{"stay off", "as before", "power on", "unknown"}[b[0]>>5&3], Intrusion: b[2]&1 != 0, DriveFault: b[2]&4 != 0, FanFault: b[2]&8 != 0}
	for i, n := range []string{"AC failed", "overload", "interlock", "power fault", "powered on over IPMI"} {
		if b[1]>>i&1 != 0 {
			s.LastEvent = append(s.LastEvent, n)
		}
	}
	return s, nil
}

// RestartCause asks why the machine last started (28.11).
func (c Client) RestartCause(ctx context.Context) (string, error) {
	b, err := c.do(ctx, 0x00, 0x07)
	if err == nil {
		err = atLeast(b, 1, "restart cause")
	}
	if err != nil {
		return "", err
	}
	names := [...]string{"unknown", "chassis control", "reset button", "power button", "watchdog", "OEM", "power restored: always on", "power restored: as before",
		"reset by an event filter", "power cycle by an event filter", "soft reset", "woken by the clock"}
	if n := int(b[0] & 0xf); n < len(names) {
		return names[n], nil
	}
	return fmt.Sprintf("reserved cause %#x", b[0]&0xf), nil
}

// LAN is one channel's network configuration (23.2).
type LAN struct {
	Channel     byte
	Source      string // static, DHCP, …
	IP, Gateway netip.Addr
	Bits        int // of the prefix; -1: the mask is none
	MAC         string
	VLAN        int // 0: none
}

// ReadLAN finds the LAN channels (22.24, medium 4) and asks each.
func (c Client) ReadLAN(ctx context.Context) ([]LAN, error) {
	var list []LAN
	for channel := byte(1); channel <= 0x0b; channel++ {
		b, err := c.do(ctx, 0x06, 0x42, channel)
		if err != nil {
			var code Code
			if errors.As(err, &code) {
				continue // no such channel
			}
			return list, err
		}
		if len(b) < 2 || b[1]&0x7f != 4 {
			continue
		}
		l, err := c.lan(ctx, channel)
		if err != nil {
			return list, err
		}
		list = append(list, l)
	}
	return list, nil
}

func (c Client) lan(ctx context.Context, channel byte) (LAN, error) {
	l := LAN{Channel: channel, Bits: -1}
	var failed error
	get := func(parameter byte, n int) []byte {
		b, err := c.do(ctx, 0x0c, 0x02, channel, parameter, 0, 0)
		var code Code
		if err != nil && !errors.As(err, &code) {
			failed = err
		}
		if err != nil || len(b) < 1+n {
			return nil
		}
		return b[1 : 1+n] // behind the revision
	}
	if b := get(3, 4); b != nil {
		l.IP = netip.AddrFrom4([4]byte(b))
	}
	if b := get(4, 1); b != nil {
		names := [...]string{"unspecified", "static", "DHCP", "BIOS", "other"}
		l.Source = names[min(int(b[0]&0xf), 4)]
	}
	if b := get(5, 6); b != nil {
		l.MAC = fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
	}
	if b := get(6, 4); b != nil {
		l.Bits = prefix([4]byte(b))
	}
	if b := get(12, 4); b != nil {
		l.Gateway = netip.AddrFrom4([4]byte(b))
	}
	if b := get(20, 2); b != nil && b[1]&0x80 != 0 {
		l.VLAN = int(b[0]) | int(b[1]&0xf)<<8
	}
	return l, failed
}

// prefix counts a mask's bits; -1 where ones follow a zero.
func prefix(mask [4]byte) int {
	m := uint32(mask[0])<<24 | uint32(mask[1])<<16 | uint32(mask[2])<<8 | uint32(mask[3])
	n := 0
	for ; n < 32 && m&(1<<31) != 0; n++ {
		m <<= 1
	}
	if m != 0 {
		return -1
	}
	return n
}

// Time asks for the clock of the event log (31.10). Controllers write local
// time or UTC; the specification says local, most write UTC.
func (c Client) Time(ctx context.Context) (time.Time, error) {
	b, err := c.do(ctx, 0x0a, 0x48)
	if err == nil {
		err = atLeast(b, 4, "the controller's clock")
	}
	if err != nil {
		return time.Time{}, err
	}
	return stamp(b)
}

// stamp is a time stamp of the event log (37.1): below 0x20000000 the clock had
// not been set and counts from the controller's start.
func stamp(b []byte) (time.Time, error) {
	n := le.Uint32(b)
	if n == 0xffffffff || n < 0x20000000 {
		return time.Time{}, fmt.Errorf("the clock is not set (%#x)", n)
	}
	return time.Unix(int64(n), 0).UTC(), nil
}
