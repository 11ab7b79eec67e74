package dhcp6

import (
	"net"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

func FuzzParseReply(f *testing.F) {
	msg, err := dhcpv6.NewMessage()
	if err != nil {
		f.Fatal(err)
	}
	msg.MessageType = dhcpv6.MessageTypeReply
	duid := &dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	msg.AddOption(dhcpv6.OptClientID(duid))
	msg.AddOption(dhcpv6.OptServerID(duid))
	msg.AddOption(&dhcpv6.OptIANA{IaId: [4]byte{0, 0, 0, 1}, T1: time.Hour, T2: 2 * time.Hour, Options: dhcpv6.IdentityOptions{Options: dhcpv6.Options{
		&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP("2001:db8::7"), PreferredLifetime: time.Hour, ValidLifetime: 2 * time.Hour}}}})
	if _, err := parseReply(msg.ToBytes(), msg.TransactionID, duid.ToBytes(), [4]byte{0, 0, 0, 1}); err != nil {
		f.Fatalf("a sound reply: %v", err)
	}
	f.Add(msg.ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		parseReply(b, msg.TransactionID, duid.ToBytes(), [4]byte{0, 0, 0, 1})
	})
}

func TestParseReplyOfOthers(t *testing.T) {
	msg, err := dhcpv6.NewMessage()
	if err != nil {
		t.Fatal(err)
	}
	msg.MessageType = dhcpv6.MessageTypeReply
	duid := &dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	other := &dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	msg.AddOption(dhcpv6.OptClientID(other))
	msg.AddOption(dhcpv6.OptServerID(other))
	if _, err := parseReply(msg.ToBytes(), msg.TransactionID, duid.ToBytes(), [4]byte{}); err == nil {
		t.Error("a reply to another client was taken")
	}
	if _, err := parseReply(msg.ToBytes(), dhcpv6.TransactionID{1, 2, 3}, other.ToBytes(), [4]byte{}); err == nil {
		t.Error("a reply of another exchange was taken")
	}
}
