package audit

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// treeDir is the device tree that the firmware gave the kernel (Devicetree
// Specification 0.4): a folder a node, a file a property. Boards have one
// instead of SMBIOS; so has QEMU's arm64 machine without UEFI. Under ACPI the
// folder is there, and empty.
const treeDir = "sys/firmware/devicetree/base"

// treeStrings are the strings of a property, each ended by NUL (2.2.4,
// <stringlist>).
func treeStrings(root fs.FS, name string) []string {
	b, err := fs.ReadFile(root, treeDir+"/"+name)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(strings.Split(string(b), "\x00"), func(s string) bool { return s == "" })
}

// treeString is a property of one string.
func treeString(root fs.FS, name string) hwreport.Field[string] { return text(root, treeDir+"/"+name) }

// treeBoard reads who the machine is from the properties of the root node (3.2).
// Without a tree it changes nothing.
func treeBoard(root fs.FS, b *hwreport.Board) {
	kinds := treeStrings(root, "compatible") // from the board to the family it is of
	if len(kinds) == 0 {
		return
	}
	b.System.Product, b.System.Serial = treeString(root, "model"), treeString(root, "serial-number")
	maker, _, named := strings.Cut(kinds[0], ",")
	switch model, ok := b.System.Product.Get(); {
	case !ok:
		b.System.Product = hwreport.Value(kinds[0])
	case named && model != kinds[0]: // QEMU's is linux,dummy-virt: nobody made it
		b.System.Manufacturer = hwreport.Value(maker)
	}
	if len(kinds) > 1 {
		b.System.Family = hwreport.Value(kinds[len(kinds)-1])
	}
	for _, boot := range []struct{ maker, version string }{
		{"U-Boot", "chosen/u-boot,version"}, // dt-schema, chosen.yaml
		{"Raspberry Pi", "chosen/bootloader/version"},
	} {
		if v := treeString(root, boot.version); v.State() == hwreport.IsValue {
			b.Firmware.Vendor, b.Firmware.Version = hwreport.Value(boot.maker), v
		}
	}
}

// treeMemory sums the ranges of the memory nodes (3.4), bytes: what the
// firmware says there is, without what it keeps.
func treeMemory(root fs.FS) hwreport.Field[int64] {
	nodes, err := names(root, treeDir)
	if err != nil {
		return why[int64](err)
	}
	address, size := treeCells(root, "#address-cells", 2), treeCells(root, "#size-cells", 1)
	var sum int64
	for _, n := range nodes {
		if n != "memory" && !strings.HasPrefix(n, "memory@") {
			continue
		}
		reg, err := fs.ReadFile(root, treeDir+"/"+n+"/reg")
		if err != nil {
			return why[int64](err)
		}
		for ; len(reg) >= 4*(address+size); reg = reg[4*(address+size):] {
			var bytes uint64
			for i := range size {
				bytes = bytes<<32 | uint64(binary.BigEndian.Uint32(reg[4*(address+i):]))
			}
			if bytes > absurd || sum+int64(bytes) > absurd {
				return hwreport.Unknown[int64](fmt.Sprintf("the device tree states %d bytes", bytes))
			}
			sum += int64(bytes)
		}
	}
	if sum == 0 {
		return hwreport.Absent[int64]()
	}
	return hwreport.Value(sum)
}

// treeCells is how many words of 4 bytes an address or a size of the root's
// children has (2.3.5).
func treeCells(root fs.FS, name string, otherwise int) int {
	b, err := fs.ReadFile(root, treeDir+"/"+name)
	if err != nil || len(b) != 4 {
		return otherwise
	}
	n := binary.BigEndian.Uint32(b)
	if n < 1 || n > 2 {
		return otherwise
	}
	return int(n)
}
