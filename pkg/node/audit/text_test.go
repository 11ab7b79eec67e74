package audit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

func TestDIMMPlaces(t *testing.T) {
	for text, want := range map[string][2]string{
		"P1-DIMMA1": {"CPU 1", "A"}, "CPU2_DIMM_B2": {"CPU 2", "B"}, "PROC 2 DIMM 3": {"CPU 2", ""}, "DIMM_C1": {"", "C"}, "A1": {"", "A"}, "DIMM 0": {"", ""}, "P0_Node0_Channel1_Dimm0": {"CPU 0", "1"}, "ChannelA-DIMM0": {"", "A"},
	} {
		d := hwreport.DIMM{Locator: hwreport.Value(text)}
		if s := socketOf(d).Or(""); s != want[0] {
			t.Errorf("%s: socket %q, want %q", text, s, want[0])
		}
		if c := channelOf(smbios.Tables{}, smbios.Structure{}, d).Or(""); c != want[1] {
			t.Errorf("%s: channel %q, want %q", text, c, want[1])
		}
	}
}

// TestKernelLog has lines as kernels write them.
func TestKernelLog(t *testing.T) {
	log := strings.Join([]string{
		"3,1,1,-;EDAC MC1: 2 CE memory scrubbing error on CPU_SrcID#1_MC#0_Chan#0_DIMM#0 (channel:0 slot:0)",
		"3,2,2,-;EDAC MC0: 1 UE memory read error on P1-DIMMA1 (channel:0 slot:0 page:0x0)",
		" SUBSYSTEM=edac", "4,3,3,-;NVRM: Xid (PCI:0000:3b:00): 63, pid=1, Row Remapper",
		"3,4,4,-;{1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 4",
		"3,5,5,-;blk_update_request: I/O error, dev sdb, sector 123", "3,6,6,-;critical medium error, dev sdc, sector 5 op 0x0:(READ)",
		"4,7,7,-;NVRM: Xid (0000:af:00): 31, Ch 00000010", "4,7,7,-;nvme nvme1: I/O 12 QID 3 timeout, aborting", "3,8,8,-;ata3.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen",
		"2,9,9,-;CPU12: Core temperature above threshold, cpu clock throttled", "3,10,10,-;INFO: task md0_raid1:123 blocked for more than 120 seconds.",
		"0,11,11,-;watchdog: BUG: soft lockup - CPU#3 stuck for 22s!", "3,12,12,-;Memory failure: 0x1234: recovery action for dirty page: Recovered",
		"6,13,13,-;nvme nvme0: pci function 0000:01:00.0", "6,14,14,-;ata1: SATA max UDMA/133",
	}, "\n")
	records, previous := faults(log)
	var got []string
	for _, r := range records {
		got = append(got, r.Kind+":"+r.Subject)
	}
	want := []string{"edac:CPU_SrcID#1_MC#0_Chan#0_DIMM#0", "edac:P1-DIMMA1", "xid:0000:3b:00", "ghes:4", "io:sdb", "io:sdc", "xid:0000:af:00", "io:nvme1", "io:ata3.00", "thermal:12", "hang:md0_raid1:123", "hang:3", "memory:0x1234"}
	if !slices.Equal(got, want) || previous != nil {
		t.Errorf("%q\nwant %q, %v", got, want, previous)
	}
}

// TestHealthyLogIsNotLookedAtClosely: what every server says at its start.
func TestHealthyLogIsNotLookedAtClosely(t *testing.T) {
	for _, line := range []string{
		"pcieport 0000:00:1c.0: AER: enabled with IRQ 30", "EDAC MC: Ver: 3.0.0", "EDAC MC0: Giving out device to module skx_edac controller Skylake Socket#0 IMC#0: DEV 0000:2e:0a.0 (INTERRUPT)",
		"ata1: SATA max UDMA/133 abar m4096@0xfebff000 port 0xfebff100 irq 27", "ata1: SATA link down (SStatus 0 SControl 300)", "nvme nvme0: 8/0/0 default/read/poll queues",
		"nvme nvme0: Shutdown timeout set to 10 seconds", "GHES: APEI firmware first mode is enabled by APEI bit.", "HEST: Table parsing has been initialized.", "MCE: In-kernel MCE decoding enabled.",
		"mce: CPU0: Thermal monitoring enabled (TM1)", "CPU0: Thermal monitoring enabled (TM1)", "iTCO_wdt iTCO_wdt.1.auto: initialized. heartbeat=30 sec (nowayout=0)", "acpi PNP0A08:00: _OSC: OS now controls [PCIeHotplug SHPCHotplug PME AER PCIeCapability LTR DPC]",
	} {
		for _, p := range troubles {
			if p.near(line) {
				t.Errorf("%q is near %q", line, p.words)
			}
		}
	}
}

