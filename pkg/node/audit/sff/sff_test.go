package sff

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// sr10G is a 10GBASE-SR module as SFF-8472 lays it out, with monitors.
func sr10G() []byte {
	b := make([]byte, 512)
	b[0], b[1], b[2], b[12], b[92] = 0x03, 0x04, 0x07, 103, 0x68
	copy(b[20:36], "FINISAR CORP.   ")
	copy(b[37:40], "\x00\x90\x65")
	copy(b[40:56], "FTLX8571D3BCL   ")
	copy(b[56:60], "A   ")
	binary.BigEndian.PutUint16(b[60:], 850)
	copy(b[68:84], "AQ30G4S         ")
	copy(b[84:92], "131121  ")
	b[63], b[95] = sum(b[:63]), sum(b[64:95])
	d := b[256:]
	binary.BigEndian.PutUint16(d[96:], 0x1f80) // 31.5 °C
	binary.BigEndian.PutUint16(d[98:], 32910)  // 3.291 V
	binary.BigEndian.PutUint16(d[100:], 4050)  // 8.1 mA
	binary.BigEndian.PutUint16(d[102:], 5871)  // 0.5871 mW
	binary.BigEndian.PutUint16(d[104:], 12)    // 0.0012 mW
	d[112], d[113] = 0, 0x40                   // rx power low
	return b
}

func qsfp28() []byte {
	b := make([]byte, 256)
	b[0], b[9] = 0x11, 0x04 // rx power low on lane 2
	binary.BigEndian.PutUint16(b[22:], 0x2300)
	binary.BigEndian.PutUint16(b[26:], 33000)
	for i := range 4 {
		binary.BigEndian.PutUint16(b[34+2*i:], uint16(1000*(i+1)))
	}
	b[128], b[130], b[140], b[222], b[147] = 0x11, 0x0c, 0xff, 103, 0x00
	copy(b[148:164], "Mellanox        ")
	copy(b[168:184], "MMA1B00-C100D   ")
	copy(b[196:212], "MT1952FT00000   ")
	copy(b[212:220], "191224  ")
	binary.BigEndian.PutUint16(b[186:], 17000) // 850 nm
	b[191], b[223] = sum(b[128:191]), sum(b[192:223])
	return b
}

func qsfpDD() []byte {
	b := make([]byte, 256)
	b[0], b[1], b[9] = 0x18, 0x50, 0x01
	binary.BigEndian.PutUint16(b[14:], 0x3000)
	binary.BigEndian.PutUint16(b[16:], 33100)
	b[128], b[203] = 0x18, 0x0c
	copy(b[129:145], "INNOLIGHT       ")
	copy(b[148:164], "T-DP4CNH-N00    ")
	copy(b[166:182], "INKAO1234567    ")
	b[222] = sum(b[128:222])
	return b
}

func TestSFP(t *testing.T) {
	m, err := Parse(sr10G())
	if err != nil || m.Kind != "SFP" || m.Vendor != "FINISAR CORP." || m.OUI != "00:90:65" || m.Part != "FTLX8571D3BCL" || m.Serial != "AQ30G4S" || m.Date != "2013-11-21" || m.Connector != "LC" || m.Nanometres != 850 || m.Mbps != 10300 || m.ChecksumWrong {
		t.Errorf("%+v, %v", m, err)
	}
	if !m.Monitored || m.Celsius != 31.5 || m.Volts != 3.291 || m.BiasMA[0] != 8.1 || m.TxMW[0] != 0.5871 || m.RxMW[0] != 0.0012 || !slices.Equal(m.Alarms, []string{"rx power low"}) {
		t.Errorf("%+v", m)
	}
}

// TestExternallyCalibrated has a module whose readings are raw (SFF-8472 9.3).
func TestExternallyCalibrated(t *testing.T) {
	b := sr10G()
	b[92] = 0x58
	b[95] = sum(b[64:95])
	d := b[256:]
	binary.BigEndian.PutUint16(d[84:], 0x0200)     // temperature slope 2
	binary.BigEndian.PutUint16(d[86:], 0x0100)     // and offset 256, which is 1 °C
	binary.BigEndian.PutUint16(d[88:], 0x0100)     // voltage as it is
	binary.BigEndian.PutUint16(d[76:], 0x0100)     // bias too
	binary.BigEndian.PutUint16(d[80:], 0x0100)     // tx too
	binary.BigEndian.PutUint32(d[68:], 0x40000000) // rx: 2 x
	m, err := Parse(b)
	if err != nil || m.Celsius != 64 || m.Volts != 3.291 || m.RxMW[0] != 0.0024 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestQSFP(t *testing.T) {
	m, err := Parse(qsfp28())
	if err != nil || m.Kind != "QSFP28" || m.Vendor != "Mellanox" || m.Part != "MMA1B00-C100D" || m.Serial != "MT1952FT00000" || m.Mbps != 25750 || m.Nanometres != 850 || m.Celsius != 35 || m.Volts != 3.3 || len(m.RxMW) != 4 || m.RxMW[3] != 0.4 || m.ChecksumWrong {
		t.Errorf("%+v, %v", m, err)
	}
	if !slices.Equal(m.Alarms, []string{"rx power low, lane 2"}) {
		t.Errorf("%q", m.Alarms)
	}
}

func TestCMIS(t *testing.T) {
	m, err := Parse(qsfpDD())
	if err != nil || m.Kind != "QSFP-DD" || m.Standard != "CMIS 5.0" || m.Vendor != "INNOLIGHT" || m.Serial != "INKAO1234567" || m.Celsius != 48 || m.Volts != 3.31 || m.ChecksumWrong || !slices.Equal(m.Alarms, []string{"temperature high"}) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestBadInput(t *testing.T) {
	for _, fill := range []byte{0, 0xff} {
		b := make([]byte, 256)
		for i := range b {
			b[i] = fill
		}
		if _, err := Parse(b); !errors.Is(err, ErrEmpty) {
			t.Errorf("%#x: %v", fill, err)
		}
	}
	for name, b := range map[string][]byte{"short": sr10G()[:100], "half a QSFP": qsfp28()[:128], "unknown": append([]byte{0x77, 1}, make([]byte, 254)...)} {
		if _, err := Parse(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	b := sr10G()
	b[70]++
	if m, err := Parse(b); err != nil || !m.ChecksumWrong {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sr10G())
	f.Add(qsfp28())
	f.Add(qsfpDD())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err == nil && (len(m.BiasMA) != len(m.TxMW) || len(m.TxMW) != len(m.RxMW)) {
			t.Errorf("%+v", m)
		}
	})
}
