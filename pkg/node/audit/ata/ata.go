// Package ata decodes what ATA disks answer: IDENTIFY DEVICE, SMART data,
// thresholds and logs (ATA/ATAPI Command Set 4, ACS-4; the SMART attribute
// tables are those of SFF-8035i). It opens nothing.
package ata

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
)

var le = binary.LittleEndian

// Sector is the length of every structure here, bytes.
const Sector = 512

// The command blocks of ATA PASS-THROUGH (16) (SAT-5 12.2.3), all PIO data-in
// of one sector but for the last, which moves no data.
var (
	Identify        = command(0xec, 0, 0, false)
	SMARTData       = command(0xb0, 0xd0, 0, false)
	SMARTThresholds = command(0xb0, 0xd1, 0, false)
	SMARTErrorLog   = command(0xb0, 0xd5, 0x01, false)
	SMARTSelfTests  = command(0xb0, 0xd5, 0x06, false)
	SMARTStatus     = command(0xb0, 0xda, 0, true)
)

func command(cmd, feature, log byte, noData bool) []byte {
	c := make([]byte, 16)
	c[0], c[1], c[2] = 0x85, 4<<1, 0x0e // PIO data-in; one block, counted in the sector count, from the device
	if noData {
		c[1], c[2] = 3<<1, 0x20 // non-data; the registers come back as sense data
	}
	c[4], c[6], c[14] = feature, 1, cmd
	if cmd == 0xb0 {
		c[8], c[10], c[12] = log, 0x4f, 0xc2 // SMART's signature
	}
	return c
}

// ID is the IDENTIFY DEVICE data (ACS-4 7.13.6).
type ID struct {
	Serial, Model, Firmware     string
	WWN                         string // 16 hexadecimal digits; empty: none
	Sectors                     uint64
	Logical, Physical           int // bytes
	RPM                         int // 1: no rotating medium, 0: not told
	FormFactor                  string
	Transport                   string // "SATA 3.2"
	Gbps, MaxGbps               string // "6.0"; empty: not told
	SMART, SMARTEnabled         bool
	TRIM                        bool
	Security                    []string // supported, enabled, locked, frozen
	ErrorLogging, SelfTest, GPL bool
	ChecksumWrong               bool
}

// ParseIdentify decodes IDENTIFY DEVICE data.
func ParseIdentify(b []byte) (ID, error) {
	if len(b) < Sector {
		return ID{}, fmt.Errorf("decode IDENTIFY DEVICE: %d bytes where %d were expected", len(b), Sector)
	}
	w := func(i int) uint16 { return le.Uint16(b[2*i:]) }
	valid := func(i int) bool { return w(i)&0xc000 == 0x4000 } // bit 15 clear, bit 14 set
	d := ID{Serial: swapped(b[20:40]), Firmware: swapped(b[46:54]), Model: swapped(b[54:94]), Logical: 512}
	if d.Serial == "" && d.Model == "" {
		return d, fmt.Errorf("decode IDENTIFY DEVICE: neither model nor serial number")
	}
	if b[510] == 0xa5 {
		var sum byte
		for _, c := range b[:Sector] {
			sum += c
		}
		d.ChecksumWrong = sum != 0
	}
	d.Sectors = uint64(le.Uint32(b[120:]))
	if valid(83) && w(83)&(1<<10) != 0 {
		d.Sectors = le.Uint64(b[200:])
	}
	if valid(106) {
		if w(106)&(1<<12) != 0 {
			if n := le.Uint32(b[234:]); n >= 256 && n <= 1<<20 {
				d.Logical = int(n) * 2
			}
		}
		d.Physical = d.Logical
		if w(106)&(1<<13) != 0 {
			d.Physical = d.Logical << (w(106) & 0xf)
		}
	}
	if n := w(217); n == 1 || n >= 0x401 && n <= 0xfffe {
		d.RPM = int(n)
	}
	if n := w(168) & 0xf; int(n) < len(formFactors) {
		d.FormFactor = formFactors[n]
	}
	d.Transport = transport(w(222))
	if n := w(76); n != 0 && n != 0xffff {
		d.MaxGbps = fastest(n)
		d.Gbps = gbps(int(w(77) >> 1 & 7))
	}
	d.SMART, d.SMARTEnabled = valid(83) && w(82)&1 != 0, w(87)&0xc000 == 0x4000 && w(85)&1 != 0
	if valid(84) {
		d.ErrorLogging, d.SelfTest, d.GPL = w(84)&1 != 0, w(84)&2 != 0, w(84)&(1<<5) != 0
	}
	d.TRIM = w(169)&1 != 0
	if w(87)&0xc000 == 0x4000 && w(87)&(1<<8) != 0 && w(108)>>12 != 0 {
		d.WWN = fmt.Sprintf("%04x%04x%04x%04x", w(108), w(109), w(110), w(111))
	}
	for i, name := range []string{"supported", "enabled", "locked", "frozen", "count expired"} {
		if w(128)>>i&1 != 0 {
			d.Security = append(d.Security, name)
		}
	}
	return d, nil
}

