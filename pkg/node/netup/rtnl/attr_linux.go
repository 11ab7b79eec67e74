package rtnl

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// parseAttrs splits attributes (rtnetlink(7)). Unlike nl.ParseRouteAttr it takes
// a last one whose padding is absent, which it would read beyond the end for.
func parseAttrs(b []byte) ([]syscall.NetlinkRouteAttr, error) {
	var list []syscall.NetlinkRouteAttr
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return nil, fmt.Errorf("attribute of %d bytes in %d", n, len(b))
		}
		list = append(list, syscall.NetlinkRouteAttr{
			Attr:  syscall.RtAttr{Len: uint16(n), Type: binary.NativeEndian.Uint16(b[2:])},
			Value: b[unix.SizeofRtAttr:n],
		})
		b = b[min((n+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1), len(b)):]
	}
	return list, nil
}
