// Package audit looks at the machine and fills a hwreport.Report: one file a
// collector, one list, no external program. A collector works on its own, in
// parallel with the others, against its own deadline; one that fails, panics
// or hangs is named in the report and delays nothing else.
package audit

import (
	"context"
	"io/fs"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// Machine is where collectors look.
type Machine struct {
	Root fs.FS // of the machine or of a captured tree
	Live bool  // Root is the machine this runs on: devices may be asked too
	DMI  func() (smbios.Tables, error)
}

// Collector fills one section.
type Collector struct {
	Name     string
	Deadline time.Duration
	Source   []string
	collect  func(context.Context, Machine) (put func(*hwreport.Report))
	section  func(*hwreport.Report) *hwreport.Collector
}

// Collectors is every collector there is, in the order of the report.
var Collectors = []Collector{
	section("board", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Board] { return &r.Board }, board,
		smbios.TablePath, "sys/class/dmi/id"),
	section("cpu", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.CPU] { return &r.CPU }, cpu,
		"proc/cpuinfo", "sys/devices/system/cpu", "sys/devices/system/node", smbios.TablePath),
	section("memory", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Memory] { return &r.Memory }, memory,
		"proc/meminfo", "sys/devices/system/edac/mc", smbios.TablePath),
	section("storage", 5*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Storage] { return &r.Storage }, storage,
		"sys/block"),
	section("pcie", 2*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.PCIe] { return &r.PCIe }, pcie,
		"sys/bus/pci/devices", "usr/share/misc/pci.ids"),
	section("psu", 5*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.PSU] { return &r.PSU }, psu,
		smbios.TablePath, "dev/ipmi0"),
	section("network", 2*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Network] { return &r.Network }, network,
		"sys/class/net", "run/bee/net.json"),
	section("drivers", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Drivers] { return &r.Drivers }, drivers,
		"run/bee/modules.json", "proc/modules"),
	section("boot", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Boot] { return &r.Boot }, boot,
		"proc/cmdline", "proc/sys/kernel", "sys/firmware/efi", "etc/bee/bom.json"),
}
