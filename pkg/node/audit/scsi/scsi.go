// Package scsi makes the questions and decodes the answers of SCSI disks:
// INQUIRY, READ CAPACITY, LOG SENSE (SPC-6, SBC-4; pages as in the Seagate SCSI
// Commands Reference). It opens nothing; numbers are big-endian, as there.
package scsi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

var be = binary.BigEndian

// Log pages (SPC-6 table 371, SBC-4 6.5).
const (
	PageSupported   = 0x00
	PageWrite       = 0x02
	PageRead        = 0x03
	PageVerify      = 0x05
	PageNonMedium   = 0x06
	PageTemperature = 0x0d
	PageStartStop   = 0x0e
	PageSelfTest    = 0x10
	PageSSD         = 0x11 // solid state media
	PageBackground  = 0x15 // background scan: power-on minutes
	PageExceptions  = 0x2f // informational exceptions
)

// MaxLog is how much of a log page is asked for, bytes.
const MaxLog = 4096

// LogSense makes a LOG SENSE command block for the cumulative values of a page.
func LogSense(page byte) []byte {
	return []byte{0x4d, 0, 1<<6 | page, 0, 0, 0, 0, MaxLog >> 8, MaxLog & 0xff, 0}
}

// Inquiry makes an INQUIRY command block; page is that of the vital product
// data, or negative for the standard data.
func Inquiry(page int, length uint16) []byte {
	c := []byte{0x12, 0, 0, byte(length >> 8), byte(length), 0}
	if page >= 0 {
		c[1], c[2] = 1, byte(page)
	}
	return c
}

// Defects makes READ DEFECT DATA (10) for the header of the grown list.
var Defects = []byte{0x37, 0, 0x0d, 0, 0, 0, 0, 0, 8, 0}

// Answer is what device.SCSICommand gets: status, sense data, data.
type Answer struct {
	Status      byte
	Sense, Data []byte
}

// ParseAnswer takes an answer apart.
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return Answer{}, errors.New("decode SCSI answer: it is shorter than it says")
	}
	n := 2 + int(b[1])
	return Answer{Status: b[0], Sense: b[2:n], Data: b[n:]}, nil
}

// Err is the error of a command that the device refused; nil where it went
// well (SPC-6 4.4).
func (a Answer) Err() error {
	if a.Status == 0 {
		return nil
	}
	key, asc, ascq, ok := a.SenseCode()
	if !ok {
		return fmt.Errorf("SCSI status %#02x", a.Status)
	}
	return fmt.Errorf("SCSI status %#02x, sense key %#x (%s), additional sense %02x/%02x", a.Status, key, senseKeys[key&0xf], asc, ascq)
}

var senseKeys = [16]string{"no sense", "recovered error", "not ready", "medium error", "hardware error", "illegal request", "unit attention", "data protect",
	"blank check", "vendor", "copy aborted", "aborted command", "reserved", "volume overflow", "miscompare", "completed"}

// SenseCode is the key, the additional sense code and its qualifier.
func (a Answer) SenseCode() (key, asc, ascq byte, ok bool) {
	s := a.Sense
	switch {
	case len(s) >= 14 && s[0]&0x7e == 0x70:
		return s[2] & 0xf, s[12], s[13], true
	case len(s) >= 4 && s[0]&0x7e == 0x72:
		return s[1] & 0xf, s[2], s[3], true
	}
	return 0, 0, 0, false
}

// ID is the standard INQUIRY data.
type ID struct {
	Type                      byte // 0 disk, 0x0d enclosure
	Version                   byte // 6 is SPC-4
	Vendor, Product, Revision string
}

// ParseInquiry decodes the standard INQUIRY data (SPC-6 6.6.2).
func ParseInquiry(b []byte) (ID, error) {
	if len(b) < 36 {
		return ID{}, fmt.Errorf("decode INQUIRY: %d bytes where 36 were expected", len(b))
	}
	return ID{Type: b[0] & 0x1f, Version: b[2], Vendor: text(b[8:16]), Product: text(b[16:32]), Revision: text(b[32:36])}, nil
}

// ParseSerial decodes the unit serial number page (80h, SPC-6 7.7.20).
func ParseSerial(b []byte) (string, error) {
	d, err := vital(b, 0x80)
	return text(d), err
}

// Designator is one name of a device (SPC-6 7.7.6).
type Designator struct {
	Association byte   // 0 the logical unit, 1 the port, 2 the target device
	Name        string // "naa.…", "eui.…", "t10.…"
}

// ParseDesignators decodes the device identification page (83h).
func ParseDesignators(b []byte) ([]Designator, error) {
	d, err := vital(b, 0x83)
	if err != nil {
		return nil, err
	}
	var list []Designator
	for len(d) >= 4 {
		n := 4 + int(d[3])
		if n > len(d) {
			return list, errors.New("decode device identification: a designator is longer than the page")
		}
		v := d[4:n]
		k := Designator{Association: d[1] >> 4 & 3}
		switch kind := d[1] & 0xf; {
		case kind == 3 && len(v) >= 8:
			k.Name = fmt.Sprintf("naa.%x", v)
		case kind == 2 && len(v) >= 8:
			k.Name = fmt.Sprintf("eui.%x", v)
		case kind == 1:
			k.Name = "t10." + text(v)
		}
		if k.Name != "" && k.Name != "t10." {
			list = append(list, k)
		}
		d = d[n:]
	}
	return list, nil
}

