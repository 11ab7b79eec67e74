package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
)

// inside says, in the environment, that the test runs in its own network
// namespace.
const inside = "BEE_E2E_NETNS"

// tap is the interface of the namespace that the machine's card is plugged
// into.
const tap = "tap0"

// linkLocal is the machine's address by its MAC address (RFC 4291, appendix A).
const linkLocal = "fe80::5054:ff:febe:e001"

// TestDHCP has one machine and one real dnsmasq in a network namespace: no
// server at first, one that comes after 20 s, one that goes away, one that
// returns with other addresses and speaks IPv6.
func TestDHCP(t *testing.T) {
	skip(t)
	if os.Getenv(inside) == "" {
		if _, err := shared(); err != nil { // so that the other process finds all in the cache
			t.Fatal(err)
		}
		reexec(t)
		return
	}
	makeTap(t)
	m := boot(t, options{nics: []vm.NIC{{MAC: mac, Tap: tap}}})
	m.wait(sshdReady)
	print := m.wait(fingerprintLine).Groups[0]
	began := time.Now()

	// Nobody hands out addresses: SSH answers on the link-local one.
	l := &link{machine: m, fingerprint: print}
	l.trust(linkLocal + "%" + tap)
	// sshd is there before the network has told its state for the first time.
	if out := l.run(linkLocal+"%"+tap, "n=0; until test -e /run/bee/net.json || test $n = 10; do n=$((n+1)); sleep 1; done; cat /run/bee/net.json"); !strings.Contains(out, `"carrier": true`) || strings.Contains(out, "192.0.2.") {
		t.Errorf("without a server:\n%s", out)
	}
	l.run(linkLocal+"%"+tap, "smoketest >/dev/null; audit >/dev/null; true")

	// A server that comes late.
	if rest := 20*time.Second - time.Since(began); rest > 0 {
		time.Sleep(rest) // the wait is the test
	}
	first := l.serve("192.0.2.100")
	l.reach("192.0.2.100")
	if out := l.run("192.0.2.100", "cat /etc/resolv.conf; hostname; cat /run/bee/net.json"); !strings.Contains(out, "192.0.2.53") || !strings.Contains(out, "named-by-dhcp") || !strings.Contains(out, "192.0.2.123") {
		t.Errorf("what the server said besides the address:\n%s", out)
	}
	if out := l.run("192.0.2.100", "ip route"); !strings.Contains(out, "198.51.100.0/24") || !strings.Contains(out, "0.0.0.0/0 dev eth0") {
		t.Errorf("routes (option 121):\n%s", out)
	}

	// It goes away and the cable is pulled: the machine asks and goes on.
	first()
	for _, up := range []bool{false, true} {
		if err := m.process.QMP.SetLink(m.ctx, 0, up); err != nil {
			t.Fatal(err)
		}
		l.until("the cable is seen", func() (string, bool) {
			got, err := carrier()
			return fmt.Sprint(got, err), err == nil
		})
		time.Sleep(2 * time.Second)
	}
	l.reach(linkLocal + "%" + tap)

	// One returns that knows nothing of the lease: it says NAK, and the machine
	// takes another address.
	l.serve("192.0.2.200", "--enable-ra", "--dhcp-range=2001:db8::200,2001:db8::200,slaac,64,2m", "--dhcp-option=option6:dns-server,[2001:db8::53]")
	l.reach("192.0.2.200")
	if out := l.run("192.0.2.200", "cat /run/bee/net.json; cat /proc/1/comm"); strings.Contains(out, "192.0.2.100") || !strings.Contains(out, "init") {
		t.Errorf("after the NAK:\n%s", out)
	}

	// The same server advertises a prefix and hands out IPv6 addresses.
	for _, addr := range []string{"2001:db8::200", "2001:db8::5054:ff:febe:e001"} {
		l.reach(addr)
	}
	if out := l.run("2001:db8::200", "cat /etc/resolv.conf; ip -6 route"); !strings.Contains(out, "nameserver 2001:db8::53") || !strings.Contains(out, "fe80::") {
		t.Errorf("by router advertisement and DHCPv6:\n%s", out)
	}
}

