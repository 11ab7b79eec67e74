package ipmi

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var le = binary.LittleEndian

// Bounds of a repository and of a record, in records and bytes.
const (
	maxRecords = 2048
	maxRecord  = 5 + 255
)

// Record is one sensor data record (43).
type Record struct {
	ID   uint16
	Type byte
	Body []byte // behind the five bytes of the header
}

// Record types.
const (
	FullSensor    = 0x01
	CompactSensor = 0x02
	EventOnly     = 0x03
	FRULocator    = 0x11
	MCLocator     = 0x12
)

// ReadSDR walks the repository (33.12). What came before an error is returned
// with it.
func (c Client) ReadSDR(ctx context.Context) ([]Record, error) {
	var list []Record
	seen := map[uint16]bool{}
	lost := 0
	reservation, err := c.reserve(ctx, 0x22)
	if err != nil {
		return nil, err
	}
	for id := uint16(0); id != 0xffff && len(list) < maxRecords; {
		if seen[id] {
			return list, fmt.Errorf("read sensor records: record %#04x comes twice: the list is a loop", id)
		}
		seen[id] = true
		b, next, err := c.record(ctx, reservation, id)
		if errors.Is(err, CodeLost) && lost < 5 {
			lost++
			delete(seen, id)
			if reservation, err = c.reserve(ctx, 0x22); err != nil {
				return list, err
			}
			continue
		}
		if err != nil {
			return list, err
		}
		list = append(list, Record{ID: le.Uint16(b), Type: b[3], Body: b[5:]})
		id = next
	}
	return list, nil
}

// reserve hands out a reservation; 0 where the controller knows none.
func (c Client) reserve(ctx context.Context, cmd byte) (uint16, error) {
	b, err := c.do(ctx, 0x0a, cmd)
	if errors.Is(err, CodeNoSuchCommand) {
		return 0, nil
	}
	if err == nil {
		err = atLeast(b, 2, "the reservation")
	}
	if err != nil {
		return 0, err
	}
	return le.Uint16(b), nil
}

func (c Client) record(ctx context.Context, reservation, id uint16) (b []byte, next uint16, err error) {
	get := func(offset, n int) ([]byte, error) {
		b, err := c.do(ctx, 0x0a, 0x23, byte(reservation), byte(reservation>>8), byte(id), byte(id>>8), byte(offset), byte(n))
		if err == nil {
			err = atLeast(b, 2, "sensor record")
		}
		if err != nil {
			return nil, err
		}
		next = le.Uint16(b)
		return b[2:], nil
	}
	if b, err = get(0, 5); err != nil {
		return nil, 0, err
	}
	if len(b) != 5 {
		return nil, 0, fmt.Errorf("read sensor record %#04x: its header has %d bytes", id, len(b))
	}
	for size := 5 + int(b[4]); len(b) < size; {
		n := min(chunk, size-len(b))
		more, err := get(len(b), n)
		if err != nil {
			return nil, 0, err
		}
		if len(more) == 0 || len(more) > n {
			return nil, 0, fmt.Errorf("read sensor record %#04x: %d bytes where %d were asked for", id, len(more), n)
		}
		b = append(b, more...)
	}
	return b, next, nil
}

// Sensor is a full or compact sensor record (43.1, 43.2).
type Sensor struct {
	Name             string
	Owner, LUN       byte
	Number           byte
	Entity, Instance byte
	Kind             byte // sensor type, table 42-3
	EventType        byte // 1: threshold
	Readable         [6]bool
	Analog           bool // Body can be converted
	Unit             string
	format           byte // 0 unsigned, 1 ones' complement, 2 two's complement
	linear           byte
	m, b, rExp, bExp int
	thresholds       [6]byte
	fromRecord       bool // the thresholds of the record can be read
}

// The order of thresholds everywhere here.
var ThresholdNames = [6]string{"upper non-recoverable", "upper critical", "upper non-critical", "lower non-recoverable", "lower critical", "lower non-critical"}

