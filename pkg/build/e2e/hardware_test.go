package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of agreements")

// comparedFile is the table of agreements and differences.
const comparedFile = root + "/pkg/node/audit/COMPARED.md"

// comparison is one field: where bee's report has it, what the machine was
// given, and how another program says it on the same guest.
type comparison struct {
	path string // names of the report; "key=value" picks from a list
	want string // that QEMU was given; empty: the other program is the judge
	tool string
	find string // what the first group catches is the tool's word
	why  string // they differ, and are right to
}

const (
	dmi      = "/usr/sbin/dmidecode"
	nvmeJSON = "/usr/sbin/smartctl -j -x /dev/nvme0"
)

func compared(sas, sata, debug string) []comparison {
	smart := func(disk string) string { return "/usr/sbin/smartctl -j -x /dev/" + disk }
	nvme, psu := "storage/disks/serial=NVME-1/", "psu/supplies/serial=PSUSN-55/"
	dimm := "memory/modules/id=dimm:P1-DIMMD1/"
	inDIMM := func(s string) string { return `(?s)Locator: P1-DIMMD1\n.*?\t` + s + `: (.*?)\n` }
	link := "pcie/devices/address=0000:00:0a.0/link/"
	return []comparison{
		{"board/firmware/vendor", "American Megatrends", dmi, `(?s)BIOS Information.*?Vendor: (.*?)\n`, ""},
		{"board/firmware/version", "3.2a", dmi, `(?s)BIOS Information.*?Version: (.*?)\n`, ""},
		{"board/firmware/date", "03/17/2023", dmi, `Release Date: (.*)`, ""},
		{"board/firmware/release", "5.22", dmi, `BIOS Revision: (.*)`, ""},
		{"board/system/manufacturer", "ACME", dmi, `(?s)System Information.*?Manufacturer: (.*?)\n`, ""},
		{"board/system/product", "Server-9000", dmi, `(?s)System Information.*?Product Name: (.*?)\n`, ""},
		{"board/system/serial", "SYS-77001", dmi, `(?s)System Information.*?Serial Number: (.*?)\n`, ""},
		{"board/system/uuid", "11223344-5566-7788-99aa-bbccddeeff00", dmi, `UUID: (.*)`, ""},
		{"board/system/sku", "SKU-1", dmi, `SKU Number: (.*)`, ""},
		{"board/system/family", "Enterprise", dmi, `(?s)System Information.*?Family: (.*?)\n`, ""},
		{"board/baseboard/serial", "BRD-5521", dmi, `(?s)Base Board Information.*?Serial Number: (.*?)\n`, ""},
		{"board/baseboard/asset_tag", "RACK-12", dmi, `(?s)Base Board Information.*?Asset Tag: (.*?)\n`, ""},
		{"board/chassis/type", "Rack Mount Chassis", dmi, `(?s)Chassis Information.*?Type: (.*?)\n`, ""},
		{"board/chassis/serial", "CHS-9981", dmi, `(?s)Chassis Information.*?Serial Number: (.*?)\n`, ""},

		{"cpu/model", "", "lscpu", `Model name: *(.*)`, ""},
		{"cpu/packages", "2", "lscpu", `Socket\(s\): *(.*)`, ""},
		{"cpu/threads", "2", "lscpu", `(?m)^CPU\(s\): *(.*)`, ""},
		{"cpu/sockets/designation=CPU2/serial", "CPUSN2", dmi, `(?s)Socket Designation: CPU2.*?Serial Number: (.*?)\n`, ""},
		{"cpu/sockets/designation=CPU2/cores", "16", dmi, `(?s)Socket Designation: CPU2.*?Core Count: (.*?)\n`, ""},
		{"cpu/sockets/designation=CPU2/max_mhz", "3500", dmi, `(?s)Socket Designation: CPU2.*?Max Speed: (\d+) MHz`, ""},
		{"cpu/caches/level=2/instances", "", "lscpu", `L2 cache: .*\((\d+) instances?\)`, ""},

		{"memory/ecc", "Multi-bit ECC", dmi, `Error Correction Type: (.*)`, ""},
		{"memory/slots", "16", dmi, `Number Of Devices: (.*)`, ""},
		{dimm + "part", "HMA84GR7CJR4N-XN", dmi, inDIMM("Part Number"), ""},
		{dimm + "serial", "03A10003", dmi, inDIMM("Serial Number"), ""},
		{dimm + "type", "DDR4", dmi, inDIMM("Type"), ""},
		{dimm + "runs_mts", "3200", dmi, `(?s)Locator: P1-DIMMD1\n.*?Configured Memory Speed: (\d+) MT/s`, ""},
		{dimm + "total_bits", "72", dmi, `(?s)Total Width: (\d+) bits`, ""},
		{dimm + "size_bytes", "34359738368", dmi, `(?s)Size: (32 GB)`, "bytes here, gigabytes there: the same"},

		{nvme + "model", "", nvmeJSON, `"model_name": "(.*?)"`, ""},
		{nvme + "serial", "NVME-1", nvmeJSON, `"serial_number": "(.*?)"`, ""},
		{nvme + "firmware", "", "/usr/sbin/nvme id-ctrl /dev/nvme0", `(?m)^fr +: (\S+)`, ""},
		{nvme + "nvme/version", "", nvmeJSON, `"nvme_version": \{\s*"string": "(.*?)"`, "the specification's third number is 0 and smartctl leaves it out"},
		{nvme + "nvme/health/critical_warning", "8", nvmeJSON, `"critical_warning": (\d+)`, ""},
		{nvme + "nvme/health/celsius", "", nvmeJSON, `"temperature": (\d+)`, ""},
		{nvme + "nvme/warning_celsius", "", "/usr/sbin/nvme id-ctrl /dev/nvme0", `(?m)^wctemp +: (\d+)`, "degrees Celsius here, Kelvin there: the same"},
		{nvme + "nvme/namespaces_supported", "", nvmeJSON, `"nvme_number_of_namespaces": (\d+)`, ""},
		{nvme + "verdict", "failing", nvmeJSON, `"smart_status": \{\s*"passed": (\w+)`, "smartctl says passed: false for every critical warning; bee has four words"},

		{"storage/disks/serial=SATA-1/rpm", "7200", smart(sata), `"rotation_rate": (\d+)`, ""},
		{"storage/disks/serial=SATA-1/wwn", "naa.5000c50012345678", smart(sata), `"id": (305419896)`, "the whole name here; smartctl splits it into NAA, OUI and id (0x12345678 is 305419896)"},
		{"storage/disks/serial=SATA-1/ata/smart_passed", "true", smart(sata), `"smart_status": \{\s*"passed": (\w+)`, ""},
		{"storage/disks/serial=SATA-1/ata/attributes/id=5/threshold", "", smart(sata), `(?s)"id": 5,.*?"thresh": (\d+)`, ""},
		{"storage/disks/serial=SATA-1/ata/attributes/id=190/name", "", smart(sata), `(?s)"id": 190,.*?"name": "(.*?)"`, ""},
		{"storage/disks/serial=SATA-1/power_on_hours", "", smart(sata), `"hours": (\d+)`, ""},
		{"storage/disks/serial=SATA-1/celsius", "", smart(sata), `"temperature": \{\s*"current": (\d+)`, ""},
		{"storage/disks/serial=SAS-1/wwn", "naa.5000cca012345678", smart(sas), `"logical_unit_id": "0x(.*?)"`, "with the kind of name here"},
		{"storage/disks/serial=SAS-1/size_bytes", "268435456", smart(sas), `"bytes": (\d+)`, ""},
		{"storage/disks/serial=SAS-1/scsi/spc_version", "", smart(sas), `"scsi_version": "(.*?)"`, "the byte of INQUIRY here (5), its name there (SPC-3)"},
		{"storage/controllers/driver=megaraid_sas/hidden_disks", "[]", "", "", ""}, // asked through the controller, the one disk says that it is the one that the kernel shows
		{"storage/controllers/driver=megaraid_sas/model", "Virtual 9266", "", "", ""},
		{"storage/controllers/driver=megaraid_sas/volumes/state=Dgrd/level", "RAID1", "", "", ""},
		{"storage/disks/model=scsi_debug/celsius", "", smart(debug), `"current": (40)`, "the temperature page (0Dh) here; smartctl reads its subpage of environmental reports, to which scsi_debug gives another value"},
		{"storage/disks/model=scsi_debug/verdict", "ok", smart(debug), `"smart_status": \{\s*"passed": (\w+)`, "smartctl says passed: true; bee has four words"},
		{"storage/disks/model=scsi_debug/form_factor", "", smart(debug), `"form_factor": \{\s*"scsi_value": 5,\s*"name": "(.*?)"`, "spelled out here"},

		{link + "max_mts", "8000", "lspci -vv -s 00:0a.0", `LnkCap:.*Speed (.*?),`, "megatransfers a second here, GT/s there: the same"},
		{link + "max_width", "8", "lspci -vv -s 00:0a.0", `LnkCap:.*Width x(\d+)`, ""},
		{link + "width", "", "lspci -vv -s 00:0a.0", `LnkSta:.*Width x(\d+)`, ""},
		{"pcie/devices/address=0000:03:00.0/vendor_name", "", "lspci -vmm -s 03:00.0", `Vendor:\t(.*)`, ""},
		{"pcie/devices/address=0000:03:00.0/device_name", "", "lspci -vmm -s 03:00.0", `(?m)^Device:\t(Virtio.*)`, ""},
		{"pcie/devices/address=0000:00:0a.0/slot", "PCIe Slot 4", "lspci -vv -s 00:0a.0", `Slot #(\d+),`, "the name on the board (SMBIOS type 9) here, the number in the slot register there"},
		{"pcie/slots/name=PCIe Slot 4/type", "PCIe 3 x16", dmi, `(?s)Designation: PCIe Slot 4.*?Type: (.*?)\n`, "dmidecode writes the width in front of the kind and the generation with PCI Express"},

		{"network/interfaces/driver=e1000e/permanent_mac", "52:54:00:be:e0:02", "ip addr", `(52:54:00:be:e0:02)`, ""},
		{"network/interfaces/driver=vmxnet3/permanent_mac", "52:54:00:be:e0:03", "ip addr", `(52:54:00:be:e0:03)`, ""},
		{"network/interfaces/driver=virtio_net/permanent_mac", "52:54:00:be:e0:01", "ip addr", `(52:54:00:be:e0:01)`, ""},

		{"ipmi/bmc/device_id", "32", "ipmitool mc info", `Device ID +: (\d+)`, ""},
		{"ipmi/bmc/ipmi_version", "2.0", "ipmitool mc info", `IPMI Version +: (\S+)`, ""},
		{"ipmi/chassis/on", "true", "ipmitool chassis status", `System Power +: (\w+)`, "ipmitool says on"},
		{"ipmi/frus/unit=0/board_serial", "BRD-5521", "ipmitool fru print 0", `Board Serial +: (\S+)`, ""},
		{"ipmi/frus/unit=0/product_asset_tag", "ASSET-7", "ipmitool fru print 0", `Product Asset Tag +: (\S+)`, ""},
		{"ipmi/frus/unit=1/product_serial", "PSUSN-55", "ipmitool fru print 1", `Product Serial +: (\S+)`, ""},
		{"ipmi/sensors/name=Inlet Temp/thresholds/name=upper critical/value", "50", "", "", ""},
		{"ipmi/sensors/name=Inlet Temp/kind", "", "ipmitool -v sdr get 'Inlet Temp'", `Sensor Type .*: (\w+)`, "in lower case here"},
		{psu + "max_watts", "1600", dmi, `(?s)Serial Number: PSUSN-55.*?Max Power Capacity: (\d+) W`, ""},
		{psu + "plugged", "true", dmi, `(?s)Serial Number: PSUSN-55.*?Plugged: (\w+)`, "dmidecode says Yes"},
		{"psu/supplies/serial=PSUSN-56/plugged", "false", dmi, `(?s)Serial Number: PSUSN-56.*?Plugged: (\w+)`, "dmidecode says No"},
		{"ipmi/event_log/notable/what=uncorrectable ECC/count", "1", "ipmitool sel list", `(?i)(uncorrectable ecc)`, "a count here, a line there"},

		{"tpm/version", "2.0", "cat /sys/class/tpm/tpm0/tpm_version_major", `(\d)`, "with the minor version here"},
		{"tpm/vendor", "SWTPM", "", "", ""},
		{"tpm/pcrs/algorithm=sha256/values", "", "cat /sys/class/tpm/tpm0/pcr-sha256/0", `(\w{64})`, "all registers here, in a list"},
	}
}

