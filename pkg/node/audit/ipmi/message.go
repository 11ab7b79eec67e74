package ipmi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// keep keeps what a system call was given by address from being collected.
func keep(things ...any) { runtime.KeepAlive(things) }

// ID is the answer to Get Device ID (IPMI 2.0, 20.1).
type ID struct {
	Device       byte
	Major, Minor byte // of the firmware; Minor is BCD
	IPMI         byte // BCD, digits swapped: 0x02 is 2.0, 0x51 is 1.5
	Manufacturer uint32
	Product      uint16
}

// Firmware is the revision as makers write it.
func (d ID) Firmware() string { return fmt.Sprintf("%d.%02x", d.Major&0x7f, d.Minor) }

// Version is that of the specification.
func (d ID) Version() string { return fmt.Sprintf("%d.%d", d.IPMI&0x0f, d.IPMI>>4) }

// ParseID reads the data behind the completion code.
func ParseID(b []byte) (ID, error) {
	if len(b) < 11 {
		return ID{}, fmt.Errorf("parse IPMI device id: %d bytes where 11 were expected", len(b))
	}
	return ID{
		Device: b[0], Major: b[2], Minor: b[3], IPMI: b[4],
		Manufacturer: uint32(b[6]) | uint32(b[7])<<8 | uint32(b[8]&0x0f)<<16,
		Product:      uint16(b[9]) | uint16(b[10])<<8,
	}, nil
}

// DeviceID asks the controller who it is.
func (c *Client) DeviceID(ctx context.Context) (ID, error) {
	b, err := c.do(ctx, 0x06, 0x01)
	if err != nil {
		return ID{}, err
	}
	return ParseID(b)
}

// chunk is how much of an inventory is asked for at once: controllers exist
// that fail above it.
const chunk = 16

// maxFRU bounds an inventory, bytes.
const maxFRU = 16 << 10

// ReadFRU reads the whole inventory of a unit (IPMI 2.0, 34.1 and 34.2).
func (c *Client) ReadFRU(ctx context.Context, unit byte) ([]byte, error) {
	info, err := c.do(ctx, 0x0a, 0x10, unit)
	if err != nil {
		return nil, err
	}
	if len(info) < 3 {
		return nil, errors.New("ask for the inventory's size: the answer is too short")
	}
	size := int(info[0]) | int(info[1])<<8
	if info[2]&1 != 0 {
		return nil, errors.New("read the inventory: the unit counts in words, which is not supported")
	}
	var all []byte
	for len(all) < min(size, maxFRU) {
		n := min(chunk, size-len(all))
		b, err := c.do(ctx, 0x0a, 0x11, unit, byte(len(all)), byte(len(all)>>8), byte(n))
		if err != nil {
			return nil, err
		}
		if len(b) < 2 || int(b[0]) > len(b)-1 || b[0] == 0 {
			return nil, errors.New("read the inventory: an answer states more or less than it holds")
		}
		all = append(all, b[1:1+int(b[0])]...)
	}
	return all, nil
}
