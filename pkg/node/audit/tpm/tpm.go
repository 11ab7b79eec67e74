// Package tpm makes the commands and decodes the answers of a TPM 2.0 that the
// audit needs (TPM 2.0 Library, part 3, 22.5 GetCapability). It opens nothing;
// numbers are big-endian, as there.
package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

var be = binary.BigEndian

// Capabilities (part 2, 6.12) and properties (6.13).
const (
	capHandles    = 1
	capPCRs       = 5
	capProperties = 6

	propFamily       = 0x100
	propRevision     = 0x102
	propManufacturer = 0x105
	propVendor1      = 0x106
	propFirmware1    = 0x10b
	propFirmware2    = 0x10c
)

// EKCertificates are the NV indexes at which makers keep the certificate of the
// endorsement key (TCG EK Credential Profile 2.5, 2.2.1.4).
var EKCertificates = sync.OnceValue(func() map[uint32]string {
	return map[uint32]string{0x01c00002: "RSA 2048", 0x01c0000a: "ECC P-256", 0x01c00012: "RSA 2048 (high)", 0x01c00014: "ECC P-256 (high)", 0x01c00016: "ECC P-384", 0x01c0001c: "RSA 3072"}
})

func capability(kind, first, count uint32) []byte {
	b := []byte{0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a}
	return be.AppendUint32(be.AppendUint32(be.AppendUint32(b, kind), first), count)
}

// The commands.
var (
	Properties = capability(capProperties, propFamily, 64)
	PCRBanks   = capability(capPCRs, 0, 1)
	NVIndexes  = capability(capHandles, 0x01000000, 128)
)

// body checks an answer's header and returns what follows the "more" byte and
// the capability.
func body(b []byte, kind uint32) ([]byte, error) {
	if len(b) < 10 || int(be.Uint32(b[2:])) != len(b) {
		return nil, errors.New("decode TPM answer: its length is wrong")
	}
	if rc := be.Uint32(b[6:]); rc != 0 {
		return nil, fmt.Errorf("TPM response code %#x", rc)
	}
	if len(b) < 15 || be.Uint32(b[11:]) != kind {
		return nil, errors.New("decode TPM answer: it tells another capability")
	}
	return b[15:], nil
}

// Info is who the TPM is.
type Info struct {
	Manufacturer, Vendor, Firmware, Revision string
}

// ParseProperties decodes the fixed properties.
func ParseProperties(b []byte) (Info, error) {
	d, err := body(b, capProperties)
	if err != nil {
		return Info{}, err
	}
	if len(d) < 4 {
		return Info{}, errors.New("decode TPM properties: no count")
	}
	n := be.Uint32(d)
	values := map[uint32]uint32{}
	for d = d[4:]; len(d) >= 8 && n > 0; d, n = d[8:], n-1 {
		values[be.Uint32(d)] = be.Uint32(d[4:])
	}
	if len(values) == 0 {
		return Info{}, errors.New("decode TPM properties: there are none")
	}
	i := Info{Manufacturer: word(values[propManufacturer])}
	for k := range uint32(4) {
		i.Vendor += word(values[propVendor1+k])
	}
	i.Vendor = strings.TrimSpace(i.Vendor)
	f1, f2 := values[propFirmware1], values[propFirmware2]
	i.Firmware = fmt.Sprintf("%d.%d.%d.%d", f1>>16, f1&0xffff, f2>>16, f2&0xffff)
	if r := values[propRevision]; r != 0 {
		i.Revision = fmt.Sprintf("%d.%02d", r/100, r%100)
	}
	return i, nil
}

// word is four characters.
func word(v uint32) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(be.AppendUint32(nil, v))))
}

// algorithms are those of hash banks (part 2, 6.3).
var algorithms = sync.OnceValue(func() map[uint16]string {
	return map[uint16]string{0x04: "sha1", 0x0b: "sha256", 0x0c: "sha384", 0x0d: "sha512", 0x12: "sm3_256", 0x27: "sha3_256", 0x28: "sha3_384", 0x29: "sha3_512"}
})

// ParseBanks decodes the PCR banks: those that have registers.
func ParseBanks(b []byte) ([]string, error) {
	d, err := body(b, capPCRs)
	if err != nil {
		return nil, err
	}
	if len(d) < 4 {
		return nil, errors.New("decode TPM banks: no count")
	}
	n := be.Uint32(d)
	d = d[4:]
	var list []string
	for ; n > 0 && len(d) >= 3; n-- {
		size := int(d[2])
		if len(d) < 3+size {
			return list, errors.New("decode TPM banks: a bank is cut short")
		}
		if strings.Trim(string(d[3:3+size]), "\x00") != "" {
			name := algorithms()[be.Uint16(d)]
			if name == "" {
				name = fmt.Sprintf("%#04x", be.Uint16(d))
			}
			list = append(list, name)
		}
		d = d[3+size:]
	}
	return list, nil
}

