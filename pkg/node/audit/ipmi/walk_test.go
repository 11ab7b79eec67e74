package ipmi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/node/audit/device"
)

// controller answers messages by their hexadecimal beginning.
type controller map[string]string

func (c controller) Ask(_ context.Context, q device.Question) ([]byte, error) {
	m := hex.EncodeToString(q.Request)
	for n := len(m); n >= 4; n -= 2 {
		if a, ok := c[m[:n]]; ok {
			b, err := hex.DecodeString(strings.ReplaceAll(a, " ", ""))
			return b, err
		}
	}
	return []byte{0xc1}, nil
}

// record is a full sensor: an inlet temperature of factor 1, two thresholds
// that can be read, in two's complement.
func record() Record {
	b := make([]byte, 43)
	b[0], b[2], b[3], b[4], b[6], b[7], b[8], b[13] = 0x20, 4, 7, 1, 0x04, 1, 1, 0x18
	b[15], b[16], b[19] = 0x80, 1, 1
	b[32], b[33] = 50, 45
	b[42] = 0xc5
	return Record{ID: 1, Type: FullSensor, Body: append(b, "Inlet"...)}
}

func TestSensor(t *testing.T) {
	s, err := ParseSensor(record())
	if err != nil || s.Name != "Inlet" || s.Unit != "°C" || !s.Analog || KindName(s.Kind) != "temperature" {
		t.Fatalf("%+v, %v", s, err)
	}
	if v, ok := s.Convert(0xf6); !ok || v != -10 {
		t.Errorf("%v %v", v, ok)
	}
	if v, ok := s.Threshold(1); !ok || v != 50 {
		t.Errorf("upper critical %v %v", v, ok)
	}
	if _, ok := s.Threshold(4); ok {
		t.Error("a threshold that cannot be read")
	}
	fan := record()
	fan.Body[15], fan.Body[19], fan.Body[20], fan.Body[24] = 0, 0x2c, 0x40, 0x00 // 300
	if s, _ = ParseSensor(fan); true {
		if v, ok := s.Convert(10); !ok || v != 3000 {
			t.Errorf("%v %v", v, ok)
		}
	}
	volts := record()
	volts.Body[15], volts.Body[19], volts.Body[24] = 0, 53, 0xd0 // 53 × 10⁻³
	if s, _ = ParseSensor(volts); true {
		if v, ok := s.Convert(226); !ok || v != 11.978 {
			t.Errorf("%v %v", v, ok)
		}
	}
	log := record()
	log.Body[15], log.Body[18] = 0, 1
	if s, _ = ParseSensor(log); true {
		if v, ok := s.Convert(0); ok {
			t.Errorf("the logarithm of nothing is %v", v)
		}
	}
	if _, err := ParseSensor(Record{Type: FullSensor, Body: make([]byte, 20)}); err == nil {
		t.Error("a short record")
	}
}

func TestStates(t *testing.T) {
	if got := StateNames(0x08, 0x6f, 0b1001); len(got) != 2 || got[0] != "present" || got[1] != "input lost" {
		t.Errorf("%q", got)
	}
	if got := (Reading{States: 0b11000}).Crossed(); len(got) != 2 || got[0] != "upper critical" {
		t.Errorf("%q", got)
	}
}

// TestLoops has lists that lead back to their beginning.
func TestLoops(t *testing.T) {
	c := controller{
		"0a22":         "00 0100",
		"0a2301000000": "00 0000 0100 51 c0 00", // record 0, next 0
		"0a40":         "00 51 0200 0010 00000000 00000000 00",
		"0a4300000000": "00 0000 0100 02 00000060 2000 04 0c 10 6f a1ffff",
	}
	list, err := (Client{c}).ReadSDR(context.Background())
	if err == nil || !strings.Contains(err.Error(), "loop") || len(list) != 1 {
		t.Errorf("%d records, %v", len(list), err)
	}
	l, err := (Client{c}).ReadLog(context.Background())
	if err == nil || !strings.Contains(err.Error(), "loop") || len(l.Events) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	if what, g := l.Events[0].Judge(); what != "uncorrectable ECC" || g != Grave || l.Events[0].Time.Year() != 2021 {
		t.Errorf("%s %d %v", what, g, l.Events[0].Time)
	}
}

func TestEmptyLog(t *testing.T) {
	l, err := (Client{controller{"0a40": "00 51 0000 0010 00000000 00000000 00"}}).ReadLog(context.Background())
	if err != nil || l.Entries != 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err = (Client{controller{"0a40": "00 51 0100 0010 00000000 00000000 00", "0a43": "cb"}}).ReadLog(context.Background()); err != nil || len(l.Events) != 0 {
		t.Errorf("emptied meanwhile: %+v, %v", l, err)
	}
}

