package lldp

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// groups are the addresses to which neighbours speak (7.1): nearest bridge,
// nearest bridge but relays, nearest customer bridge.
var groups = [...][6]byte{{0x01, 0x80, 0xc2, 0, 0, 0x0e}, {0x01, 0x80, 0xc2, 0, 0, 0x03}, {0x01, 0x80, 0xc2, 0, 0, 0}}

// Listen tells what comes in on an interface until ctx ends. A frame that is no
// LLDP is passed over.
func Listen(ctx context.Context, index int, heard func(Neighbour)) error {
	const proto = EtherType>>8 | EtherType&0xff<<8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return fmt.Errorf("listen for LLDP: %w", err)
	}
	f := os.NewFile(uintptr(fd), "lldp")
	defer f.Close()
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: index}); err != nil {
		return fmt.Errorf("listen for LLDP on interface %d: %w", index, err)
	}
	for _, g := range groups {
		m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6}
		copy(m.Address[:], g[:])
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("listen for LLDP on interface %d: %w", index, err)
		}
	}
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	b := make([]byte, 9000)
	for {
		n, err := f.Read(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENETDOWN): // the interface went down; it may come back
			continue
		case err != nil:
			return fmt.Errorf("listen for LLDP on interface %d: %w", index, err)
		}
		if neighbour, err := Parse(b[:n]); err == nil {
			heard(neighbour)
		}
	}
}