// ParseRotation decodes the block device characteristics page (B1h, SBC-4
// 6.6.2): revolutions a minute, 1 for a medium that does not rotate, 0 where it
// does not tell; and the form factor.
func ParseRotation(b []byte) (rpm int, form string, err error) {
	d, err := vital(b, 0xb1)
	if err != nil {
		return 0, "", err
	}
	if len(d) < 4 {
		return 0, "", errors.New("decode block device characteristics: it is too short")
	}
	if n := int(be.Uint16(d)); n == 1 || n >= 0x401 && n != 0xffff {
		rpm = n
	}
	if n := int(d[3] & 0xf); n > 0 && n < 6 {
		form = [...]string{"", "5.25 in", "3.5 in", "2.5 in", "1.8 in", "less than 1.8 in"}[n]
	}
	return rpm, form, nil
}

func vital(b []byte, page byte) ([]byte, error) {
	if len(b) < 4 || b[1] != page {
		return nil, fmt.Errorf("decode vital product data: not page %02xh", page)
	}
	n := 4 + int(be.Uint16(b[2:]))
	if n > len(b) {
		return nil, fmt.Errorf("decode vital product data page %02xh: it states %d bytes, and %d came", page, n, len(b))
	}
	return b[4:n], nil
}

// Parameter is one value of a log page.
type Parameter struct {
	Code  uint16
	Value []byte
}

// Number is a value of up to 8 bytes, capped to what 63 bits hold.
func (p Parameter) Number() int64 {
	var n uint64
	for i, c := range p.Value {
		if len(p.Value)-i > 8 && c != 0 {
			return math.MaxInt64
		}
		n = n<<8 | uint64(c)
	}
	return int64(min(n, math.MaxInt64))
}

// ParseLog decodes a log page (SPC-6 7.3.1). A page that is cut short gives
// the parameters before the cut, and an error.
func ParseLog(page byte, b []byte) ([]Parameter, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("decode log page %02xh: %d bytes", page, len(b))
	}
	if b[0]&0x3f != page {
		return nil, fmt.Errorf("decode log page %02xh: the device sent page %02xh", page, b[0]&0x3f)
	}
	n := 4 + int(be.Uint16(b[2:]))
	cut := n > len(b)
	d := b[4:min(n, len(b))]
	var list []Parameter
	for len(d) >= 4 {
		end := 4 + int(d[3])
		if end > len(d) {
			cut = true
			break
		}
		list = append(list, Parameter{Code: be.Uint16(d), Value: d[4:end]})
		d = d[end:]
	}
	if cut {
		return list, fmt.Errorf("decode log page %02xh: it is cut short", page)
	}
	return list, nil
}

// ParseSupported decodes page 00h: the pages that there are.
func ParseSupported(b []byte) ([]byte, error) {
	if len(b) < 4 || b[0]&0x3f != 0 {
		return nil, errors.New("decode the list of log pages: it is none")
	}
	n := 4 + int(be.Uint16(b[2:]))
	return append([]byte(nil), b[4:min(n, len(b))]...), nil
}

// SelfTest is one result of page 10h (SPC-6 7.3.16).
type SelfTest struct {
	Kind, Result byte
	Hours        uint16
}

// ParseSelfTests decodes the parameters of page 10h, newest first.
func ParseSelfTests(list []Parameter) []SelfTest {
	var tests []SelfTest
	for _, p := range list {
		if len(p.Value) < 16 || strings.Trim(string(p.Value), "\x00") == "" {
			continue
		}
		tests = append(tests, SelfTest{Kind: p.Value[0] >> 5, Result: p.Value[0] & 0xf, Hours: be.Uint16(p.Value[2:])})
	}
	return tests
}

// KindName is a self-test's kind in words.
func (t SelfTest) KindName() string {
	return [...]string{"default", "short", "extended", "code 0x3", "aborted", "short (foreground)", "extended (foreground)", "code 0x7"}[t.Kind&7]
}

// ResultName is a self-test's end in words.
func (t SelfTest) ResultName() string {
	switch t.Result {
	case 0:
		return "passed"
	case 1, 2:
		return "aborted"
	case 3:
		return "failed: unknown error"
	case 4:
		return "failed: unknown segment"
	case 5, 6, 7:
		return "failed: known segment"
	case 15:
		return "running"
	}
	return fmt.Sprintf("reserved result %#x", t.Result)
}

func text(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

// ParseDefects decodes the header of READ DEFECT DATA (10) (SBC-4 5.20): the
// number of grown defects.
func ParseDefects(a Answer) (int64, error) {
	if len(a.Data) < 4 {
		if err := a.Err(); err != nil {
			return 0, err
		}
		return 0, errors.New("decode defect data: it is too short")
	}
	size := map[byte]int64{0: 4, 3: 8, 4: 8, 5: 8, 6: 4}[a.Data[1]&7] // by the format of its addresses
	if size == 0 || a.Data[1]&8 == 0 {
		return 0, fmt.Errorf("decode defect data: it is no grown list (%02x)", a.Data[1])
	}
	return int64(be.Uint16(a.Data[2:])) / size, nil
}
