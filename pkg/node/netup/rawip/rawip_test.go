package rawip

import (
	"bytes"
	"net/netip"
	"testing"
)

func datagram() Datagram {
	return Datagram{Src: netip.MustParseAddr("192.0.2.1"), Dst: Broadcast, SrcPort: ServerPort, DstPort: ClientPort, Payload: []byte("odd length!")}
}

func TestRoundTrip(t *testing.T) {
	b := AppendUDP4(nil, datagram())
	d, err := ParseUDP4(b, false)
	if err != nil || d.Src != datagram().Src || d.Dst != Broadcast || d.SrcPort != ServerPort || d.DstPort != ClientPort || !bytes.Equal(d.Payload, datagram().Payload) {
		t.Fatalf("%+v, %v", d, err)
	}
	if d, err := ParseUDP4(append(bytes.Clone(b), 0, 0, 0), false); err != nil || len(d.Payload) != len(datagram().Payload) {
		t.Errorf("padding of a short frame: %+v, %v", d, err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x55
		if d, err := ParseUDP4(bad, false); err == nil && bytes.Equal(d.Payload, datagram().Payload) && d.Src == datagram().Src && d.Dst == Broadcast && d.DstPort == ClientPort && d.SrcPort == ServerPort {
			t.Errorf("byte %d was spoilt and nobody saw it", i)
		}
	}
	for n := range b {
		if _, err := ParseUDP4(b[:n], false); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(b))
		}
	}
}

func FuzzParseUDP4(f *testing.F) {
	f.Add(AppendUDP4(nil, datagram()), false)
	f.Fuzz(func(t *testing.T, b []byte, verified bool) { ParseUDP4(b, verified) })
}

func FuzzParseARP(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1}, 28))
	f.Fuzz(func(t *testing.T, b []byte) { parseARP(b) })
}
