package audit

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
)

// pi4 is the device tree of a Raspberry Pi 4 Model B with 4 GiB, as far as it is
// read, and its processors.
func pi4() fstest.MapFS {
	block := "BogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n"
	root := fstest.MapFS{}
	for name, text := range map[string]string{
		"model":                      "Raspberry Pi 4 Model B Rev 1.4\x00",
		"compatible":                 "raspberrypi,4-model-b\x00brcm,bcm2711\x00",
		"serial-number":              "10000000deadbeef\x00",
		"#address-cells":             "\x00\x00\x00\x02",
		"#size-cells":                "\x00\x00\x00\x01",
		"memory@0/reg":               "\x00\x00\x00\x00\x00\x00\x00\x00\x3b\x40\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\xbc\x00\x00\x00",
		"memory@0/device_type":       "memory\x00",
		"chosen/bootloader/version":  "8ba17717fbcedd4c3b6d4bce7e50c7af4155cba9\x00",
		"memory-controller@7e001000": "",
	} {
		root[treeDir+"/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	root["proc/cpuinfo"] = &fstest.MapFile{Data: []byte("processor\t: 0\n" + block + "\nprocessor\t: 1\n" + block + "\n")}
	root["proc/meminfo"] = &fstest.MapFile{Data: []byte("MemTotal:        3884376 kB\n")}
	return root
}

func TestDeviceTree(t *testing.T) {
	r := look(pi4(), device.Nothing{})
	b, c, m := r.Board.Data, r.CPU.Data, r.Memory.Data
	for what, f := range map[string]struct{ got, want string }{
		"manufacturer": {b.System.Manufacturer.Or(""), "raspberrypi"},
		"product":      {b.System.Product.Or(""), "Raspberry Pi 4 Model B Rev 1.4"},
		"serial":       {b.System.Serial.Or(""), "10000000deadbeef"},
		"family":       {b.System.Family.Or(""), "brcm,bcm2711"},
		"firmware":     {b.Firmware.Vendor.Or("") + " " + b.Firmware.Version.Or(""), "Raspberry Pi 8ba17717fbcedd4c3b6d4bce7e50c7af4155cba9"},
		"mode":         {r.Boot.Data.Mode.Or(""), "devicetree"},
		"vendor":       {c.Vendor.Or(""), "ARM"},
		"model":        {c.Model.Or(""), "Cortex-A72"},
		"signature":    {c.Signature.Or(""), "410fd083"}, // what its regs/identification/midr_el1 says
		"installed":    {m.Installed.String(), hwreport.Absent[int64]().String()},
	} {
		if f.got != f.want {
			t.Errorf("%s is %q, want %q", what, f.got, f.want)
		}
	}
	if n := m.Mapped.Or(0); n != 0x3b400000+0xbc000000 {
		t.Errorf("the memory nodes sum up to %#x", n)
	}
	if c.Hypervisor.State() != hwreport.IsUnknown {
		t.Errorf("a board is a guest: %v", c.Hypervisor)
	}
}

// Fast and slow cores are named, each kind once.
func TestTwoKindsOfCores(t *testing.T) {
	root := pi4()
	info := string(root["proc/cpuinfo"].Data)
	first, second, _ := strings.Cut(info, "\n\n")
	root["proc/cpuinfo"].Data = []byte(strings.ReplaceAll(first, "0xd08", "0xd05") + "\n\n" + second)
	if c := look(root, device.Nothing{}).CPU.Data; c.Model.Or("") != "Cortex-A55 + Cortex-A72" || c.Vendor.Or("") != "ARM" {
		t.Errorf("%v %v", c.Vendor, c.Model)
	}
}

// A tree may lack anything, and hold anything.
func TestOddDeviceTrees(t *testing.T) {
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		ok     func(*hwreport.Report) bool
	}{
		"no model": {func(r fstest.MapFS) { delete(r, treeDir+"/model") }, func(r *hwreport.Report) bool {
			s := r.Board.Data.System
			return s.Product.Or("") == "raspberrypi,4-model-b" && s.Manufacturer.State() == hwreport.IsAbsent
		}},
		"QEMU": {func(r fstest.MapFS) { r[treeDir+"/compatible"].Data = []byte("linux,dummy-virt\x00") }, func(r *hwreport.Report) bool {
			return r.CPU.Data.Hypervisor.Or(false)
		}},
		"memory beyond belief": {func(r fstest.MapFS) {
			r[treeDir+"/#size-cells"].Data = []byte{0, 0, 0, 2}
			r[treeDir+"/memory@0/reg"].Data = []byte(strings.Repeat("\xff", 16))
		}, func(r *hwreport.Report) bool { return r.Memory.Data.Mapped.State() == hwreport.IsUnknown }},
		"cells beyond belief": {func(r fstest.MapFS) { r[treeDir+"/#address-cells"].Data = []byte{0xff, 0, 0, 0} }, func(r *hwreport.Report) bool {
			return r.Memory.Data.Mapped.Or(0) == 0x3b400000+0xbc000000
		}},
		"a cut range":  {func(r fstest.MapFS) { r[treeDir+"/memory@0/reg"].Data = []byte{1, 2} }, func(r *hwreport.Report) bool { return r.Memory.Data.Mapped.State() == hwreport.IsAbsent }},
		"an empty one": {func(r fstest.MapFS) { clear(r); r["proc/meminfo"] = &fstest.MapFile{Data: []byte("MemTotal: 4 kB\n")} }, func(r *hwreport.Report) bool { return r.Board.Data.System.Product.State() == hwreport.IsAbsent }},
	} {
		root := pi4()
		c.change(root)
		if r := look(root, device.Nothing{}); !c.ok(r) {
			t.Errorf("%s: board %+v, mapped %v, hypervisor %v", name, r.Board.Data.System, r.Memory.Data.Mapped, r.CPU.Data.Hypervisor)
		}
	}
}

func FuzzDeviceTree(f *testing.F) {
	f.Add([]byte("a,b\x00c\x00"), []byte{0, 0, 0, 2}, []byte("\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, kinds, cells, reg []byte) {
		root := fstest.MapFS{treeDir + "/compatible": {Data: kinds}, treeDir + "/#size-cells": {Data: cells}, treeDir + "/memory@1/reg": {Data: reg}}
		if n, ok := treeMemory(root).Get(); ok && n <= 0 {
			t.Errorf("%d bytes", n)
		}
		treeBoard(root, &hwreport.Board{})
	})
}
