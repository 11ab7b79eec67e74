// Package sff decodes the memory of pluggable transceivers: SFF-8472 (SFP),
// SFF-8636 (QSFP) and CMIS (QSFP-DD, OSFP). It opens nothing; numbers are
// big-endian, as there.
package sff

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
)

var be = binary.BigEndian

// Module is what a transceiver tells.
type Module struct {
	Kind, Standard                    string
	Vendor, OUI, Part, Revision, Date string
	Serial                            string
	Connector                         string
	Nanometres                        float64 // 0: copper, or not told
	Mbps                              int     // nominal signalling rate; 0: not told
	Monitored                         bool    // the readings below are there
	Celsius, Volts                    float64
	BiasMA, TxMW, RxMW                []float64 // a lane each
	Alarms                            []string
	ChecksumWrong                     bool
}

// kinds are the identifiers of SFF-8024 table 4-1.
var kinds = sync.OnceValue(func() map[byte]string {
	return map[byte]string{0x02: "soldered", 0x03: "SFP", 0x06: "XFP", 0x0c: "QSFP", 0x0d: "QSFP+", 0x11: "QSFP28", 0x18: "QSFP-DD", 0x19: "OSFP", 0x1a: "SFP-DD", 0x1b: "DSFP", 0x1e: "QSFP+ CMIS", 0x1f: "SFP-DD CMIS", 0x20: "SFP+ CMIS"}
})

var connectors = sync.OnceValue(func() map[byte]string {
	return map[byte]string{0x01: "SC", 0x07: "LC", 0x0b: "optical pigtail", 0x0c: "MPO 1x12", 0x0d: "MPO 2x16", 0x20: "HSSDC II", 0x21: "copper pigtail", 0x22: "RJ45", 0x23: "none", 0x24: "MXC", 0x25: "CS", 0x26: "SN", 0x27: "MPO 2x12", 0x28: "MPO 1x16"}
})

// ErrEmpty says that the memory holds nothing: all zeros or all ones.
var ErrEmpty = errors.New("the module's memory is empty")

// Parse decodes a module's memory: page A0h and, behind 256 bytes, A2h of an
// SFP; lower and upper page 00h of the others.
func Parse(b []byte) (Module, error) {
	if len(b) < 128 {
		return Module{}, fmt.Errorf("decode transceiver: %d bytes where 128 were expected", len(b))
	}
	if filled(b[:128], 0) || filled(b[:128], 0xff) {
		return Module{}, ErrEmpty
	}
	switch id := b[0]; id {
	case 0x03, 0x02:
		return sfp(b), nil
	case 0x0c, 0x0d, 0x11:
		if len(b) < 256 {
			return Module{}, fmt.Errorf("decode transceiver: %d bytes where 256 were expected", len(b))
		}
		return qsfp(b), nil
	case 0x18, 0x19, 0x1a, 0x1b, 0x1e, 0x1f, 0x20:
		if len(b) < 256 {
			return Module{}, fmt.Errorf("decode transceiver: %d bytes where 256 were expected", len(b))
		}
		return cmis(b), nil
	default:
		return Module{}, fmt.Errorf("decode transceiver: identifier %#02x is not known", id)
	}
}

// sfp is SFF-8472 rev 12.4.
func sfp(b []byte) Module {
	m := Module{Kind: kinds()[b[0]], Standard: "SFF-8472", Connector: connectors()[b[2]], Vendor: text(b[20:36]), OUI: oui(b[37:40]), Part: text(b[40:56]), Revision: text(b[56:60]),
		Serial: text(b[68:84]), Date: date(b[84:92]), ChecksumWrong: sum(b[:63]) != b[63] || sum(b[64:95]) != b[95]}
	m.Mbps = int(b[12]) * 100
	if b[12] == 0xff {
		m.Mbps = int(b[66]) * 250
	}
	if b[8]&0x0c == 0 { // no cable technology: bytes 60 and 61 hold the wavelength
		m.Nanometres = float64(be.Uint16(b[60:]))
	}
	if b[92]&0x40 == 0 || len(b) < 256+118 {
		return m
	}
	d := b[256:]
	if filled(d[96:106], 0) || filled(d[96:106], 0xff) {
		return m
	}
	m.Monitored = true
	raw := func(at int) float64 { return float64(be.Uint16(d[at:])) }
	temp, vcc, bias, tx, rx := float64(int16(be.Uint16(d[96:]))), raw(98), raw(100), raw(102), raw(104)
	if b[92]&0x10 != 0 { // externally calibrated (9.3): slope and offset, for the received power a polynomial
		line := func(v float64, at int) float64 {
			return float64(be.Uint16(d[at:]))/256*v + float64(int16(be.Uint16(d[at+2:])))
		}
		bias, tx, temp, vcc = line(bias, 76), line(tx, 80), line(temp, 84), line(vcc, 88)
		power, x := 0.0, 1.0
		for i := 4; i >= 0; i-- {
			power += float64(math.Float32frombits(be.Uint32(d[56+4*i:]))) * x
			x *= rx
		}
		rx = power
	}
	m.Celsius, m.Volts = round(temp/256), round(vcc/10000)
	m.BiasMA, m.TxMW, m.RxMW = []float64{round(bias * 2 / 1000)}, []float64{round(tx / 10000)}, []float64{round(rx / 10000)}
	m.Alarms = flags(d[112:114], "temperature high", "temperature low", "voltage high", "voltage low", "bias high", "bias low", "tx power high", "tx power low", "rx power high", "rx power low")
	return m
}