// TestSeveralPaths has a namespace with native multipath: it lies below
// virtual, its path is hidden.
func TestSeveralPaths(t *testing.T) {
	s := sysfs{fstest.MapFS{}}
	const ctrl = "sys/devices/pci0000:00/0000:00:02.0/nvme/nvme0"
	s.link("sys/block/nvme0n1", "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1")
	s.link("sys/block/nvme0c0n1", "../devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0c0n1")
	s.file("sys/devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0c0n1/hidden", "1")
	s.file("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/size", "2048")
	s.link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/device", "../../nvme-subsys0")
	s.link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", "../../../pci0000:00/0000:00:02.0/nvme/nvme0")
	s.file("sys/devices/virtual/nvme-subsystem/nvme-subsys0/serial", "S1")
	s.file(ctrl+"/state", "live")
	s.file(ctrl+"/transport", "pcie")
	s.link("sys/block/loop0", "../devices/virtual/block/loop0")
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, device.Nothing{})})
	disks := r.Storage.Data.Disks.Or(nil)
	if len(disks) != 1 || disks[0].Name != "nvme0n1" || disks[0].NVMe.Or(hwreport.NVMe{}).Controller != "nvme0" || disks[0].NVMe.Or(hwreport.NVMe{}).State.Or("") != "live" || !strings.HasPrefix(disks[0].Slot, "pci0000:00/0000:00:02.0") {
		t.Errorf("%+v", disks)
	}
}

// FuzzText runs the collectors over files of anything.
func FuzzText(f *testing.F) {
	f.Add("processor : 0\nphysical id : 0\n\nprocessor : 1", "MemTotal: 12 kB", "3,1,1,-;NVRM: Xid (PCI:0000:3b:00): 63, x", "0-3,8", "RxErr 1\nTOTAL_ERR_COR 1")
	f.Fuzz(func(t *testing.T, cpuinfo, meminfo, log, list, counters string) {
		s := sysfs{fstest.MapFS{}}
		s.file("proc/cpuinfo", cpuinfo)
		s.file("proc/meminfo", meminfo)
		s.file("proc/cmdline", cpuinfo)
		s.file("proc/modules", meminfo)
		s.file("dev/kmsg", log)
		s.file(cpuDir+"/present", list)
		s.file(cpuDir+"/online", list)
		s.file(cpuDir+"/cpu0/cache/index0/shared_cpu_list", list)
		s.file(cpuDir+"/cpu0/cache/index0/level", "1")
		s.function("pci0000:00/0000:00:01.0", "010802", "8086", "1234", "nvme", [4]string{list, "4", "8.0", counters})
		s.file("sys/devices/pci0000:00/0000:00:01.0/aer_dev_correctable", counters)
		s.file("sys/devices/pci0000:00/0000:00:01.0/aer_dev_fatal", counters)
		s.file("sys/devices/pci0000:00/0000:00:01.0/aer_dev_nonfatal", counters)
		s.file("sys/devices/pci0000:00/0000:00:01.0/vpd", log)
		s.file("sys/firmware/dmi/tables/DMI", log)
		s.file("sys/kernel/security/lockdown", list)
		s.file("run/bee/net.json", cpuinfo)
		s.file("run/bee/modules.json", meminfo)
		r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, device.Nothing{})})
		for _, c := range r.Collectors() {
			if strings.Contains(c.Error, "panic") {
				t.Error(c.Error)
			}
		}
		if _, err := r.Encode(); err != nil {
			t.Error(err)
		}
	})
}

