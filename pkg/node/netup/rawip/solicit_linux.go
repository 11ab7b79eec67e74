package rawip

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SolicitRouters asks the routers on the link to advertise themselves now (RFC
// 4861 section 4.1). The kernel does so when it brings an interface up; who
// starts later and wants to hear what they say about DNS asks again.
func SolicitRouters(index int) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if err != nil {
		return fmt.Errorf("solicit routers: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return fmt.Errorf("solicit routers: %w", err)
	}
	to := &unix.SockaddrInet6{ZoneId: uint32(index), Addr: [16]byte{0: 0xff, 1: 2, 15: 2}} // ff02::2
	if err := unix.Sendto(fd, []byte{133, 0, 0, 0, 0, 0, 0, 0}, 0, to); err != nil {       // the kernel fills in the checksum
		return fmt.Errorf("solicit routers: %w", err)
	}
	return nil
}
