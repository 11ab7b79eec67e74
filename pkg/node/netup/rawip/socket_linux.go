package rawip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxFrame is the largest packet that is read: a DHCP message fits one
// Ethernet frame of any size a NIC takes.
const maxFrame = 9216

// Socket carries DHCPv4 datagrams over one interface.
type Socket struct {
	name   string
	index  int
	packet *os.File // packet(7), SOCK_DGRAM: the kernel makes and strips Ethernet headers and VLAN tags
	buf    []byte
	oob    []byte
}

// filterDHCP lets unfragmented UDP to port 68 through: the rest of the traffic
// never wakes the process.
var filterDHCP = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoUDP, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipTrue: 4},
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ClientPort, SkipTrue: 1},
	bpf.RetConstant{Val: maxFrame},
	bpf.RetConstant{Val: 0},
}

// Listen opens a socket on the interface. It needs CAP_NET_RAW.
func Listen(name string, index int) (*Socket, error) {
	f, err := openPacket(index, unix.ETH_P_IP, filterDHCP)
	if err != nil {
		return nil, fmt.Errorf("open DHCP socket on %s: %w", name, err)
	}
	return &Socket{name: name, index: index, packet: f, buf: make([]byte, maxFrame), oob: make([]byte, 128)}, nil
}

// openPacket opens a packet socket that receives nothing before its filter is
// in place: protocol 0 until bind.
func openPacket(index int, protocol uint16, filter []bpf.Instruction) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket (CAP_NET_RAW and the module af_packet): %w", err)
	}
	if err := preparePacket(fd, index, protocol, filter); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packet"), nil
}

func preparePacket(fd, index int, protocol uint16, filter []bpf.Instruction) error {
	if len(filter) > 0 {
		raw, err := bpf.Assemble(filter)
		if err != nil {
			return fmt.Errorf("assemble socket filter: %w", err)
		}
		prog := make([]unix.SockFilter, len(raw))
		for i, r := range raw {
			prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
		}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}); err != nil {
			return fmt.Errorf("attach socket filter: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("ask for packet status: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: index}); err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	return nil
}

// Receive waits for the next datagram to the client port and returns its
// payload, which is valid until the next call. Packets that are no such
// datagram, and the error a link leaves behind when it goes down, are passed
// over. After Close it fails with os.ErrClosed.
func (s *Socket) Receive() ([]byte, error) {
	for {
		n, verified, err := receive(s.packet, s.buf, s.oob)
		if errors.Is(err, unix.ENETDOWN) {
			continue // set down: said once by the kernel, the socket lives on
		}
		if err != nil {
			return nil, fmt.Errorf("receive on %s: %w", s.name, err)
		}
		d, err := ParseUDP4(s.buf[:n], verified)
		if err == nil && d.DstPort == ClientPort && d.SrcPort == ServerPort {
			return d.Payload, nil
		}
	}
}

func receive(f *os.File, buf, oob []byte) (n int, verified bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var oobn int
	var inner error
	err = raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, inner = unix.Recvmsg(int(fd), buf, oob, 0)
		return inner != unix.EAGAIN && inner != unix.EINTR
	})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.Join(os.ErrClosed, err) // the only other cause; a raw connection does not say it this way
	}
	if err != nil {
		return 0, false, err
	}
	if inner != nil {
		return 0, false, inner
	}
	return n, checksumPending(oob[:oobn]), nil
}

// checksumPending tells from the tpacket_auxdata of a packet whether its
// transport checksum was left to hardware that it never passed.
func checksumPending(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0
		}
	}
	return false
}

// Send sends a DHCP message: by link-layer broadcast when dst is the limited
// broadcast address, else through the kernel's own routing and ARP, for which
// src must be configured on the interface.
func (s *Socket) Send(payload []byte, src, dst netip.Addr) error {
	if dst != Broadcast {
		return s.sendUnicast(payload, src, dst)
	}
	packet := AppendUDP4(nil, Datagram{Src: src, Dst: dst, SrcPort: ClientPort, DstPort: ServerPort, Payload: payload})
	to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: s.index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	if err := sendTo(s.packet, packet, to); err != nil {
		return fmt.Errorf("send on %s: %w", s.name, err)
	}
	return nil
}

// sendWait bounds a send on a NIC that stopped taking frames.
const sendWait = time.Second

func sendTo(f *os.File, packet []byte, to unix.Sockaddr) error {
	if err := f.SetWriteDeadline(time.Now().Add(sendWait)); err != nil {
		return err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Write(func(fd uintptr) bool {
		inner = unix.Sendto(int(fd), packet, 0, to)
		return inner != unix.EAGAIN && inner != unix.EINTR
	})
	return errors.Join(err, inner)
}

// sendUnicast sends from a UDP socket that stays a moment longer than it must:
// while it is there the kernel does not answer the server's reply with "port
// unreachable". The reply itself is read from the packet socket.
func (s *Socket) sendUnicast(payload []byte, src, dst netip.Addr) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var inner error
		err := c.Control(func(fd uintptr) {
			inner = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, s.index))
		})
		return errors.Join(err, inner)
	}}
	local := netip.AddrPortFrom(src, ClientPort)
	conn, err := config.ListenPacket(context.Background(), "udp4", local.String())
	if err != nil {
		return fmt.Errorf("open DHCP socket %s on %s: %w", local, s.name, err)
	}
	_, err = conn.WriteTo(payload, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, ServerPort)))
	time.AfterFunc(unicastLinger, func() { conn.Close() })
	if err != nil {
		return fmt.Errorf("send to %s on %s: %w", dst, s.name, err)
	}
	return nil
}

const unicastLinger = 5 * time.Second

// Close ends Receive.
func (s *Socket) Close() error { return s.packet.Close() }

// htons gives v as a kernel structure in network byte order holds it.
func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