// TestBootEntry has an entry that booted over the network.
func TestBootEntry(t *testing.T) {
	s := sysfs{fstest.MapFS{}}
	entry := "\x07\x00\x00\x00\x01\x00\x00\x00\x31\x00P\x00X\x00E\x00\x00\x00" + "\x02\x01\x0c\x0012345678" + "\x03\x0b\x25\x00\x0c\xc4\x7a\x01\x02\x03" + strings.Repeat("\x00", 27)
	s.MapFS[efiVars+"/BootCurrent-"+efiGlobal] = &fstest.MapFile{Data: []byte("\x06\x00\x00\x00\x03\x00")}
	s.MapFS[efiVars+"/Boot0003-"+efiGlobal] = &fstest.MapFile{Data: []byte(entry)}
	s.MapFS["sys/firmware/acpi/tables/NBFT"] = &fstest.MapFile{Data: []byte("NBFT\x00\x01nqn.2014-08.org.nvmexpress:uuid:1\x00nqn.1988-11.com.dell:x\x00")}
	s.file("sys/firmware/ibft/ethernet0/mac", "0C:C4:7A:AA:BB:CC")
	s.file("sys/firmware/ibft/target0/target-name", "iqn.2001-04.com.example:disk")
	s.file("sys/firmware/ibft/target0/ip-addr", "10.0.0.9")
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, device.Nothing{})})
	b := r.Boot.Data
	if b.Entry.Or("") != "PXE" || b.NIC.Or("") != "0c:c4:7a:aa:bb:cc" || len(b.NVMeOF.Or(nil)) != 2 || b.ISCSI.Or(hwreport.ISCSI{}).Targets[0] != "iqn.2001-04.com.example:disk at 10.0.0.9:3260 lun 0" {
		t.Errorf("%+v", b)
	}
	delete(s.MapFS, "sys/firmware/ibft/ethernet0/mac")
	s.file("proc/cmdline", "BOOTIF=01-0c-c4-7a-11-22-33 quiet")
	if r = Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, device.Nothing{})}); r.Boot.Data.NIC.Or("") != "0c:c4:7a:11:22:33" {
		t.Errorf("%+v", r.Boot.Data.NIC)
	}
	if _, mac, err := parseBootEntry([]byte(entry)); err != nil || mac != "0c:c4:7a:01:02:03" {
		t.Errorf("%q, %v", mac, err)
	}
	if _, _, err := parseBootEntry([]byte(entry)[:14]); err == nil {
		t.Error("an entry that is cut")
	}
}

// TestOnePowerSupply joins what firmware, inventory and sensors say.
func TestOnePowerSupply(t *testing.T) {
	r := &hwreport.Report{}
	r.PSU.Data.Supplies = hwreport.Value([]hwreport.PowerSupply{{Sources: []string{"smbios"}, Location: hwreport.Value("bay 1"), Serial: hwreport.Value("A"), Plugged: hwreport.Value(true), Present: hwreport.Value(true), Status: hwreport.Value("OK")}})
	r.IPMI.Data.FRUs = hwreport.Value([]hwreport.FRU{{Entity: hwreport.Value("10.1"), Name: hwreport.Value("PSU1"), ProductSerial: hwreport.Value("A"), MaxWatts: hwreport.Value(int64(1600))}, {Entity: hwreport.Value("10.2"), Name: hwreport.Value("PSU2"), ProductSerial: hwreport.Value("B")}, {Entity: hwreport.Value("7.1"), ProductSerial: hwreport.Value("board")}})
	r.IPMI.Data.Sensors = hwreport.Value([]hwreport.Sensor{
		{Name: "PSU1 Status", Kind: "power supply", Entity: "10.1", States: hwreport.Value(int64(9)), Asserted: hwreport.Value([]string{"present", "input lost"})},
		{Name: "PSU2 Status", Kind: "power supply", Entity: "10.2", States: hwreport.Value(int64(3)), Asserted: hwreport.Value([]string{"present", "power supply failed"})},
		{Name: "PSU1 Pin", Kind: "other units", Unit: "W", Entity: "10.1", Value: hwreport.Value(220.0)},
		{Name: "PS Redundancy", Kind: "power unit", Entity: "19.1", Asserted: hwreport.Value([]string{"redundancy lost"})},
	})
	var ids []string
	for _, f := range supplied(r) {
		ids = append(ids, f.ID)
	}
	list := r.PSU.Data.Supplies.Or(nil)
	if len(list) != 2 || list[0].Location.Or("") != "bay 1" || list[0].MaxWatts.Or(0) != 1600 || list[0].InputWatts.Or(0) != 220 || list[0].Plugged.Or(true) || !list[0].Present.Or(false) || strings.Join(list[0].Sources, "+") != "smbios+fru+sensors" || list[1].Serial.Or("") != "B" {
		t.Errorf("%+v", list)
	}
	if !slices.Equal(ids, []string{"psu.not-powered@psu:A", "psu.failed@psu:B"}) || r.PSU.Data.Redundant.Or("") != "redundancy lost" {
		t.Errorf("%q, %v", ids, r.PSU.Data.Redundant)
	}
}