// ParseSensor decodes a record of type 1 or 2.
func ParseSensor(r Record) (Sensor, error) {
	name, least := 43, 43
	if r.Type == CompactSensor {
		name, least = 27, 27
	}
	if len(r.Body) < least {
		return Sensor{}, fmt.Errorf("decode sensor record %#04x: %d bytes where %d were expected", r.ID, len(r.Body), least)
	}
	b := r.Body
	s := Sensor{Owner: b[0], LUN: b[1] & 3, Number: b[2], Entity: b[3], Instance: b[4] & 0x7f, Kind: b[7], EventType: b[8]}
	s.Name = idString(b[min(name-1, len(b)):])
	s.Unit = unit(b[15], b[16], b[17])
	if r.Type != FullSensor {
		return s, nil
	}
	s.format, s.linear = b[15]>>6, b[18]&0x7f
	s.Analog = s.EventType == 1 && s.format != 3 && s.linear <= 11
	s.m = signed(int(b[19])|int(b[20]>>6)<<8, 10)
	s.b = signed(int(b[21])|int(b[22]>>6)<<8, 10)
	s.rExp, s.bExp = signed(int(b[24]>>4), 4), signed(int(b[24]&0xf), 4)
	copy(s.thresholds[:], b[31:37])
	readable := b[13] // bits 0…5: lower non-critical, lower critical, lower non-recoverable, then upper
	for i, bit := range [6]int{5, 4, 3, 2, 1, 0} {
		s.Readable[i] = readable>>bit&1 != 0
	}
	s.fromRecord = b[6]>>2&3 == 1 || b[6]>>2&3 == 2
	return s, nil
}

func signed(n, bits int) int {
	if n >= 1<<(bits-1) {
		n -= 1 << bits
	}
	return n
}

// Convert turns a raw reading into the sensor's unit (36.3); false where that
// is not defined.
func (s Sensor) Convert(raw byte) (float64, bool) {
	if !s.Analog {
		return 0, false
	}
	x := float64(raw)
	switch {
	case s.format == 1 && raw&0x80 != 0:
		x = -float64(^raw)
	case s.format == 2:
		x = float64(int8(raw))
	}
	y := (float64(s.m)*x + float64(s.b)*math.Pow10(s.bExp)) * math.Pow10(s.rExp)
	switch s.linear {
	case 1:
		y = math.Log(y)
	case 2:
		y = math.Log10(y)
	case 3:
		y = math.Log2(y)
	case 4:
		y = math.Exp(y)
	case 5:
		y = math.Pow(10, y)
	case 6:
		y = math.Exp2(y)
	case 7:
		y = 1 / y
	case 8:
		y *= y
	case 9:
		y = y * y * y
	case 10:
		y = math.Sqrt(y)
	case 11:
		y = math.Cbrt(y)
	}
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return 0, false
	}
	return math.Round(y*1e4) / 1e4, true
}

// Threshold is the record's threshold i of ThresholdNames; false where it has
// none.
func (s Sensor) Threshold(i int) (float64, bool) {
	if !s.Readable[i] || !s.fromRecord {
		return 0, false
	}
	return s.Convert(s.thresholds[i])
}

// Reading is the answer to Get Sensor Reading (35.14).
type Reading struct {
	Raw       byte
	Available bool
	States    uint16 // threshold: bits of the comparison; discrete: states
}

// Read reads a sensor. CodeNotPresent comes from sensors of parts that are not
// plugged in.
func (c Client) Read(ctx context.Context, s Sensor) (Reading, error) {
	b, err := c.do(ctx, 0x04, 0x2d, s.Number)
	if err == nil {
		err = atLeast(b, 2, "sensor "+s.Name)
	}
	if err != nil {
		return Reading{}, err
	}
	r := Reading{Raw: b[0], Available: b[1]&0x20 == 0 && b[1]&0x40 != 0}
	if len(b) > 2 {
		r.States = uint16(b[2])
	}
	if len(b) > 3 {
		r.States |= uint16(b[3]&0x7f) << 8
	}
	return r, nil
}

