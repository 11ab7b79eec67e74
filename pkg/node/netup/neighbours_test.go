package netup

import (
	"testing"

	"golang.org/x/sys/unix"
)

// say sends a frame from the other end of a card's cable, as a switch would.
func (h *hall) say(card, tlvs string) {
	h.t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	h.must(err)
	defer unix.Close(fd)
	frame := "\x01\x80\xc2\x00\x00\x0e" + "\x02\x00\x00\x00\x00\xaa" + "\x88\xcc" + tlvs
	h.must(unix.Sendto(fd, []byte(frame), 0, &unix.SockaddrLinklayer{Ifindex: h.link(peer(card)).Attrs().Index, Halen: 6}))
}

func TestTheOtherEndOfTheCable(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		h := newHall(t)
		h.card("eth0", 1)
		h.start("")
		h.waitState("eth0", "no carrier")
		h.plug("eth0")
		h.waitCondition("carrier", true)
		const leaf = "\x02\x07\x04\x00\x1c\x73\x12\x34\x56" + "\x04\x05\x05Eth7" + "\x06\x02\x00\x78" + "\x0a\x06leaf-1" + "\x00\x00"
		h.say("eth0", "\x02\x02") // no LLDP
		h.say("eth0", leaf)
		h.eventually("the switch is known", func() bool {
			n := h.nic("eth0").Neighbours
			return len(n) == 1 && n[0].Chassis == "00:1c:73:12:34:56" && n[0].Port == "Eth7" && n[0].SystemName == "leaf-1"
		})
		if h.nic("eth0").Listening.IsZero() {
			t.Error("nobody says since when")
		}
		h.say("eth0", "\x02\x07\x04\x00\x1c\x73\x12\x34\x56"+"\x04\x05\x05Eth7"+"\x06\x02\x00\x00"+"\x00\x00") // it leaves
		h.eventually("it is forgotten", func() bool { return len(h.nic("eth0").Neighbours) == 0 })
		h.say("eth0", leaf)
		h.eventually("it is back", func() bool { return len(h.nic("eth0").Neighbours) == 1 })
		h.unplug("eth0")
		h.eventually("it went with the cable", func() bool { return len(h.nic("eth0").Neighbours) == 0 })
		h.plug("eth0")
		h.waitCondition("carrier", true)
		h.say("eth0", leaf)
		h.eventually("it is heard after the cable came back", func() bool { return len(h.nic("eth0").Neighbours) == 1 })
		h.end()
	})
}