// never is an Asker whose devices hang.
type never struct{}

func (never) Ask(_ context.Context, q device.Question) ([]byte, error) {
	return nil, fmt.Errorf("ask %s: %w", q.Device, device.TimedOut(2*time.Second))
}

// crash is an Asker that panics for one device.
type crash struct{}

func (crash) Ask(_ context.Context, q device.Question) ([]byte, error) {
	if q.Device == "dev/nvme1" {
		panic("oh")
	}
	return nil, fs.ErrNotExist
}

// TestOnePanicSpoilsOneDisk has a parser that panics on what one disk says.
func TestOnePanicSpoilsOneDisk(t *testing.T) {
	s := sysfs{fstest.MapFS{}}
	for _, n := range []string{"0", "1"} {
		disk := "sys/devices/pci0000:00/0000:00:0" + n + ".0/nvme/nvme" + n
		s.link("sys/block/nvme"+n+"n1", "../devices/pci0000:00/0000:00:0"+n+".0/nvme/nvme"+n+"/nvme"+n+"n1")
		s.link(disk+"/nvme"+n+"n1/device", "../../nvme"+n)
		s.file(disk+"/nvme"+n+"n1/size", "8")
		s.file(disk+"/serial", "S"+n)
	}
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, crash{})})
	d := r.Storage.Data.Disks.Or(nil)
	if len(d) != 2 || d[0].Serial.Or("") != "S0" || d[1].Name != "nvme1n1" || !strings.Contains(d[1].Serial.Reason(), "panic: oh at node/audit/") {
		t.Errorf("%s %s: %+v", r.Storage.Collector.Status, r.Storage.Collector.Error, d)
	}
}

func TestComparingMayBreak(t *testing.T) {
	found := compared(&hwreport.Report{}, func(*hwreport.Report) []hwreport.Finding { panic("oh") })
	if len(found) != 1 || found[0].Code != "boot.audit-broken" || !strings.Contains(found[0].Evidence[0].Value, "panic: oh") {
		t.Errorf("%+v", found)
	}
}

// TestDevicesThatHang wants the rest of each section, and says what did not
// answer.
func TestDevicesThatHang(t *testing.T) {
	s := sysfs{fstest.MapFS{}}
	s.link("sys/block/nvme0n1", "../devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0n1")
	const disk = "sys/devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0n1"
	s.file(disk+"/size", "2048")
	s.link(disk+"/device", "../../nvme0")
	s.file("sys/devices/pci0000:00/0000:00:02.0/nvme/nvme0/serial", "S1")
	s.link("sys/class/net/eth0", "../../devices/pci0000:00/0000:00:03.0/net/eth0")
	s.file("sys/devices/pci0000:00/0000:00:03.0/net/eth0/address", "02:00:00:00:00:01")
	s.link("sys/devices/pci0000:00/0000:00:03.0/net/eth0/device", "../../../0000:00:03.0")
	s.file("sys/class/tpm/tpm0/tpm_version_major", "2")
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, never{})})
	d := r.Storage.Data.Disks.Or(nil)
	if len(d) != 1 || d[0].Serial.Or("") != "S1" || d[0].Bytes.Or(0) != 1<<20 || !strings.Contains(d[0].Verdict.Reason(), "timed out after 2s") || find(r, "storage.silent@disk:S1") == nil {
		t.Errorf("%+v\n%v", d, r.Findings)
	}
	n := r.Network.Data.Interfaces.Or(nil)
	if len(n) != 1 || n[0].MAC.Or("") != "02:00:00:00:00:01" || !strings.Contains(n[0].Firmware.Reason(), "timed out after 2s") {
		t.Errorf("%+v", n)
	}
	if v := r.TPM.Data; v.Version.Or("") != "2.0" || !strings.Contains(v.Vendor.Reason(), "timed out") {
		t.Errorf("%+v", v)
	}
	if find(r, "ipmi.bmc-silent") == nil || !strings.Contains(r.IPMI.Data.BMC.Reason(), "timed out") {
		t.Errorf("%+v", r.IPMI.Data.BMC)
	}
	for _, c := range r.Collectors() {
		if (c.Name == "storage" || c.Name == "network" || c.Name == "tpm" || c.Name == "ipmi") && c.Status != hwreport.OK {
			t.Errorf("%s: %s %s", c.Name, c.Status, c.Error)
		}
	}
}