// Crossed names the thresholds that a reading has crossed, the gravest first.
func (r Reading) Crossed() []string {
	var list []string
	for _, i := range []struct {
		bit  int
		name string
	}{{5, "upper non-recoverable"}, {2, "lower non-recoverable"}, {4, "upper critical"}, {1, "lower critical"}, {3, "upper non-critical"}, {0, "lower non-critical"}} {
		if r.States>>i.bit&1 != 0 {
			list = append(list, i.name)
		}
	}
	return list
}

// Locator is a FRU device locator (43.8) or a controller's (43.9).
type Locator struct {
	Name             string
	Unit             byte
	Logical          bool // read through the controller; else a chip on a bus
	Entity, Instance byte
}

// ParseLocator decodes a record of type 11h.
func ParseLocator(r Record) (Locator, error) {
	if len(r.Body) < 11 {
		return Locator{}, fmt.Errorf("decode locator record %#04x: %d bytes where 11 were expected", r.ID, len(r.Body))
	}
	b := r.Body
	return Locator{Name: idString(b[10:]), Unit: b[1], Logical: b[2]&0x80 != 0, Entity: b[7], Instance: b[8] & 0x7f}, nil
}

// idString is a type/length byte and its text (43.15).
func idString(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	n := min(int(b[0]&0x1f), len(b)-1)
	return decode(b[0]>>6, b[1:1+n])
}

// unit writes a sensor's unit (43.17).
func unit(modifier, base, second byte) string {
	name := func(n byte) string {
		if int(n) < len(unitNames) {
			return unitNames[n]
		}
		return ""
	}
	s := name(base)
	switch modifier >> 1 & 3 {
	case 1:
		s += "/" + name(second)
	case 2:
		s += "*" + name(second)
	}
	if modifier&1 != 0 {
		s = "%" + s
	}
	return s
}

var unitNames = [...]string{"", "°C", "°F", "K", "V", "A", "W", "J", "C", "VA", "nit", "lm", "lx", "cd", "kPa", "psi", "N", "CFM", "RPM", "Hz", "µs", "ms", "s", "min", "h", "d", "week",
	"mil", "in", "ft", "in³", "ft³", "mm", "cm", "m", "cm³", "m³", "l", "fl oz", "rad", "sr", "rev", "cycle", "gravity", "oz", "lb", "ft·lb", "oz·in", "G", "Gb", "H", "mH", "F", "µF", "Ω", "S", "mol", "Bq", "ppm", "", "dB", "dBA", "dBC", "Gy", "Sv",
	"K·col", "bit", "kbit", "Mbit", "Gbit", "byte", "kB", "MB", "GB", "word", "dword", "qword", "line", "hit", "miss", "retry", "reset", "overrun", "underrun", "collision", "packet", "message", "character", "error", "correctable error", "uncorrectable error", "fatal error", "gram"}

// KindName is a sensor type in words (table 42-3).
func KindName(k byte) string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("type %#02x", k)
}

var kindNames = [...]string{"reserved", "temperature", "voltage", "current", "fan", "physical security", "security violation", "processor", "power supply", "power unit", "cooling device",
	"other units", "memory", "drive bay", "POST memory resize", "POST error", "event logging", "watchdog 1", "system event", "critical interrupt", "button", "module", "microcontroller",
	"add-in card", "chassis", "chip set", "other FRU", "cable", "terminator", "system boot", "boot error", "OS boot", "OS stop", "slot", "ACPI power state", "watchdog 2", "platform alert",
	"entity presence", "monitor ASIC", "LAN", "management health", "battery", "session audit", "version change", "FRU state"}
