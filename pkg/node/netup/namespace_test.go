package netup

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"
)

func TestLeaseReachesTheKernelAndTheNode(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		h := newHall(t)
		h.card("eth0", 1)
		h.serve(server("192.0.2.7", everything()...))
		h.start("")

		// No cable: the machine has a name, no condition holds.
		h.waitState("eth0", "no carrier")
		h.waitCondition("carrier", false)
		h.waitCondition("route", false)
		if st := h.state(); st.Hostname != "bee-020000000001" || st.HostnameSource != fromMAC {
			t.Errorf("host name %q (%s)", st.Hostname, st.HostnameSource)
		}
		if got := h.read("proc/sys/net/ipv6/conf/eth0/accept_ra"); got != "2\n" {
			t.Errorf("accept_ra is %q", got)
		}

		h.plug("eth0")
		h.waitState("eth0", "bound")
		h.waitAddrs("eth0", "192.0.2.7/24")
		h.waitCondition("carrier", true)
		h.waitCondition("route", true)
		want := []string{"0.0.0.0/0 192.0.2.1 100 dhcp", "192.0.2.0/24 <nil> 100 kernel", "198.51.100.0/24 192.0.2.9 100 dhcp"}
		if got := h.routes("eth0"); !slices.Equal(got, want) {
			t.Errorf("routes %q, want %q", got, want)
		}
		if mtu := h.link("eth0").Attrs().MTU; mtu != 1400 {
			t.Errorf("MTU %d", mtu)
		}
		list, err := netlink.AddrList(h.link("eth0"), netlink.FAMILY_V4)
		h.must(err)
		if v := list[0].ValidLft; v < 3500 || v > 3603 {
			t.Errorf("the address lives %d s without its owner", v)
		}
		if conf := h.read(resolvPath); !strings.Contains(conf, "\nnameserver 192.0.2.53\n") || !strings.Contains(conf, "\nsearch hall.example\n") {
			t.Errorf("resolv.conf:\n%s", conf)
		}
		st := h.state()
		if st.Hostname != "node7" || st.HostnameSource != fromDHCP || h.read(hostnamePath) != "node7\n" || !slices.Equal(st.NTP, []string{"192.0.2.123"}) {
			t.Errorf("%+v", st)
		}
		h.with(func() {
			if h.hostname != "node7" || !strings.Contains(h.status, "eth0 192.0.2.7/24 by DHCP from 192.0.2.1") {
				t.Errorf("host name %q, status %q", h.hostname, h.status)
			}
		})

		// The cable is pulled: the address stays, nobody is told of a way out.
		h.unplug("eth0")
		h.waitState("eth0", "no carrier")
		h.waitCondition("carrier", false)
		h.waitCondition("route", false)
		h.waitAddrs("eth0", "192.0.2.7/24")

		// It is plugged into a network where the address is refused.
		h.serve(server("192.0.2.8"))
		h.plug("eth0")
		h.waitAddrs("eth0", "192.0.2.8/24")
		h.waitCondition("route", true)
		h.eventually("the old lease is gone to the last route", func() bool {
			return slices.Equal(h.routes("eth0"), []string{"0.0.0.0/0 192.0.2.1 100 dhcp", "192.0.2.0/24 <nil> 100 kernel"}) &&
				h.link("eth0").Attrs().MTU == 1500
		})
		// What it says follows what it did.
		h.eventually("the change of address is told", func() bool {
			log := h.log()
			return strings.Contains(log, "lost 192.0.2.7/24") && strings.Contains(log, "bound 192.0.2.8/24")
		})

		// The card is taken out.
		h.must(netlink.LinkDel(h.link("eth0")))
		h.eventually("it is gone", func() bool { return len(h.state().Interfaces) == 0 })
		h.waitCondition("carrier", false)
	})
}

// A service that was killed takes its lease up again, without a DISCOVER and
// without taking the address off.
func TestRestartResumesTheLease(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		h := newHall(t)
		h.card("eth0", 1)
		h.plug("eth0")
		h.serve(server("192.0.2.7"))
		h.start("")
		h.waitState("eth0", "bound")
		h.end()
		h.waitAddrs("eth0", "192.0.2.7/24")

		h.with(func() { h.asked = nil })
		updates := make(chan netlink.AddrUpdate, 16)
		done := make(chan struct{})
		defer close(done)
		h.must(netlink.AddrSubscribe(updates, done))
		h.start("")
		h.eventually("it is resumed", func() bool { return strings.Contains(h.log(), "resumed 192.0.2.7/24") })
		h.waitState("eth0", "bound")
		h.with(func() {
			if slices.Contains(h.asked, dhcpv4.MessageTypeDiscover) {
				t.Errorf("asked %v", h.asked)
			}
		})
		for len(updates) > 0 {
			if u := <-updates; !u.NewAddr {
				t.Errorf("%s was taken off", u.LinkAddress.String())
			}
		}

		// Where the server changed its mind meanwhile, the old address goes.
		h.end()
		h.serve(server("192.0.2.8"))
		h.start("")
		h.waitAddrs("eth0", "192.0.2.8/24")
	})
}

