package lldp

import (
	"testing"
	"time"
)

// frame is what an Arista switch says.
func frame() []byte {
	tlv := func(kind byte, v string) string { return string([]byte{kind << 1, byte(len(v))}) + v }
	return []byte(tlv(1, "\x04\x00\x1c\x73\x12\x34\x56") + tlv(2, "\x05Ethernet17/1") + tlv(3, "\x00\x78") + tlv(4, "to rack 12 node 3") + tlv(5, "leaf-12a") +
		tlv(6, "Arista Networks EOS") + tlv(8, "\x05\x01\x0a\x00\x0c\x01\x02\x00\x00\x00\x01\x00") + tlv(127, "\x00\x80\xc2\x01\x00\x64") + tlv(0, ""))
}

func TestParse(t *testing.T) {
	n, err := Parse(frame())
	if err != nil || n.Chassis != "00:1c:73:12:34:56" || n.Port != "Ethernet17/1" || n.TTL != 120*time.Second || n.PortDescription != "to rack 12 node 3" || n.SystemName != "leaf-12a" || n.VLAN != 100 || len(n.Addresses) != 1 || n.Addresses[0].String() != "10.0.12.1" {
		t.Errorf("%+v, %v", n, err)
	}
	hostile := []byte("\x02\x03\x07a\x1b\x04\x03\x07b\x00\x06\x02\x00\x00\x0a\x05\x1b[2Jx")
	if n, err = Parse(hostile); err != nil || n.Chassis != "a" || n.SystemName != "[2Jx" || n.TTL != 0 {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestBadInput(t *testing.T) {
	whole := frame()
	for name, b := range map[string][]byte{"empty": nil, "cut": whole[:12], "another order": whole[9:], "too long": {2, 200, 4}} {
		if n, err := Parse(b); err == nil {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(frame())
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := Parse(b); err == nil && (len(n.Addresses) > 8 || len(n.SystemName) > 2048) {
			t.Errorf("%+v", n)
		}
	})
}
