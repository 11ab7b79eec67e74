package netup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// device is what sysfs knows about an interface.
type device struct {
	Physical bool   // there is hardware, or a virtual machine's idea of it, behind it
	Wireless bool   //
	Path     string // where the hardware sits: the same at every boot, unlike the name
}

// readDevice reads /sys/class/net/NAME (Documentation/ABI/testing/sysfs-class-net).
// A virtual function whose physical function is here too belongs to whatever
// will be given it, not to the host.
func readDevice(root fs.FS, name string) device {
	dir := path.Join("sys/class/net", name)
	exists := func(file string) bool {
		_, err := fs.Stat(root, path.Join(dir, file))
		return err == nil
	}
	d := device{
		Physical: exists("device") && !exists("device/physfn"),
		Wireless: exists("wireless") || exists("phy80211"),
	}
	if target, err := fs.ReadLink(root, dir); err == nil {
		d.Path = path.Dir(path.Dir(target)) // …/0000:00:03.0/virtio0/net/eth0
	}
	return d
}

// readSpeed reads the speed of a link in Mbit/s; 0: unknown, as virtual
// machines and links without carrier have it.
func readSpeed(root fs.FS, name string) int {
	b, err := fs.ReadFile(root, path.Join("sys/class/net", name, "speed"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// setting is one value below /proc/sys/net/ipv6/conf/NAME
// (Documentation/networking/ip-sysctl.rst).
type setting struct{ name, value string }

// ipv6Settings let the kernel configure addresses by itself from what routers
// advertise.
var ipv6Settings = []setting{
	{"disable_ipv6", "0"},
	{"accept_ra", "2"}, // also where a machine host later forwards
	{"autoconf", "1"},
	{"use_tempaddr", "0"},   // a server is found by its address
	{"optimistic_dad", "1"}, // link-local from the first moment on, not after the second that detection takes (RFC 4429)
	{"use_optimistic", "1"},
	{"accept_ra_rt_info_max_plen", "64"}, // RFC 4191 routes
}

// writeIPv6 applies the settings and the metric of default routes to an
// interface. What this kernel does not have is left out.
func writeIPv6(root, name string, metric int) error {
	dir := filepath.Join(root, "proc/sys/net/ipv6/conf", name)
	var errs []error
	for _, s := range append(ipv6Settings[:len(ipv6Settings):len(ipv6Settings)], setting{"ra_defrtr_metric", strconv.Itoa(metric)}) {
		// No O_CREAT: these files exist or the kernel has no such switch.
		f, err := os.OpenFile(filepath.Join(dir, s.name), os.O_WRONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			_, err = f.WriteString(s.value)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("set IPv6 %s of %s: %w", s.name, name, err))
		}
	}
	return errors.Join(errs...)
}
