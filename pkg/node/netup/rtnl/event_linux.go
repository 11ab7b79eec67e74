package rtnl

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Flags of an IPv6 interface, include/net/if_inet6.h.
const (
	ifRAManaged   = 0x80
	ifRAOtherConf = 0x40
)

// parseEvent reads one rtnetlink message; nil: nothing of interest.
func parseEvent(m syscall.NetlinkMessage) (Event, error) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return parseLinkEvent(m)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, err := parseAddr(m.Data)
		if err != nil {
			return nil, err
		}
		if m.Header.Type == unix.RTM_DELADDR {
			return AddrGone{a}, nil
		}
		return AddrChanged{a}, nil
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return RoutesChanged{}, nil
	case unix.RTM_NEWNDUSEROPT:
		return parseUserOption(m.Data)
	}
	return nil, nil
}

func parseLinkEvent(m syscall.NetlinkMessage) (Event, error) {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return nil, fmt.Errorf("parse link message: %d bytes are too few", len(m.Data))
	}
	info := nl.DeserializeIfInfomsg(m.Data)
	switch {
	case info.Family == unix.AF_INET6 && m.Header.Type == unix.RTM_NEWLINK:
		flags, ok, err := parseInet6(m.Data)
		if !ok || err != nil {
			return nil, err
		}
		return RAChanged{int(info.Index), flags}, nil
	case info.Family != unix.AF_UNSPEC:
		return nil, nil // a bridge speaks of its ports
	case m.Header.Type == unix.RTM_DELLINK:
		return LinkGone{int(info.Index)}, nil
	}
	l, err := parseLink(m.Data)
	return LinkChanged{l}, err
}

func parseLink(b []byte) (Link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, fmt.Errorf("parse link message: %d bytes are too few", len(b))
	}
	info := nl.DeserializeIfInfomsg(b)
	l := Link{
		Index:    int(info.Index),
		Ethernet: info.Type == unix.ARPHRD_ETHER,
		Loopback: info.Flags&unix.IFF_LOOPBACK != 0,
		Up:       info.Flags&unix.IFF_UP != 0,
		// Not IFF_RUNNING: that waits for the kernel's link watch, up to a
		// second behind the wire (net/core/link_watch.c).
		Carrier: info.Flags&unix.IFF_UP != 0 && info.Flags&unix.IFF_LOWER_UP != 0,
	}
	attrs, err := parseAttrs(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return l, fmt.Errorf("parse link message of interface %d: %w", l.Index, err)
	}
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(a.Value)
		case unix.IFLA_ADDRESS:
			l.MAC = net.HardwareAddr(append([]byte(nil), a.Value...))
		case unix.IFLA_MTU:
			l.MTU = int(number(a.Value))
		case unix.IFLA_MASTER:
			l.Master = int(number(a.Value))
		case unix.IFLA_LINK:
			l.Parent = int(number(a.Value))
		case unix.IFLA_LINKINFO:
			l.Kind = parseKind(a.Value)
		case unix.IFLA_AF_SPEC:
			l.RA, l.HasRA = parseAFSpec(a.Value)
		}
	}
	return l, nil
}

func parseKind(b []byte) string {
	attrs, err := parseAttrs(b)
	if err != nil {
		return ""
	}
	for _, a := range attrs {
		if a.Attr.Type == nl.IFLA_INFO_KIND {
			return unix.ByteSliceToString(a.Value)
		}
	}
	return ""
}

// parseAFSpec looks for AF_INET6 → IFLA_INET6_FLAGS.
func parseAFSpec(b []byte) (RAFlags, bool) {
	families, err := parseAttrs(b)
	if err != nil {
		return RAFlags{}, false
	}
	for _, f := range families {
		if f.Attr.Type&^unix.NLA_F_NESTED == unix.AF_INET6 {
			return inet6Flags(f.Value)
		}
	}
	return RAFlags{}, false
}