// inReport follows a path; a field's value stands for the field.
func inReport(v any, path string) (string, error) {
	for _, step := range strings.Split(path, "/") {
		switch now := v.(type) {
		case map[string]any:
			v = now[step]
		case []any:
			key, want, _ := strings.Cut(step, "=")
			v = nil
			for _, e := range now {
				if m, ok := e.(map[string]any); ok && fmt.Sprint(unwrap(m[key])) == want {
					v = m
				}
			}
		}
		if v = unwrap(v); v == nil {
			return "", fmt.Errorf("the report has no %s (at %s)", path, step)
		}
	}
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.12g", f), nil
	}
	return fmt.Sprint(v), nil
}

func unwrap(v any) any {
	if m, ok := v.(map[string]any); ok {
		if _, section := m["collector"]; section {
			return m["data"]
		}
		if x, ok := m["value"]; ok && len(m) == 1 {
			return x
		}
	}
	return v
}

// loadsOnDemand: nobody asks for a file system's module before the operator mounts
// one. The kernel finds it by itself, and the character set that it wants in turn.
func (m *machine) loadsOnDemand() {
	m.t.Helper()
	loaded := func() string {
		var names []string
		for line := range strings.Lines(m.root("lsmod")) {
			if f := strings.Fields(line); len(f) > 0 && slices.Contains([]string{"vfat", "fat", "nls_cp437"}, f[0]) {
				names = append(names, f[0])
			}
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	if got := loaded(); got != "" {
		m.t.Errorf("before anything is mounted: %s", got)
	}
	m.root("mkdir /tmp/stick && mount -t vfat /dev/vda /tmp/stick && echo bee > /tmp/stick/a && umount /tmp/stick")
	if got := loaded(); got != "fat nls_cp437 vfat" {
		m.t.Errorf("after a volume was mounted: %q", got)
	}
	m.root("modprobe -r vfat && rmmod nls_cp437")
	m.root("modprobe -a ext4 xfs btrfs && modprobe -r btrfs && modprobe -r xfs") // with the checksums that they ask the kernel's crypto for
	if got := loaded(); got != "" {
		m.t.Errorf("after modprobe -r: %s", got)
	}
	if out, status := m.as("root", "mount -t nofs /dev/vda /tmp/stick", nil); status == 0 || !strings.Contains(out, "no such device") {
		m.t.Errorf("a file system that nobody knows: status %d: %s", status, out)
	}
}

// TestHardware gives QEMU one of everything, and holds bee's report against
// what QEMU was given and against what the field's own programs say on the same
// guest.
func TestHardware(t *testing.T) {
	m := hardware(t)
	m.trust()
	m.wait(auditDone)
	for _, c := range []string{
		"ipmitool raw 0x0a 0x44 0 0 2 0 0 0x20 0x5f 0x20 0 4 0x0c 0x10 0x6f 0xa1 0 1", // an uncorrectable ECC error
	} {
		m.root(c)
	}
	m.loadsOnDemand()
	text, status := m.as("root", "audit --json", nil)
	var report any
	if err := json.Unmarshal([]byte(text[:strings.LastIndexByte(text, '}')+1]), &report); err != nil {
		t.Fatal(err)
	}
	if status != 2 {
		t.Errorf("audit exits with %d where a disk is failing", status)
	}
	name := func(path string) string {
		s, err := inReport(report, path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	said := map[string]string{}
	var table strings.Builder
	for _, c := range compared(name("storage/disks/serial=SAS-1/name"), name("storage/disks/serial=SATA-1/name"), name("storage/disks/model=scsi_debug/name")) {
		got, err := inReport(report, c.path)
		if err != nil {
			t.Error(err)
			continue
		}
		if c.want != "" && got != c.want {
			t.Errorf("%s is %s; QEMU was given %s", c.path, got, c.want)
		}
		if c.tool == "" {
			continue
		}
		if _, ok := said[c.tool]; !ok {
			said[c.tool], _ = m.as("root", c.tool, nil) // smartctl's status is a bit field
		}
		found := regexp.MustCompile(c.find).FindStringSubmatch(said[c.tool])
		if found == nil {
			t.Errorf("%s: %s does not say it: no %s in\n%.3000s", c.path, c.tool, c.find, said[c.tool])
			continue
		}
		theirs := strings.TrimSpace(found[1])
		same := "yes"
		switch {
		case got != theirs && c.why == "":
			t.Errorf("%s is %s; %s says %s, and nobody has explained why", c.path, got, c.tool, theirs)
		case got == theirs && c.why != "":
			t.Errorf("%s is %s, and %s says so too: take the explanation out", c.path, got, c.tool)
		case got != theirs:
			same = c.why
		}
		if len(got) > 48 {
			got = got[:45] + "…"
		}
		if len(theirs) > 48 {
			theirs = theirs[:45] + "…"
		}
		tool := regexp.MustCompile(`/dev/sd\w`).ReplaceAllString(strings.TrimPrefix(c.tool, "/usr/sbin/"), "DISK")
		fmt.Fprintf(&table, "| `%s` | %s | %s | `%s`: %s | %s |\n", c.path, c.want, got, tool, theirs, same)
	}
	for _, id := range []string{"storage.failing@disk:NVME-1", "memory.mixed-parts", "memory.downclocked@dimm:P1-DIMME1", "memory.empty-slots", "psu.not-powered@psu:PSUSN-56", "storage.volume-degraded@hba:pci:0000:00/05.0/0/0"} {
		if !strings.Contains(text, `"`+id+`"`) {
			t.Errorf("no finding %s", id)
		}
	}
	playBack(m)
	want := comparedHead + table.String()
	if *update {
		if err := os.WriteFile(comparedFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(comparedFile)
	if err != nil || string(have) != want {
		t.Errorf("%s is not what was seen now (go test -run TestHardware -update writes it anew): %v\n%s", comparedFile, err, want)
	}
}

// playBack captures the machine, answers of its devices included, and wants the
// same report of the archive, again and again; and of a redacted one nothing
// that names the machine.
func playBack(m *machine) {
	m.t.Helper()
	m.as("root", "audit capture /tmp/machine.tgz", nil)
	first, status := m.as("root", "audit --root /tmp/machine.tgz --json", nil)
	again, _ := m.as("root", "audit --root /tmp/machine.tgz --json", nil)
	if status != 2 || first != again || len(first) < 10000 {
		m.t.Errorf("playing the capture back: status %d, %d and %d bytes", status, len(first), len(again))
	}
	if out, status := m.as("root", "audit capture --redact /tmp/redacted.tgz", nil); status != 2 {
		m.t.Errorf("redact: status %d: %s", status, out)
	}
	out, _ := m.as("root", "audit --root /tmp/redacted.tgz --json; gzip -dc < /tmp/redacted.tgz | strings", nil)
	for _, secret := range []string{"SYS-77001", "BRD-5521", "NVME-1", "SATA-1", "SAS-1", "PSUSN-55", "03A10003", "52:54:00:be:e0:02", "11223344-5566"} {
		if strings.Contains(out, secret) {
			m.t.Errorf("the redacted capture holds %s", secret)
		}
	}
}

const comparedHead = `# What bee's audit says, and what others say

One guest, given one of everything that QEMU can make: firmware tables of a
two-socket server, a management controller with inventories and sensors, NVMe
with a critical warning, SATA with SMART, SAS behind MegaRAID, scsi_debug, a PCIe
switch, a TPM, three kinds of network card. Each field is held against what QEMU
was given and against the program of the field, from Debian's packages, on the
same guest. The test TestHardware of pkg/build/e2e makes this table and fails
where a difference is not explained.

| field | given | bee | the other program | same |
|---|---|---|---|---|
`
