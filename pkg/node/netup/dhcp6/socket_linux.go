package dhcp6

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Ports and group of RFC 8415 section 7.
const (
	clientPort = 546
	serverPort = 547
	maxMessage = 9216
)

// allServers is All_DHCP_Relay_Agents_and_Servers.
var allServers = netip.MustParseAddr("ff02::1:2")

// Socket carries DHCPv6 messages over one interface.
type Socket struct {
	conn  *net.UDPConn
	index int
	buf   []byte
}

// Listen opens a socket on the interface. It needs CAP_NET_BIND_SERVICE.
func Listen(name string, index int) (*Socket, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		err := c.Control(func(fd uintptr) {
			inner = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index))
		})
		return errors.Join(err, inner)
	}}
	conn, err := config.ListenPacket(context.Background(), "udp6", net.JoinHostPort("::", strconv.Itoa(clientPort)))
	if err != nil {
		return nil, fmt.Errorf("open DHCPv6 socket on %s: %w", name, err)
	}
	return &Socket{conn: conn.(*net.UDPConn), index: index, buf: make([]byte, maxMessage)}, nil
}

// Send sends to every server and relay on the link. The kernel chooses the
// link-local source address that section 13.1 demands, by the scope of the
// destination (RFC 6724).
func (s *Socket) Send(b []byte) error {
	to := netip.AddrPortFrom(allServers.WithZone(strconv.Itoa(s.index)), serverPort)
	if _, err := s.conn.WriteToUDPAddrPort(b, to); err != nil {
		return fmt.Errorf("send to DHCPv6 servers: %w", err)
	}
	return nil
}

// Receive waits for the next message. Its bytes are valid until the next call.
func (s *Socket) Receive() ([]byte, error) {
	n, _, err := s.conn.ReadFromUDPAddrPort(s.buf)
	if err != nil {
		return nil, fmt.Errorf("receive DHCPv6 message: %w", err)
	}
	return s.buf[:n], nil
}

// Close ends Receive.
func (s *Socket) Close() error { return s.conn.Close() }
