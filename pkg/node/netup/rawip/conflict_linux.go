package rawip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Address conflict detection after RFC 5227, with one difference: the address
// is in use from the first moment on and probed beside that, so that a machine
// is never a second later on the network for it.
const (
	probes        = 3
	probeInterval = 300 * time.Millisecond
	probeWait     = 1200 * time.Millisecond
)

// Conflict asks the link whether somebody else uses addr, for about a second,
// and returns the hardware address of who does, else nil; then it announces
// addr, so that neighbours who knew another machine under it learn better. It
// returns early when ctx ends.
func Conflict(ctx context.Context, index int, mac net.HardwareAddr, addr netip.Addr) (net.HardwareAddr, error) {
	f, err := openPacket(index, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, fmt.Errorf("probe for %s: %w", addr, err)
	}
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()

	zero := make(net.HardwareAddr, 6)
	to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ARP), Ifindex: index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	probe := appendARP(nil, arp{Operation: 1, SenderMAC: mac, SenderIP: netip.IPv4Unspecified(), TargetMAC: zero, TargetIP: addr})
	start := time.Now()
	buf, oob := make([]byte, 256), make([]byte, 128)
	for i := range probes {
		if err := sendTo(f, probe, to); err != nil {
			return nil, fmt.Errorf("probe for %s: %w", addr, err)
		}
		until := start.Add(time.Duration(i+1) * probeInterval)
		if i == probes-1 {
			until = start.Add(probeWait)
		}
		owner, err := awaitOwner(f, buf, oob, until, mac, addr)
		if owner != nil || err != nil {
			return owner, err
		}
	}
	announce := appendARP(nil, arp{Operation: 1, SenderMAC: mac, SenderIP: addr, TargetMAC: zero, TargetIP: addr})
	if err := sendTo(f, announce, to); err != nil {
		return nil, fmt.Errorf("announce %s: %w", addr, err)
	}
	return nil, nil
}

func awaitOwner(f *os.File, buf, oob []byte, until time.Time, mac net.HardwareAddr, addr netip.Addr) (net.HardwareAddr, error) {
	if err := f.SetReadDeadline(until); err != nil {
		return nil, fmt.Errorf("probe for %s: %w", addr, err)
	}
	for {
		n, _, err := receive(f, buf, oob)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, nil
		case errors.Is(err, unix.ENETDOWN):
			continue
		case err != nil:
			return nil, fmt.Errorf("probe for %s: %w", addr, err)
		}
		if a, err := parseARP(buf[:n]); err == nil && claims(a, mac, addr) {
			return a.SenderMAC, nil
		}
	}
}

// claims says that a comes from somebody else who uses addr. Probes of others
// (sender address 0.0.0.0) do not count: switches that track devices send them
// for every address they see.
func claims(a arp, mac net.HardwareAddr, addr netip.Addr) bool {
	return a.SenderIP == addr && !bytes.Equal(a.SenderMAC, mac)
}