var formFactors = [...]string{"", "5.25 in", "3.5 in", "2.5 in", "1.8 in", "less than 1.8 in", "mSATA", "M.2", "MicroSSD", "CFast"}

// transport is word 222 (ACS-4 7.13.6.95), for serial transports.
func transport(w uint16) string {
	if w == 0 || w == 0xffff || w>>12 != 1 {
		return ""
	}
	names := [...]string{"ATA8-AST", "SATA 1.0a", "SATA II Ext", "SATA 2.5", "SATA 2.6", "SATA 3.0", "SATA 3.1", "SATA 3.2", "SATA 3.3", "SATA 3.4", "SATA 3.5"}
	for i := len(names) - 1; i >= 0; i-- {
		if w>>i&1 != 0 {
			return names[i]
		}
	}
	return ""
}

func gbps(n int) string {
	if n >= 1 && n <= 3 {
		return [...]string{"1.5", "3.0", "6.0"}[n-1]
	}
	return ""
}

func fastest(w uint16) string {
	for n := 3; n >= 1; n-- {
		if w>>n&1 != 0 {
			return gbps(n)
		}
	}
	return ""
}

// swapped is a field of ASCII whose bytes stand in pairs the other way round.
func swapped(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i+1 < len(b); i += 2 {
		for _, c := range [2]byte{b[i+1], b[i]} {
			if c >= ' ' && c <= '~' {
				out = append(out, c)
			}
		}
	}
	return strings.TrimSpace(string(out))
}

// Attribute is one row of the SMART table.
type Attribute struct {
	ID, Value, Worst, Threshold byte
	Prefailure                  bool
	Raw                         uint64 // six bytes
	Known                       bool   // Threshold was told
}

// Failed says when the attribute was at or below its threshold: "now", "past",
// or "".
func (a Attribute) Failed() string {
	switch {
	case !a.Known || a.Threshold == 0 || a.Threshold > 0xfd || a.Value == 0 || a.Value > 0xfd:
		return ""
	case a.Value <= a.Threshold:
		return "now"
	case a.Worst != 0 && a.Worst <= a.Threshold:
		return "past"
	}
	return ""
}

// ErrZeros says that a SMART structure holds nothing: disks and bridges exist
// that answer so instead of refusing.
var ErrZeros = fmt.Errorf("it is all zeros")

// ErrChecksum says that a structure's bytes do not add up to zero.
var ErrChecksum = fmt.Errorf("its checksum is wrong")

// ParseAttributes decodes SMART READ DATA and, where there is one, SMART READ
// THRESHOLDS. With a wrong checksum the rows come along with the error.
func ParseAttributes(data, thresholds []byte) ([]Attribute, error) {
	if len(data) < Sector {
		return nil, fmt.Errorf("decode SMART data: %d bytes where %d were expected", len(data), Sector)
	}
	if zeros(data) {
		return nil, fmt.Errorf("decode SMART data: %w", ErrZeros)
	}
	least := map[byte]byte{}
	if len(thresholds) >= Sector && !zeros(thresholds) {
		for i := range 30 {
			e := thresholds[2+12*i:]
			if e[0] != 0 {
				least[e[0]] = e[1]
			}
		}
	}
	var list []Attribute
	for i := range 30 {
		e := data[2+12*i:]
		if e[0] == 0 {
			continue
		}
		a := Attribute{ID: e[0], Prefailure: e[1]&1 != 0, Value: e[3], Worst: e[4]}
		for k := 5; k >= 0; k-- {
			a.Raw = a.Raw<<8 | uint64(e[5+k])
		}
		a.Threshold, a.Known = least[a.ID]
		list = append(list, a)
	}
	if !sums(data) {
		return list, fmt.Errorf("decode SMART data: %w", ErrChecksum)
	}
	return list, nil
}

// Name is what makers mean by an attribute; empty: they do not agree.
func (a Attribute) Name() string { return attributeNames()[a.ID] }

