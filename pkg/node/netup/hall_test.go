package netup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
	"github.com/bee-os/bee/pkg/node/netup/dhcp6"
	"github.com/bee-os/bee/pkg/node/netup/lldp"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
	"github.com/bee-os/bee/pkg/node/netup/rtnl"
)

// These tests run the service against the kernel, in user and network
// namespaces of their own, on cables made of veth(4). What the kernel then has
// is read by another netlink library than ours. The DHCP server is a function;
// a real one is in the end-to-end tests.

// patience is far more than anything here takes.
const patience = 20 * time.Second

const namespaceEnv = "BEE_TEST_NAMESPACE"

// inNamespaces runs f in new user and network namespaces.
func inNamespaces(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(namespaceEnv) != "" {
		f(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=120s")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		impossible(t, err)
	case err != nil:
		t.Fatalf("in namespaces: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("in namespaces the test did not run:\n%s", out)
	}
}

func impossible(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
		t.Fatalf("NO NAMESPACES: %v", err)
	}
	t.Skipf("NO NAMESPACES, THE NETWORK SERVICE IS NOT TESTED HERE: %v", err)
}

// hall is a machine with its cables.
type hall struct {
	t    *testing.T
	root string
	stop context.CancelFunc
	done chan struct{}

	mu         sync.Mutex
	said       strings.Builder
	conditions map[string]bool
	status     string
	hostname   string
	seed       chan string                             // host names of a NoCloud seed; nil: nobody listens for one
	server     func(req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 // nil: nobody answers
	asked      []dhcpv4.MessageType
}

func newHall(t *testing.T) *hall {
	h := &hall{t: t, root: t.TempDir(), conditions: map[string]bool{}}
	for _, dir := range []string{"sys/class/net", "etc", "run"} {
		if err := os.MkdirAll(filepath.Join(h.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The kernel's switches of this network namespace.
	if err := os.Symlink("/proc", filepath.Join(h.root, "proc")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.end()
		if t.Failed() {
			t.Logf("the service said:\n%s", h.log())
		}
	})
	return h
}

// card puts in a card; the other end of its cable is peer(name), unplugged.
func (h *hall) card(name string, number byte) {
	h.t.Helper()
	// sysfs belongs to another namespace: what makes a card physical is faked.
	if err := os.MkdirAll(filepath.Join(h.root, "sys/class/net", name, "device"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, net.HardwareAddr{2, 0, 0, 0, 0, number}
	h.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer(name)}))
}

func peer(card string) string { return "peer-" + card }

func (h *hall) link(name string) netlink.Link {
	h.t.Helper()
	l, err := netlink.LinkByName(name)
	h.must(err)
	return l
}

func (h *hall) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) plug(name string)   { h.t.Helper(); h.must(netlink.LinkSetUp(h.link(peer(name)))) }
func (h *hall) unplug(name string) { h.t.Helper(); h.must(netlink.LinkSetDown(h.link(peer(name)))) }

// start runs the service with a kernel command line.
func (h *hall) start(cmdline string) {
	h.t.Helper()
	params, warnings := bootparam.Parse(cmdline)
	if len(warnings) > 0 {
		h.t.Fatal(warnings)
	}
	kernel, err := rtnl.Open()
	h.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	h.stop, h.done = cancel, make(chan struct{})
	var watchSeed func(context.Context, func(string)) error
	if h.seed != nil {
		watchSeed = func(ctx context.Context, named func(string)) error {
			for name := range h.seed {
				named(name)
			}
			return errors.New("nobody tells")
		}
	}
	go func() {
		defer close(h.done)
		defer kernel.Close()
		err := Run(ctx, Config{
			Params: params, Root: h.root, Kernel: kernel, Supervisor: h, Out: h,
			OpenDHCP4:   func(string, int) (dhcp4.Conn, error) { return &cable{h: h, in: make(chan []byte, 8)}, nil },
			OpenDHCP6:   func(string, int) (dhcp6.Conn, error) { return nil, errors.New("no DHCPv6 here") },
			Neighbours:  lldp.Listen,
			SetHostname: func(name string) error { h.with(func() { h.hostname = name }); return nil },
			WatchSeed:   watchSeed,
			Boottime:    boottime, MinLease: time.Second,
		})
		if err != nil {
			h.t.Errorf("the service gave up: %v", err)
		}
	}()
}

// end ends the service and leaves the network as it is.
func (h *hall) end() {
	if h.stop != nil {
		h.stop()
		<-h.done
		h.stop = nil
	}
}

func (h *hall) with(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// Write, Ready, Status and Condition are the world that the service speaks to.
func (h *hall) Write(b []byte) (int, error) {
	h.with(func() { h.said.Write(b) })
	return len(b), nil
}
func (h *hall) Ready()             {}
func (h *hall) Status(text string) { h.with(func() { h.status = text }) }
func (h *hall) Condition(name string, up bool) {
	h.with(func() { h.conditions[name] = up })
}

func (h *hall) log() (s string) {
	h.with(func() { s = h.said.String() })
	return s
}

func (h *hall) serve(f func(*dhcpv4.DHCPv4) *dhcpv4.DHCPv4) { h.with(func() { h.server = f }) }

func (h *hall) eventually(what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("never: %s\nstate: %+v", what, h.state())
		}
	}
}

// waitCondition waits until the supervisor was told so.
func (h *hall) waitCondition(name string, up bool) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("condition %s is %v", name, up), func() (ok bool) {
		h.with(func() { v, told := h.conditions[name]; ok = told && v == up })
		return ok
	})
}