// Addresses by hand without a name are for the first card with carrier; the
// other asks a server.
func TestAddressByHandGoesToTheCardWithCarrier(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		h := newHall(t)
		h.card("eth0", 1)
		h.card("eth1", 2)
		h.plug("eth1")
		h.serve(server("192.0.2.7"))
		h.start("bee.ip=203.0.113.5/24,203.0.113.1,203.0.113.53 bee.hostname=fixed")
		h.waitState("eth1", "static")
		h.waitAddrs("eth1", "203.0.113.5/24")
		h.waitCondition("route", true)
		if conf := h.read(resolvPath); !strings.Contains(conf, "nameserver 203.0.113.53") {
			t.Errorf("resolv.conf:\n%s", conf)
		}
		h.plug("eth0")
		h.waitState("eth0", "bound")
		h.waitAddrs("eth0", "192.0.2.7/24")
		h.waitAddrs("eth1", "203.0.113.5/24")
		// eth0 has the better place, so its way out is preferred, and both remain.
		if a, b := h.routes("eth0"), h.routes("eth1"); !slices.Contains(a, "0.0.0.0/0 192.0.2.1 100 dhcp") || !slices.Contains(b, "0.0.0.0/0 203.0.113.1 110 static") {
			t.Errorf("routes %q and %q", a, b)
		}
		if st := h.state(); st.Hostname != "fixed" || st.HostnameSource != fromParameter {
			t.Errorf("host name %q (%s)", st.Hostname, st.HostnameSource)
		}
	})
}

// The name of a NoCloud seed is stronger than that of DHCP, whichever came first,
// and weaker than the parameter.
func TestHostnameOfASeed(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		for _, c := range []struct{ params, name, source string }{
			{"", "web1", fromSeed}, {"bee.hostname=fixed", "fixed", fromParameter},
		} {
			h := newHall(t)
			h.seed = make(chan string)
			if c.params == "" {
				h.card("eth0", 1)
			} else { // the card of before
				h.must(os.MkdirAll(filepath.Join(h.root, "sys/class/net/eth0/device"), 0o755))
			}
			h.plug("eth0")
			h.serve(server("192.0.2.7")) // it offers node7
			h.start(c.params)
			h.waitState("eth0", "bound")
			h.seed <- "web1"
			close(h.seed)
			h.eventually("the service heard of the seed", func() bool { return strings.Contains(h.log(), "nobody tells") })
			h.eventually(c.source+" names the machine", func() bool { st := h.state(); return st.Hostname == c.name && st.HostnameSource == c.source })
			h.unplug("eth0") // another lease names it again
			h.waitState("eth0", "no carrier")
			h.plug("eth0")
			h.waitState("eth0", "bound")
			if st := h.state(); st.Hostname != c.name || h.read(hostnamePath) != c.name+"\n" {
				t.Errorf("%q: host name %q after another lease", c.params, st.Hostname)
			}
			h.end()
		}
	})
}

// A card that comes while the service runs is served; one without hardware
// behind it, as the peers here, and one that bee.nic leaves out are left alone.
func TestCardsThatComeLater(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		h := newHall(t)
		h.serve(server("192.0.2.7"))
		h.start("bee.nic=02:00:00:00:00:03")
		h.waitCondition("carrier", false)
		for i, name := range []string{"eth1", "eth2", "eth3"} {
			h.card(name, byte(i+1))
			h.plug(name)
		}
		h.waitState("eth3", "bound")
		h.waitAddrs("eth3", "192.0.2.7/24")
		for _, name := range []string{"eth1", "eth2"} {
			if n := h.nic(name); n.State != "off" || h.link(name).Attrs().Flags&net.FlagUp != 0 {
				t.Errorf("%s: %+v, flags %s", name, n, h.link(name).Attrs().Flags)
			}
		}
		if n := h.nic(peer("eth3")); n.Name != "" {
			t.Errorf("looks after %+v", n)
		}
	})
}

// A file that cannot be written is told once, holds nothing else up, and is
// written when it can be.
func TestStateThatCannotBeWritten(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		h := newHall(t)
		h.card("eth0", 1)
		h.plug("eth0")
		h.serve(server("192.0.2.7", everything()...))
		h.must(os.WriteFile(filepath.Join(h.root, "run/bee"), nil, 0o600)) // no directory
		h.start("")
		h.waitAddrs("eth0", "192.0.2.7/24")
		h.waitCondition("route", true)
		if n := strings.Count(h.log(), "write "+resolvPath); n != 1 {
			t.Errorf("told %d times", n)
		}
		h.must(os.Remove(filepath.Join(h.root, "run/bee")))
		h.waitState("eth0", "bound")
		h.eventually("resolv.conf is there", func() bool { return strings.Contains(h.read(resolvPath), "192.0.2.53") })
	})
}