func TestLAN(t *testing.T) {
	c := controller{"064201": "00 01 04 01 00 000000 0000", "064202": "00 02 02", "0642": "cc", "0c020103": "00 11 c0a80a05", "0c020104": "00 11 02", "0c020105": "00 11 0cc47a112233", "0c020106": "00 11 ffffff00", "0c02010c": "00 11 c0a80a01", "0c020114": "00 11 6480"}
	list, err := (Client{c}).ReadLAN(context.Background())
	if err != nil || len(list) != 1 || list[0].IP.String() != "192.168.10.5" || list[0].Bits != 24 || list[0].Source != "DHCP" || list[0].MAC != "0c:c4:7a:11:22:33" || list[0].VLAN != 100 || list[0].Gateway.String() != "192.168.10.1" {
		t.Errorf("%+v, %v", list, err)
	}
	if prefix([4]byte{255, 0, 255, 0}) != -1 || prefix([4]byte{}) != 0 {
		t.Error("masks")
	}
}

// TestFRU reads an inventory of a controller that hands out less than it was
// asked for, and one that states what it does not hold.
func TestFRU(t *testing.T) {
	whole := fru()
	c := device16(whole)
	got, err := (Client{c}).ReadFRU(context.Background(), 3)
	if err != nil || string(got) != string(whole) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := (Client{controller{"0a10": "00 ff00 00", "0a11": "00 20 01"}}).ReadFRU(context.Background(), 0); err == nil {
		t.Error("an answer that states more than it holds")
	}
	var code Code
	if _, err := (Client{controller{"0a10": "cb"}}).ReadFRU(context.Background(), 0); !errors.As(err, &code) || code != CodeNotPresent {
		t.Errorf("%v", err)
	}
}

// device16 hands out an inventory, at most 7 bytes at once.
type device16 []byte

func (d device16) Ask(_ context.Context, q device.Question) ([]byte, error) {
	r := q.Request
	switch {
	case r[1] == 0x10:
		return []byte{0, byte(len(d)), byte(len(d) >> 8), 0}, nil
	case r[1] == 0x11:
		at := int(r[3]) | int(r[4])<<8
		b := d[at:min(len(d), at+min(int(r[5]), 7))]
		return append([]byte{0, byte(len(b))}, b...), nil
	}
	return nil, fmt.Errorf("%x: %w", r, fs.ErrNotExist)
}

func TestPowerRecord(t *testing.T) {
	r := make([]byte, 24)
	r[0], r[1], r[17] = 0x40, 0x06, 8
	h := []byte{0, 0x82, 24, -sum(r)}
	h = append(h, -sum(h))
	b := []byte{1, 0, 0, 0, 0, 1, 0}
	b = append(b, -sum(b))
	b = append(append(b, h...), r...)
	if f := ParseFRU(b); len(f.Broken) != 0 || len(f.Power) != 1 || f.Power[0].Watts != 1600 || !f.Power[0].HotSwap {
		t.Errorf("%+v", f)
	}
	b[20]++
	if f := ParseFRU(b); len(f.Broken) != 1 || len(f.Power) != 0 {
		t.Errorf("a wrong checksum: %+v", f)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(byte(FullSensor), record().Body)
	f.Add(byte(CompactSensor), append(make([]byte, 26), 0xc2, 'A', 'B'))
	f.Add(byte(FRULocator), append(make([]byte, 10), 0xc2, 'A', 'B'))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r := Record{Type: kind, Body: body}
		if s, err := ParseSensor(r); err == nil {
			for i := range 256 {
				s.Convert(byte(i))
			}
			for i := range ThresholdNames {
				s.Threshold(i)
			}
		}
		ParseLocator(r)
		ParseID(body)
		if len(body) >= 16 {
			e := ParseEvent([16]byte(body))
			e.Judge()
			StateNames(e.Kind, e.EventType, uint16(body[0]))
		}
	})
}

// FuzzWalk has a controller that answers anything.
func FuzzWalk(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 0, 1, 0x51, 1, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Client{babble{b, new(int)}}
		ctx := context.Background()
		c.ReadSDR(ctx)
		c.ReadLog(ctx)
		c.ReadFRU(ctx, 0)
		c.ReadLAN(ctx)
		c.ReadChassis(ctx)
		c.RestartCause(ctx)
		c.Time(ctx)
		c.DeviceID(ctx)
	})
}

// babble answers with what comes next of its bytes, until they are gone.
type babble struct {
	b  []byte
	at *int
}

func (a babble) Ask(_ context.Context, q device.Question) ([]byte, error) {
	if *a.at >= len(a.b) {
		return nil, device.ErrTimeout
	}
	n := min(int(a.b[*a.at])%40+1, len(a.b)-*a.at)
	out := a.b[*a.at : *a.at+n]
	*a.at += n
	return out, nil
}