var attributeNames = sync.OnceValue(func() map[byte]string {
	return map[byte]string{
		1: "Raw_Read_Error_Rate", 2: "Throughput_Performance", 3: "Spin_Up_Time", 4: "Start_Stop_Count", 5: "Reallocated_Sector_Ct", 7: "Seek_Error_Rate",
		8: "Seek_Time_Performance", 9: "Power_On_Hours", 10: "Spin_Retry_Count", 11: "Calibration_Retry_Count", 12: "Power_Cycle_Count", 13: "Read_Soft_Error_Rate",
		22: "Helium_Level", 173: "Wear_Leveling", 174: "Unexpect_Power_Loss_Ct", 175: "Power_Loss_Protection", 177: "Wear_Leveling_Count", 179: "Used_Rsvd_Blk_Cnt_Tot",
		181: "Program_Fail_Cnt_Total", 182: "Erase_Fail_Count_Total", 183: "Runtime_Bad_Block", 184: "End-to-End_Error", 187: "Reported_Uncorrect", 188: "Command_Timeout",
		189: "High_Fly_Writes", 190: "Airflow_Temperature_Cel", 191: "G-Sense_Error_Rate", 192: "Power-Off_Retract_Count", 193: "Load_Cycle_Count", 194: "Temperature_Celsius",
		195: "Hardware_ECC_Recovered", 196: "Reallocated_Event_Count", 197: "Current_Pending_Sector", 198: "Offline_Uncorrectable", 199: "UDMA_CRC_Error_Count",
		200: "Multi_Zone_Error_Rate", 202: "Percent_Lifetime_Remain", 220: "Disk_Shift", 222: "Loaded_Hours", 223: "Load_Retry_Count", 226: "Load-in_Time",
		231: "SSD_Life_Left", 232: "Available_Reservd_Space", 233: "Media_Wearout_Indicator", 240: "Head_Flying_Hours", 241: "Total_LBAs_Written", 242: "Total_LBAs_Read",
	}
})

// SelfTest is one row of the self-test log (ACS-4 A.14).
type SelfTest struct {
	Kind   byte // the command's subcommand: 1 short, 2 extended
	Status byte // upper half: 0 passed; lower: tenths that were left
	Hours  uint16
	LBA    uint32 // of the first failure; 0xffffffff: none
}

// ParseSelfTests decodes SMART log 06h: the results, newest first.
func ParseSelfTests(b []byte) ([]SelfTest, error) {
	if len(b) < Sector {
		return nil, fmt.Errorf("decode self-test log: %d bytes where %d were expected", len(b), Sector)
	}
	if !sums(b) {
		return nil, fmt.Errorf("decode self-test log: %w", ErrChecksum)
	}
	newest := int(b[508])
	if newest == 0 || newest > 21 {
		return nil, nil
	}
	var list []SelfTest
	for i := range 21 {
		e := b[2+24*((newest-1-i+42)%21):]
		if zeros(e[:24]) {
			continue
		}
		list = append(list, SelfTest{Kind: e[0], Status: e[1], Hours: le.Uint16(e[2:]), LBA: le.Uint32(e[5:])})
	}
	return list, nil
}

// Result is a self-test's end in words.
func (t SelfTest) Result() string {
	switch t.Status >> 4 {
	case 0:
		return "passed"
	case 1:
		return "aborted by the host"
	case 2:
		return "interrupted by a reset"
	case 3:
		return "failed: fatal error"
	case 4:
		return "failed: unknown element"
	case 5:
		return "failed: electrical"
	case 6:
		return "failed: servo or seek"
	case 7:
		return "failed: read element"
	case 8:
		return "failed: handling damage"
	case 15:
		return "running"
	}
	return fmt.Sprintf("reserved result %#x", t.Status>>4)
}

// KindName is a self-test's kind in words.
func (t SelfTest) KindName() string {
	switch t.Kind & 0x7f {
	case 0:
		return "offline"
	case 1:
		return "short"
	case 2:
		return "extended"
	case 3:
		return "conveyance"
	case 4:
		return "selective"
	}
	return fmt.Sprintf("code %#x", t.Kind)
}

// ParseErrorCount decodes SMART log 01h: the number of errors that the disk
// ever reported.
func ParseErrorCount(b []byte) (int, error) {
	if len(b) < Sector {
		return 0, fmt.Errorf("decode error log: %d bytes where %d were expected", len(b), Sector)
	}
	if !sums(b) {
		return 0, fmt.Errorf("decode error log: %w", ErrChecksum)
	}
	return int(le.Uint16(b[452:])), nil
}

// ParseStatus decodes the registers that SMART RETURN STATUS leaves in sense
// data of descriptor format (SAT-5 12.2.6): true while no threshold is
// exceeded.
func ParseStatus(sense []byte) (passed bool, err error) {
	if len(sense) >= 8 && sense[0]&0x7f == 0x72 {
		for d := sense[8:]; len(d) >= 2; d = d[min(len(d), 2+int(d[1])):] {
			if d[0] == 0x09 && len(d) >= 14 {
				return signature(d[9], d[11])
			}
		}
	}
	if len(sense) >= 18 && sense[0]&0x7f == 0x70 && sense[12] == 0 && sense[13] == 0x1d { // fixed format: LBA mid and high
		return signature(sense[10], sense[11])
	}
	return false, fmt.Errorf("decode SMART status: the answer holds no ATA registers")
}

func signature(mid, high byte) (bool, error) {
	switch {
	case mid == 0x4f && high == 0xc2:
		return true, nil
	case mid == 0xf4 && high == 0x2c:
		return false, nil
	}
	return false, fmt.Errorf("decode SMART status: registers %#02x %#02x are neither answer", mid, high)
}

func zeros(b []byte) bool { return strings.Trim(string(b), "\x00") == "" }

func sums(b []byte) bool {
	var s byte
	for _, c := range b[:Sector] {
		s += c
	}
	return s == 0
}
