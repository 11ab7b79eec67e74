package nocloud

import (
	"io/fs"
	"slices"
	"strings"
)

// vendors are the makers of virtual machines by their name in SMBIOS, for
// processors without a flag that says so (systemd, src/basic/virt.c).
var vendors = []string{"QEMU", "KVM", "KubeVirt", "OpenStack", "VMware", "innotek GmbH", "Xen", "Bochs", "Parallels", "BHYVE", "Apple Virtualization"}

// virtual says whether this is a virtual machine, as far as it shows: by the
// processor's flag (x86), SMBIOS, or the device tree (arm64 without firmware).
func virtual(root fs.FS) bool {
	for line := range strings.Lines(text(root, "proc/cpuinfo")) {
		name, flags, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "flags" {
			if slices.Contains(strings.Fields(flags), "hypervisor") {
				return true
			}
			break // the others have the same
		}
	}
	vendor := text(root, "sys/class/dmi/id/sys_vendor")
	if slices.ContainsFunc(vendors, func(v string) bool { return strings.HasPrefix(vendor, v) }) {
		return true
	}
	if strings.HasPrefix(vendor, "Microsoft Corporation") && strings.HasPrefix(text(root, "sys/class/dmi/id/product_name"), "Virtual Machine") {
		return true
	}
	const tree = "sys/firmware/devicetree/base/"
	_, err := fs.Stat(root, tree+"hypervisor")
	return err == nil || strings.Contains(text(root, tree+"compatible"), "linux,dummy-virt") // QEMU's virt
}

// text is a file; empty: it cannot be read, so that it says nothing.
func text(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// networkHint says that a seed from the network is asked for, on the kernel's
// command line or by the serial number (cloud-init, ds=nocloud).
func networkHint(cmdline, serial string) bool {
	return strings.Contains(cmdline, "ds=nocloud") || strings.HasPrefix(serial, "ds=nocloud")
}
