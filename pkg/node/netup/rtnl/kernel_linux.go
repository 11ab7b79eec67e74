package rtnl

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// groups are the notices that are listened to.
var groups = []uint{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_IFINFO, unix.RTNLGRP_ND_USEROPT,
}

// receiveBuffer in bytes holds the notices of a few hundred links at once.
const receiveBuffer = 1 << 20

// Kernel is the kernel of the machine, in this network namespace.
type Kernel struct{ notices *nl.NetlinkSocket }

// Open begins to listen: what happens from now on comes out of Next.
func Open() (*Kernel, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("listen to network changes: %w", err)
	}
	// Without CAP_NET_ADMIN the size stays; then an overrun is seen and healed.
	_ = s.SetReceiveBufferSize(receiveBuffer, true)
	return &Kernel{notices: s}, nil
}

// Close ends Next.
func (k *Kernel) Close() { k.notices.Close() }

// Next waits for events. After Close it fails.
func (k *Kernel) Next() ([]Event, error) {
	messages, from, err := k.notices.Receive()
	switch {
	case errors.Is(err, unix.ENOBUFS):
		return []Event{Overrun{}}, nil
	case errors.Is(err, unix.EINTR):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("receive network changes: %w", err)
	case from.Pid != 0:
		return nil, nil // not from the kernel
	}
	var events []Event
	var errs []error
	for _, m := range messages {
		e, err := parseEvent(m)
		if err != nil {
			errs = append(errs, err)
		} else if e != nil {
			events = append(events, e)
		}
	}
	return events, errors.Join(errs...)
}

// Links lists every interface.
func (k *Kernel) Links() ([]Link, error) {
	messages, err := dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var list []Link
	for _, m := range messages {
		l, err := parseLink(m)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// Addrs lists every address.
func (k *Kernel) Addrs() ([]Addr, error) {
	messages, err := dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []Addr
	for _, m := range messages {
		a, err := parseAddr(m)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// Routes lists the routes of the main table that this service, an operator or
// a router advertisement made.
func (k *Kernel) Routes() ([]Route, error) {
	var list []Route
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}
		messages, err := dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, msg)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, m := range messages {
			r, ok, err := parseRoute(m)
			if err != nil {
				return nil, err
			}
			if ok {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// dump asks for a whole table. One that changed meanwhile is taken as it is:
// what changed comes as an event.
func dump(request int, answer uint16, msg nl.NetlinkRequestData) ([][]byte, error) {
	req := nl.NewNetlinkRequest(request, unix.NLM_F_DUMP)
	req.AddData(msg)
	messages, err := req.Execute(unix.NETLINK_ROUTE, answer)
	if errors.Is(err, nl.ErrDumpInterrupted) {
		err = nil
	}
	return messages, err
}

// SetUp brings an interface up administratively. Some drivers take seconds.
func (k *Kernel) SetUp(index int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index, msg.Change, msg.Flags = int32(index), unix.IFF_UP, unix.IFF_UP
	req.AddData(msg)
	return execute(req, "bring up interface %d", index)
}

// SetMTU sets the MTU of an interface in bytes.
func (k *Kernel) SetMTU(index, mtu int) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	return execute(req, "set MTU of interface %d to %d", index, mtu)
}

// AddVLAN makes a tagged interface (IEEE 802.1Q) on top of parent; one that is
// there already is left as it is.
func (k *Kernel) AddVLAN(parent int, name string, id int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(parent))))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("vlan"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_VLAN_ID, nl.Uint16Attr(uint16(id)))
	req.AddData(info)
	err := execute(req, "make VLAN interface %s (is the module 8021q in the image?)", name)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// ReplaceAddr sets an address, or the lifetimes and metric of one that is set.
func (k *Kernel) ReplaceAddr(a Addr) error {
	return execute(addrRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK, a), "set address %s", a.Prefix)
}

// DeleteAddr takes an address off; one that is not there is no error.
func (k *Kernel) DeleteAddr(a Addr) error {
	err := execute(addrRequest(unix.RTM_DELADDR, unix.NLM_F_ACK, a), "remove address %s", a.Prefix)
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

func addrRequest(kind, flags int, a Addr) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	addr := a.Prefix.Addr()
	msg := nl.NewIfAddrmsg(family(addr))
	msg.Index, msg.Prefixlen = uint32(a.Index), uint8(a.Prefix.Bits())
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
	if kind == unix.RTM_DELADDR {
		return req
	}
	if addr.Is4() && a.Prefix.Bits() < 31 { // RFC 3021: no broadcast on point-to-point links
		b := addr.As4()
		for i := a.Prefix.Bits(); i < 32; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, b[:]))
	}
	preferred := a.Preferred
	if preferred == 0 {
		preferred = a.Valid
	}
	life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Prefered: seconds(preferred), Valid: seconds(a.Valid)}}
	req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
	if a.Metric != 0 {
		req.AddData(nl.NewRtAttr(unix.IFA_RT_PRIORITY, nl.Uint32Attr(uint32(a.Metric))))
	}
	return req
}

// seconds rounds up: an address outlives its owner's own timer, never the
// other way round.
func seconds(d time.Duration) uint32 {
	if d == 0 || d >= math.MaxUint32*time.Second {
		return math.MaxUint32 // INFINITY_LIFE_TIME
	}
	return uint32((d + time.Second - 1) / time.Second)
}

// ReplaceRoute sets a route in place of one with the same destination and metric.
func (k *Kernel) ReplaceRoute(r Route) error {
	return execute(routeRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK, r), "set route to %s", r.Destination)
}

// DeleteRoute takes a route away; one that is not there is no error.
func (k *Kernel) DeleteRoute(r Route) error {
	err := execute(routeRequest(unix.RTM_DELROUTE, unix.NLM_F_ACK, r), "remove route to %s", r.Destination)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func routeRequest(kind, flags int, r Route) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	msg := nl.NewRtMsg()
	msg.Family, msg.Dst_len, msg.Protocol = uint8(family(r.Destination.Addr())), uint8(r.Destination.Bits()), unix.RTPROT_DHCP
	if r.Static {
		msg.Protocol = unix.RTPROT_STATIC
	}
	if !r.Gateway.IsValid() {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	if r.OnLink {
		msg.Flags = unix.RTNH_F_ONLINK
	}
	req.AddData(msg)
	if r.Destination.Bits() > 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_DST, r.Destination.Addr().AsSlice()))
	}
	if r.Gateway.IsValid() {
		req.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, r.Gateway.AsSlice()))
	}
	if r.Source.IsValid() {
		req.AddData(nl.NewRtAttr(unix.RTA_PREFSRC, r.Source.AsSlice()))
	}
	req.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(r.Index))))
	req.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(r.Metric))))
	if r.MTU != 0 && kind == unix.RTM_NEWROUTE {
		metrics := nl.NewRtAttr(unix.RTA_METRICS, nil)
		metrics.AddRtAttr(unix.RTAX_MTU, nl.Uint32Attr(uint32(r.MTU)))
		req.AddData(metrics)
	}
	return req
}

func execute(req *nl.NetlinkRequest, format string, args ...any) error {
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	return nil
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