// state is what the rest of the node sees.
func (h *hall) state() netstate.State {
	s, err := netstate.Read(os.DirFS(h.root))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Error(err)
	}
	return s
}

func (h *hall) nic(name string) (nic netstate.Interface) {
	list := h.state().Interfaces
	if i := slices.IndexFunc(list, func(n netstate.Interface) bool { return n.Name == name }); i >= 0 {
		return list[i]
	}
	return nic
}

func (h *hall) waitState(name, state string) {
	h.t.Helper()
	h.eventually(name+" is "+state, func() bool { return h.nic(name).State == state })
}

// addrs are the IPv4 addresses that the kernel has.
func (h *hall) addrs(name string) (out []string) {
	h.t.Helper()
	list, err := netlink.AddrList(h.link(name), netlink.FAMILY_V4)
	h.must(err)
	for _, a := range list {
		out = append(out, a.IPNet.String())
	}
	return out
}

func (h *hall) waitAddrs(name string, want ...string) {
	h.t.Helper()
	h.eventually(fmt.Sprintf("%s has %v", name, want), func() bool { return slices.Equal(h.addrs(name), want) })
}

// routes are the IPv4 routes of a card as "destination gateway metric protocol".
func (h *hall) routes(name string) (out []string) {
	h.t.Helper()
	list, err := netlink.RouteList(h.link(name), netlink.FAMILY_V4)
	h.must(err)
	for _, r := range list {
		out = append(out, fmt.Sprint(r.Dst, " ", r.Gw, " ", r.Priority, " ", r.Protocol))
	}
	slices.Sort(out)
	return out
}

func (h *hall) read(name string) string {
	b, err := os.ReadFile(filepath.Join(h.root, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Error(err)
	}
	return string(b)
}

// cable is a dhcp4.Conn to the hall's server.
type cable struct {
	h    *hall
	in   chan []byte
	once sync.Once
}

func (c *cable) Send(b []byte, _, _ netip.Addr) error {
	req, err := dhcpv4.FromBytes(b)
	if err != nil {
		return err
	}
	var server func(*dhcpv4.DHCPv4) *dhcpv4.DHCPv4
	c.h.with(func() { c.h.asked = append(c.h.asked, req.MessageType()); server = c.h.server })
	if server == nil {
		return nil
	}
	if answer := server(req); answer != nil {
		c.in <- answer.ToBytes()
	}
	return nil
}

func (c *cable) Receive() ([]byte, error) {
	b, ok := <-c.in
	if !ok {
		return nil, os.ErrClosed
	}
	return b, nil
}

func (c *cable) Close() error {
	c.once.Do(func() { close(c.in) })
	return nil
}

// server grants addr, of 192.0.2.0/24.
func server(addr string, more ...dhcpv4.Modifier) func(*dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	return func(req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		kind := dhcpv4.MessageTypeOffer
		if req.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
			if asked := req.RequestedIPAddress(); asked != nil && asked.String() != addr {
				return nak(req)
			}
		}
		mods := append([]dhcpv4.Modifier{
			dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.ParseIP(addr)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1))),
			dhcpv4.WithLeaseTime(3600), dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1)),
		}, more...)
		reply, err := dhcpv4.NewReplyFromRequest(req, mods...)
		if err != nil {
			panic(err)
		}
		return reply
	}
}

func nak(req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	reply, err := dhcpv4.NewReplyFromRequest(req, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1))))
	if err != nil {
		panic(err)
	}
	return reply
}

// everything is what a server may say beside the address.
func everything() []dhcpv4.Modifier {
	return []dhcpv4.Modifier{
		dhcpv4.WithDNS(net.IPv4(192, 0, 2, 53)), dhcpv4.WithDomainSearchList("hall.example"),
		dhcpv4.WithOption(dhcpv4.OptNTPServers(net.IPv4(192, 0, 2, 123))), dhcpv4.WithOption(dhcpv4.OptHostName("node7")),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionInterfaceMTU, []byte{5, 120})), // 1400
		dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(
			&dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, Router: net.IPv4(192, 0, 2, 1)},
			&dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4(198, 51, 100, 0), Mask: net.CIDRMask(24, 32)}, Router: net.IPv4(192, 0, 2, 9)},
		)),
	}
}