// reexec runs the test again in a network namespace of its own; without root,
// in a user namespace too.
func reexec(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a network namespace: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a network namespace the test did not run:\n%s", out)
	}
}

// makeTap makes the interface and gives it the server's address.
func makeTap(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("make a tap interface: %v; the host must offer /dev/net/tun", err)
	}
	defer f.Close()
	req, err := unix.NewIfreq(tap)
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, req); err != nil {
		t.Fatalf("make a tap interface: %v", err)
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 1); err != nil {
		t.Fatalf("keep the tap interface: %v", err)
	}
	for _, step := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", "192.0.2.1/24", "dev", tap}, {"addr", "add", "2001:db8::1/64", "dev", tap, "nodad"}, {"link", "set", tap, "up"}} {
		b, err := shared()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.sandbox.Run(t.Context(), sandbox.Step{Args: append([]string{"ip"}, step...), Network: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// carrier asks the kernel whether somebody holds the tap's other end.
func carrier() (string, error) {
	i, err := net.InterfaceByName(tap)
	if err != nil {
		return "", err
	}
	return i.Flags.String(), nil
}

// link is a machine that is reached by its own addresses.
type link struct {
	*machine
	fingerprint string
	served      []sandbox.Bind // what dnsmasq sees
}

// trust takes the machine's host key, by its fingerprint, for any address.
func (l *link) trust(addr string) {
	l.t.Helper()
	keys := l.until("the host key comes", func() (string, bool) {
		out, err := l.tool("ssh-keyscan", "-q", "-T", "5", "-t", "ed25519", addr)
		return out, err == nil && strings.Contains(out, "ssh-ed25519")
	})
	_, key, _ := strings.Cut(keys, " ")
	if err := os.WriteFile(filepath.Join(l.client.Dir, "known_hosts"), []byte("* "+key), 0o600); err != nil {
		l.t.Fatal(err)
	}
	out, err := l.tool("ssh-keygen", "-l", "-f", "/ssh/known_hosts")
	if err != nil || !strings.Contains(out, l.fingerprint) {
		l.t.Fatalf("the host key is %q, the console said %s (%v)", out, l.fingerprint, err)
	}
}

// try runs a command at an address.
func (l *link) try(addr, command string) (string, error) {
	args := append([]string{"ssh"}, ssh.Options("/ssh")...)
	return l.tool(append(args, "-o", "ConnectTimeout=3", "root@"+addr, command)...)
}

func (l *link) run(addr, command string) string {
	l.t.Helper()
	out, err := l.try(addr, command)
	if err != nil {
		l.t.Fatalf("%s at %s: %v: %s", command, addr, err, out)
	}
	return out
}

func (l *link) reach(addr string) {
	l.t.Helper()
	l.until(addr+" answers", func() (string, bool) {
		out, err := l.try(addr, "true")
		return out + fmt.Sprint(err), err == nil
	})
}

// serve starts dnsmasq for one address, and for IPv6 with the arguments in
// more; the result ends it.
func (l *link) serve(addr string, more ...string) (stop func()) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.ctx)
	var said sandbox.Tail
	dir := l.t.TempDir()
	cmd, err := l.lab.sandbox.Command(ctx, sandbox.Step{
		Args: append([]string{"dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--group=root", "--port=0", "--interface=" + tap, "--bind-interfaces",
			"--dhcp-authoritative", "--no-ping", "--dhcp-leasefile=/state/leases", "--pid-file=", "--log-dhcp",
			"--dhcp-range=" + addr + "," + addr + ",255.255.255.0,2m", "--dhcp-host=" + mac + ",named-by-dhcp", "--dhcp-option=option:router,192.0.2.1",
			"--dhcp-option=option:dns-server,192.0.2.53", "--dhcp-option=option:ntp-server,192.0.2.123",
			"--dhcp-option=option:classless-static-route,198.51.100.0/24,192.0.2.9,0.0.0.0/0,192.0.2.1", "--dhcp-option=option:mtu,1400"}, more...),
		Ro: l.served, Rw: []sandbox.Bind{{Host: dir, Path: "/state"}}, Network: true, Stdout: &said, Stderr: &said,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			l.t.Errorf("dnsmasq: %v\n%s", err, said.String())
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	l.t.Cleanup(stop)
	return stop
}