// hashes gives the number of an algorithm.
func hashes(bank string) (uint16, bool) {
	switch bank {
	case "sha256":
		return 0x0b, true
	case "sha384":
		return 0x0c, true
	case "sha512":
		return 0x0d, true
	case "sha1":
		return 0x04, true
	}
	return 0, false
}

// PCRs is the number of registers of a PC's TPM.
const PCRs = 24

// ReadPCRs makes TPM2_PCR_Read (part 3, 22.4) for the registers of a set; the
// TPM answers as many as it likes. False: the bank has no name here.
func ReadPCRs(bank string, set uint32) ([]byte, bool) {
	n, ok := hashes(bank)
	b := []byte{0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7e, 0, 0, 0, 1}
	return append(be.AppendUint16(b, n), 3, byte(set), byte(set>>8), byte(set>>16)), ok
}

// ParsePCRs decodes the answer: hexadecimal values by register.
func ParsePCRs(b []byte) (map[int]string, error) {
	if len(b) < 10 || int(be.Uint32(b[2:])) != len(b) {
		return nil, errors.New("decode PCRs: the answer's length is wrong")
	}
	if rc := be.Uint32(b[6:]); rc != 0 {
		return nil, fmt.Errorf("TPM response code %#x", rc)
	}
	if len(b) < 28 || be.Uint32(b[14:]) != 1 || b[20] != 3 {
		return nil, errors.New("decode PCRs: the selection is not of one bank")
	}
	set := uint32(b[21]) | uint32(b[22])<<8 | uint32(b[23])<<16
	values := map[int]string{}
	d := b[28:]
	for i := range PCRs {
		if set>>i&1 == 0 {
			continue
		}
		if len(d) < 2 || len(d) < 2+int(be.Uint16(d)) {
			return values, errors.New("decode PCRs: a register is cut short")
		}
		n := 2 + int(be.Uint16(d))
		values[i] = fmt.Sprintf("%x", d[2:n])
		d = d[n:]
	}
	return values, nil
}

// ParseHandles decodes a list of handles.
func ParseHandles(b []byte) ([]uint32, error) {
	d, err := body(b, capHandles)
	if err != nil {
		return nil, err
	}
	if len(d) < 4 {
		return nil, errors.New("decode TPM handles: no count")
	}
	n := be.Uint32(d)
	var list []uint32
	for d = d[4:]; len(d) >= 4 && n > 0; d, n = d[4:], n-1 {
		list = append(list, be.Uint32(d))
	}
	slices.Sort(list)
	return list, nil
}

// maxEvents bounds the event log.
const maxEvents = 1 << 16

// CountEvents walks the firmware's event log (TCG PC Client Platform Firmware
// Profile 1.05, 10.2): a log of the crypto-agile format, or the older one of
// SHA-1 alone. What came before damage is counted, and the error tells of it.
func CountEvents(b []byte) (events int, agile bool, err error) {
	le := binary.LittleEndian
	if len(b) < 32 {
		return 0, false, errors.New("decode event log: it is too short")
	}
	size := int(le.Uint32(b[28:]))
	if size < 0 || 32+size > len(b) {
		return 0, false, errors.New("decode event log: the first event is longer than the log")
	}
	head := b[32 : 32+size]
	agile = le.Uint32(b[4:]) == 3 && strings.HasPrefix(string(head), "Spec ID Event03\x00")
	digests := map[uint16]int{}
	at := 0
	if agile {
		if len(head) < 28 {
			return 0, true, errors.New("decode event log: its header is too short")
		}
		n := int(le.Uint32(head[24:]))
		for i := range min(n, 16) {
			if 28+4*i+4 > len(head) {
				return 0, true, errors.New("decode event log: its header is too short")
			}
			digests[le.Uint16(head[28+4*i:])] = int(le.Uint16(head[30+4*i:]))
		}
		at = 32 + size
		events = 1
	}
	for at+8 <= len(b) && events < maxEvents {
		if !agile {
			if at+32 > len(b) {
				return events, agile, errors.New("decode event log: an event is cut short")
			}
			at += 28
		} else {
			if le.Uint32(b[at:]) == 0xffffffff || at+12 > len(b) {
				return events, agile, nil
			}
			n := le.Uint32(b[at+8:])
			at += 12
			if n == 0 && le.Uint32(b[at-8:]) == 0 {
				return events, agile, nil // padding
			}
			for range min(n, 16) {
				if at+2 > len(b) {
					return events, agile, errors.New("decode event log: an event is cut short")
				}
				length, ok := digests[le.Uint16(b[at:])]
				if !ok {
					return events, agile, fmt.Errorf("decode event log: digest %#04x is not in its header", le.Uint16(b[at:]))
				}
				at += 2 + length
			}
		}
		if at+4 > len(b) {
			return events, agile, errors.New("decode event log: an event is cut short")
		}
		length := int(le.Uint32(b[at:]))
		at += 4 + length
		if length < 0 || at > len(b) {
			return events, agile, errors.New("decode event log: an event is longer than the log")
		}
		events++
	}
	return events, agile, nil
}