// says is an Asker all of whose devices say the same.
type says []byte

func (a says) Ask(_ context.Context, q device.Question) ([]byte, error) {
	b := make([]byte, max(q.Reply, len(a)))
	copy(b, a)
	if len(a)%2 == 0 { // as long as it was asked for, or as it is
		return b[:q.Reply], nil
	}
	return slices.Clone(a), nil
}

// FuzzAnswers runs the collectors on a machine whose devices and firmware say
// anything: nothing panics, and the report is one.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 3}, []byte("\x07\x00\x00\x00\x01\x00\x00\x00\x04\x00P\x00\x00\x00\x03\x0b\x04\x00"))
	if b, err := os.ReadFile("nvme/testdata/identify-controller"); err == nil {
		f.Add(b, []byte("NBFT nqn.2014-08.org.nvmexpress:x"))
	}
	f.Fuzz(func(t *testing.T, answer, firmware []byte) {
		s := sysfs{fstest.MapFS{}}
		put := func(name string) { s.MapFS[name] = &fstest.MapFile{Data: firmware} }
		for _, n := range []string{"BootCurrent", "Boot0000", "Boot0001", "SecureBoot", "SetupMode"} {
			put(efiVars + "/" + n + "-" + efiGlobal)
		}
		put("sys/firmware/acpi/tables/NBFT")
		put("sys/firmware/dmi/tables/DMI")
		put(tpmLog)
		s.file(tpmDir+"/tpm_version_major", "2")
		s.link("sys/block/sda", "../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda")
		s.file("sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda/size", "8")
		s.link("sys/block/sdb", "../devices/pci0000:00/0000:00:05.0/host1/target1:0:0/1:0:0:0/block/sdb")
		s.file("sys/devices/pci0000:00/0000:00:05.0/host1/target1:0:0/1:0:0:0/block/sdb/size", "8")
		s.file("sys/devices/pci0000:00/0000:00:05.0/host1/target1:0:0/1:0:0:0/block/sdb/device/scsi_level", "7")
		s.link("sys/block/nvme0n1", "../devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0n1")
		s.file("sys/devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0n1/size", "8")
		s.link("sys/devices/pci0000:00/0000:00:02.0/nvme/nvme0/nvme0n1/device", "../../nvme0")
		s.file("sys/devices/pci0000:00/0000:00:02.0/nvme/nvme0/state", "live")
		s.function("pci0000:00/0000:00:05.0", "010400", "1000", "005d", "megaraid_sas", [4]string{})
		s.link("sys/class/scsi_host/host1", "../../devices/pci0000:00/0000:00:05.0/host1/scsi_host/host1")
		s.file("sys/devices/pci0000:00/0000:00:05.0/host1/scsi_host/host1/state", "running")
		s.link("sys/class/net/eth0", "../../devices/pci0000:00/0000:00:03.0/net/eth0")
		s.file("sys/devices/pci0000:00/0000:00:03.0/net/eth0/address", "02:00:00:00:00:01")
		s.link("sys/devices/pci0000:00/0000:00:03.0/net/eth0/device", "../../../0000:00:03.0")
		r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, says(answer))})
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "panic: ") {
			t.Errorf("%s", b[strings.Index(string(b), "panic: "):][:200])
		}
		if _, err := hwreport.Decode(b); err != nil {
			t.Error(err)
		}
	})
}