// qsfp is SFF-8636 rev 2.11.
func qsfp(b []byte) Module {
	u := b[128:]
	m := Module{Kind: kinds()[b[0]], Standard: "SFF-8636", Connector: connectors()[u[2]], Vendor: text(u[20:36]), OUI: oui(u[37:40]), Part: text(u[40:56]), Revision: text(u[56:58]),
		Serial: text(u[68:84]), Date: date(u[84:92]), ChecksumWrong: sum(u[:63]) != u[63] || sum(u[64:95]) != u[95]}
	m.Mbps = int(u[12]) * 100
	if u[12] == 0xff {
		m.Mbps = int(u[94]) * 250
	}
	if u[19]>>4 < 0xa { // device technology: not copper
		m.Nanometres = float64(be.Uint16(u[58:])) / 20
	}
	if b[2]&1 != 0 || be.Uint16(b[22:]) == 0 && be.Uint16(b[26:]) == 0 { // data not ready, or not monitored
		return m
	}
	m.Monitored = true
	m.Celsius, m.Volts = round(float64(int16(be.Uint16(b[22:])))/256), round(float64(be.Uint16(b[26:]))/10000)
	for i := range 4 {
		m.RxMW = append(m.RxMW, round(float64(be.Uint16(b[34+2*i:]))/10000))
		m.BiasMA = append(m.BiasMA, round(float64(be.Uint16(b[42+2*i:]))*2/1000))
		m.TxMW = append(m.TxMW, round(float64(be.Uint16(b[50+2*i:]))/10000))
	}
	if b[6]&0x80 != 0 {
		m.Alarms = append(m.Alarms, "temperature high")
	}
	if b[6]&0x40 != 0 {
		m.Alarms = append(m.Alarms, "temperature low")
	}
	if b[7]&0x80 != 0 {
		m.Alarms = append(m.Alarms, "voltage high")
	}
	if b[7]&0x40 != 0 {
		m.Alarms = append(m.Alarms, "voltage low")
	}
	for i := range 4 {
		f := b[9+i/2] >> (4 * (1 - i%2)) // rx power: two lanes a byte
		if f&8 != 0 {
			m.Alarms = append(m.Alarms, fmt.Sprintf("rx power high, lane %d", i+1))
		}
		if f&4 != 0 {
			m.Alarms = append(m.Alarms, fmt.Sprintf("rx power low, lane %d", i+1))
		}
	}
	return m
}

// cmis is the Common Management Interface Specification 5.2; the monitors of
// single lanes stand on pages that are not read.
func cmis(b []byte) Module {
	m := Module{Kind: kinds()[b[0]], Standard: fmt.Sprintf("CMIS %d.%d", b[1]>>4, b[1]&0xf), Connector: connectors()[b[203]], Vendor: text(b[129:145]), OUI: oui(b[145:148]), Part: text(b[148:164]),
		Revision: text(b[164:166]), Serial: text(b[166:182]), Date: date(b[182:190]), ChecksumWrong: sum(b[128:222]) != b[222]}
	if be.Uint16(b[14:]) != 0 || be.Uint16(b[16:]) != 0 {
		m.Monitored = true
		m.Celsius, m.Volts = round(float64(int16(be.Uint16(b[14:])))/256), round(float64(be.Uint16(b[16:]))/10000)
	}
	for i, name := range []string{"temperature high", "temperature low", "", "", "voltage high", "voltage low"} {
		if name != "" && b[9]>>i&1 != 0 {
			m.Alarms = append(m.Alarms, name)
		}
	}
	return m
}

func flags(b []byte, names ...string) []string {
	var list []string
	for i, n := range names {
		if b[i/8]>>(7-i%8)&1 != 0 {
			list = append(list, n)
		}
	}
	return list
}

// filled says whether every byte is c.
func filled(b []byte, c byte) bool { return bytes.Count(b, []byte{c}) == len(b) }

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

func round(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return math.Round(v*1e4) / 1e4
}

func oui(b []byte) string { return fmt.Sprintf("%02x:%02x:%02x", b[0], b[1], b[2]) }

// date is YYMMDD and a lot code.
func date(b []byte) string {
	s := text(b[:6])
	if len(s) != 6 || strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return "20" + s[:2] + "-" + s[2:4] + "-" + s[4:6]
}

func text(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}