// parseInet6 reads a message of the group RTNLGRP_IPV6_IFINFO.
func parseInet6(b []byte) (RAFlags, bool, error) {
	attrs, err := parseAttrs(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return RAFlags{}, false, fmt.Errorf("parse IPv6 link message: %w", err)
	}
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED == unix.IFLA_PROTINFO {
			f, ok := inet6Flags(a.Value)
			return f, ok, nil
		}
	}
	return RAFlags{}, false, nil
}

func inet6Flags(b []byte) (RAFlags, bool) {
	attrs, err := parseAttrs(b)
	if err != nil {
		return RAFlags{}, false
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_INET6_FLAGS {
			v := number(a.Value)
			return RAFlags{Managed: v&ifRAManaged != 0, Other: v&ifRAOtherConf != 0}, true
		}
	}
	return RAFlags{}, false
}

func parseAddr(b []byte) (Addr, error) {
	if len(b) < unix.SizeofIfAddrmsg {
		return Addr{}, fmt.Errorf("parse address message: %d bytes are too few", len(b))
	}
	info := nl.DeserializeIfAddrmsg(b)
	a := Addr{Index: int(info.Index)}
	attrs, err := parseAttrs(b[unix.SizeofIfAddrmsg:])
	if err != nil {
		return a, fmt.Errorf("parse address message of interface %d: %w", a.Index, err)
	}
	flags := uint32(info.Flags)
	var local, address netip.Addr
	for _, attr := range attrs {
		switch attr.Attr.Type {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(attr.Value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(attr.Value)
		case unix.IFA_FLAGS:
			flags = number(attr.Value)
		}
	}
	if !local.IsValid() {
		local = address // IPv6 tells only this one
	}
	a.Prefix = netip.PrefixFrom(local, int(info.Prefixlen))
	if !a.Prefix.IsValid() {
		return a, fmt.Errorf("parse address message of interface %d: no address", a.Index)
	}
	a.Permanent = flags&unix.IFA_F_PERMANENT != 0
	a.Usable = flags&unix.IFA_F_DADFAILED == 0 && (flags&unix.IFA_F_TENTATIVE == 0 || flags&unix.IFA_F_OPTIMISTIC != 0)
	return a, nil
}

// parseRoute reads a route; ok is false for one outside the main table or not
// to a gateway or link.
func parseRoute(b []byte) (r Route, ok bool, err error) {
	if len(b) < unix.SizeofRtMsg {
		return r, false, fmt.Errorf("parse route message: %d bytes are too few", len(b))
	}
	info := nl.DeserializeRtMsg(b)
	attrs, err := parseAttrs(b[unix.SizeofRtMsg:])
	if err != nil {
		return r, false, fmt.Errorf("parse route message: %w", err)
	}
	table := uint32(info.Table)
	dest := netip.IPv4Unspecified()
	if info.Family == unix.AF_INET6 {
		dest = netip.IPv6Unspecified()
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.RTA_TABLE:
			table = number(a.Value)
		case unix.RTA_DST:
			if d, valid := netip.AddrFromSlice(a.Value); valid {
				dest = d
			}
		case unix.RTA_GATEWAY:
			r.Gateway, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_OIF:
			r.Index = int(number(a.Value))
		case unix.RTA_PRIORITY:
			r.Metric = int(number(a.Value))
		}
	}
	r.Destination = netip.PrefixFrom(dest, int(info.Dst_len))
	r.OnLink = info.Flags&unix.RTNH_F_ONLINK != 0
	r.Static = info.Protocol == unix.RTPROT_STATIC
	ours := r.Static || info.Protocol == unix.RTPROT_DHCP || info.Protocol == unix.RTPROT_RA
	return r, ours && table == unix.RT_TABLE_MAIN && info.Type == unix.RTN_UNICAST && r.Index != 0, nil
}

// number reads an attribute of up to 32 bits in the machine's byte order.
func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
