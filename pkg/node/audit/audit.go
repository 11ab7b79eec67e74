// Package audit looks at the machine and fills a hwreport.Report: one file a
// collector, one list, no external program but those of hardware's makers where
// the image has them. A collector works on its own, in
// parallel with the others, against its own deadline; one that fails, panics
// or hangs is named in the report and delays nothing else.
package audit

import (
	"context"
	"io/fs"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
	"github.com/bee-os/bee/pkg/node/audit/tree"
)

// Machine is where collectors look.
type Machine struct {
	Root fs.FS            // of the machine or of a captured tree
	Ask  device.Asker     // the devices that are no files
	Now  func() time.Time // by the clock of the machine
	DMI  func() (smbios.Tables, error)
	// Names is where the PCI ID database is looked for if Root has none; nil:
	// nowhere else.
	Names fs.FS
	pci   func() scan // one look at the bus
}

// Collector fills one section.
type Collector struct {
	Name     string
	Deadline time.Duration
	Source   []string
	collect  func(context.Context, Machine, *tree.Collector) (put func(*hwreport.Report))
	section  func(*hwreport.Report) *hwreport.Collector
}

// Collectors is every collector there is, in the order of the report.
var Collectors = []Collector{
	section("board", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Board] { return &r.Board }, board,
		smbios.TablePath, "sys/class/dmi/id", treeDir),
	section("cpu", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.CPU] { return &r.CPU }, cpu,
		"proc/cpuinfo", "sys/devices/system/cpu", "sys/devices/system/node", smbios.TablePath),
	section("memory", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Memory] { return &r.Memory }, memory,
		"proc/meminfo", "sys/devices/system/edac/mc", smbios.TablePath, treeDir),
	section("storage", 10*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Storage] { return &r.Storage }, storage,
		"sys/block", "sys/class/scsi_host", "sys/class/enclosure", "SG_IO", "NVME_IOCTL_ADMIN_CMD"),
	section("pcie", 2*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.PCIe] { return &r.PCIe }, pcie,
		"sys/bus/pci/devices", "usr/share/misc/pci.ids"),
	section("psu", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.PSU] { return &r.PSU }, psu,
		smbios.TablePath),
	section("ipmi", 15*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.IPMI] { return &r.IPMI }, bmc,
		"dev/ipmi0", smbios.TablePath),
	section("network", 6*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Network] { return &r.Network }, network,
		"sys/class/net", "sys/class/infiniband", "SIOCETHTOOL", "run/bee/net.json"),
	section("gpu", 14*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.GPU] { return &r.GPU }, gpu,
		"sys/bus/pci/devices", "proc/driver/nvidia", "nvmlreport"),
	section("tpm", 5*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.TPM] { return &r.TPM }, tpmModule,
		tpmDir, tpmDev, tpmLog),
	section("ras", 2*time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.RAS] { return &r.RAS }, ras,
		kmsg, "sys/fs/pstore", "sys/firmware/acpi/tables", "sys/class/watchdog"),
	section("drivers", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Drivers] { return &r.Drivers }, drivers,
		"run/bee/modules.json", "proc/modules"),
	section("boot", time.Second, func(r *hwreport.Report) *hwreport.Section[hwreport.Boot] { return &r.Boot }, boot,
		"proc/cmdline", "proc/sys/kernel", "sys/firmware/efi", "etc/bee/bom.json"),
}
