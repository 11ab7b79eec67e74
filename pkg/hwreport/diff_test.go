package hwreport

import (
	"fmt"
	"strings"
	"testing"
)

// rack is a report with two disks, two modules, a card and a controller.
func rack() *Report {
	r := &Report{Schema: Schema, Findings: []Finding{}}
	for _, c := range r.Collectors() {
		c.Status, c.Source = OK, []string{}
	}
	r.Board.Data.System.Product, r.Board.Data.System.Serial, r.Board.Data.Firmware.Version = Value("Server"), Value("S-1"), Value("1.0")
	r.CPU.Data.Sockets, r.CPU.Data.Microcode = Value([]Socket{}), Value([]string{"0x1"})
	r.CPU.Data.Packages, r.CPU.Data.Cores = Value(int64(2)), Value(int64(32))
	r.Memory.Data.Installed, r.Memory.Data.ECC = Value(int64(64<<30)), Value("Multi-bit ECC")
	dimm := func(place, serial string, size int64) DIMM {
		return DIMM{ID: "dimm:" + place, Part: Value("M393"), Serial: Value(serial), Bytes: Value(size), RunsMTs: Value(int64(3200))}
	}
	r.Memory.Data.Modules = Value([]DIMM{dimm("A1", "D1", 32<<30), dimm("B1", "D2", 32<<30)})
	disk := func(place, serial, firmware string, size int64) Disk {
		return Disk{ID: "disk:" + serial, Kind: "disk", Slot: place, Serial: Value(serial), Model: Value("PM1733"), Firmware: Value(firmware), Bytes: Value(size), Transport: Value("nvme"), UsedPercent: Value(int64(3))}
	}
	r.Storage.Data.Disks = Value([]Disk{disk("bay1", "N1", "F1", 1e12), disk("bay2", "N2", "F1", 1e12)})
	r.PCIe.Data.Devices = Value([]PCIDevice{{ID: "pci:0/1", Vendor: Value("10de"), Device: Value("2330"), Link: Value(PCILink{MTs: 32000, Width: 16, MaxMTs: 32000, MaxWidth: 16})}})
	r.Network.Data.Interfaces, r.PSU.Data.Supplies = Value([]NIC{{ID: "nic:a", Slot: "s", PermanentMAC: Value("a"), Driver: Value("mlx5_core"), Neighbours: Value([]Neighbour{{SystemName: "leaf-1", PortID: "Eth7"}}), Mbps: Value(int64(100000))}}), Value([]PowerSupply{{ID: "psu:1", Present: Value(true), Plugged: Value(true), MaxWatts: Value(int64(1600))}})
	r.IPMI.Data.BMC = Value(BMC{Firmware: Value("1.70")})
	r.Boot.Data.SecureBoot = Value(true)
	Fill(r, "test")
	return r
}

func TestDiff(t *testing.T) {
	disks := func(r *Report) []Disk { return r.Storage.Data.Disks.Or(nil) }
	for name, c := range map[string]struct {
		change func(*Report)
		want   string
	}{
		"nothing": {func(*Report) {}, ""},
		"pulled":  {func(r *Report) { r.Storage.Data.Disks = Value(disks(r)[:1]) }, "missing disk disk:N2"},
		"added": {func(r *Report) {
			d := disks(r)[0]
			d.ID, d.Serial, d.Slot = "disk:N3", Value("N3"), "bay3"
			r.Storage.Data.Disks = Value(append(disks(r), d))
		}, "added disk disk:N3"},
		"moved":    {func(r *Report) { disks(r)[1].Slot = "bay7" }, "moved disk disk:N2"},
		"swapped":  {func(r *Report) { disks(r)[0].Slot, disks(r)[1].Slot = "bay2", "bay1" }, "moved disk disk:N1, moved disk disk:N2"},
		"replaced": {func(r *Report) { disks(r)[1].Serial, disks(r)[1].ID = Value("N9"), "disk:N9" }, "replaced disk disk:N9"},
		"by less": {func(r *Report) {
			disks(r)[1].Serial, disks(r)[1].ID, disks(r)[1].Bytes = Value("N9"), "disk:N9", Value(int64(5e11))
		}, "replaced disk disk:N9, downgraded disk disk:N9"},
		"updated":       {func(r *Report) { disks(r)[0].Firmware = Value("F2") }, "firmware-drift disk disk:N1"},
		"slower memory": {func(r *Report) { r.Memory.Data.Modules.Or(nil)[0].RunsMTs = Value(int64(2933)) }, "downgraded dimm dimm:A1"},
		"lost lanes": {func(r *Report) {
			r.PCIe.Data.Devices.Or(nil)[0].Link = Value(PCILink{MTs: 32000, Width: 8, MaxMTs: 32000, MaxWidth: 16})
		}, "downgraded pci pci:0/1"},
		"BIOS": {func(r *Report) { r.Board.Data.Firmware.Version = Value("1.1") }, "firmware-drift system system"},
		"BMC":  {func(r *Report) { r.IPMI.Data.BMC = Value(BMC{Firmware: Value("1.71")}) }, "firmware-drift bmc bmc"},
		"plugged in elsewhere": {func(r *Report) {
			r.Network.Data.Interfaces.Or(nil)[0].Neighbours = Value([]Neighbour{{SystemName: "leaf-1", PortID: "Eth8"}})
		}, "moved cable nic:a"},
		"not heard yet": {func(r *Report) {
			r.Network.Data.Interfaces.Or(nil)[0].Neighbours = Unknown[[]Neighbour]("5s")
		}, ""},
		"could not look": {func(r *Report) { r.Storage.Data.Disks = Unknown[[]Disk]("timeout") }, "unknown disk all"},
		"found":          {func(r *Report) { r.Findings = append(r.Findings, NewFinding(Warning, "cpu.offline", "", "x")) }, "finding-new finding cpu.offline"},
	} {
		b := rack()
		c.change(b)
		var got []string
		for _, d := range Diff(rack(), b) {
			got = append(got, fmt.Sprintf("%s %s %s", d.Kind, d.Part, d.Subject))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}

func TestProfile(t *testing.T) {
	const good = `{"name":"gpu","product":"Serv*","bmc_firmware":"1.7?","secure_boot":true,"cpu":{"packages":2,"min_cores":32},"memory":{"min_bytes":68719476736,"modules":2,"min_mts":3200,"ecc":true},
		"disks":[{"count":2,"transport":"nvme","min_bytes":1000000000000,"max_used_percent":5}],"nics":[{"count":1,"driver":"mlx5*","min_mbps":100000}],"pci":[{"count":1,"id":"10de:2330","min_width":16}],"psu":{"count":1,"min_watts":1600},"max_severity":"info"}`
	p, err := DecodeProfile([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if unmet, unknown := p.Check(rack()); unmet != nil || unknown != nil {
		t.Errorf("%q, %q", unmet, unknown)
	}
	for name, c := range map[string]struct {
		change         func(*Report)
		unmet, unknown string
	}{
		"fewer disks":  {func(r *Report) { r.Storage.Data.Disks = Value(r.Storage.Data.Disks.Or(nil)[:1]) }, "disks nvme", ""},
		"worn":         {func(r *Report) { r.Storage.Data.Disks.Or(nil)[0].UsedPercent = Value(int64(60)) }, "disks nvme", ""},
		"slow memory":  {func(r *Report) { r.Memory.Data.Modules.Or(nil)[1].RunsMTs = Value(int64(2933)) }, "speed of dimm:B1", ""},
		"a finding":    {func(r *Report) { r.Findings = []Finding{NewFinding(Warning, "pcie.width-lost", "x", "y")} }, "pcie.width-lost", ""},
		"not looked":   {func(r *Report) { r.PSU.Data.Supplies = Unknown[[]PowerSupply]("silent") }, "", "power supplies: silent"},
		"no secure":    {func(r *Report) { r.Boot.Data.SecureBoot = Absent[bool]() }, "Secure Boot", ""},
		"old firmware": {func(r *Report) { r.IPMI.Data.BMC = Value(BMC{Firmware: Value("1.69")}) }, "BMC firmware", ""},
	} {
		r := rack()
		c.change(r)
		unmet, unknown := p.Check(r)
		if !strings.Contains(strings.Join(unmet, ";"), c.unmet) || !strings.Contains(strings.Join(unknown, ";"), c.unknown) || (c.unmet == "") != (unmet == nil) || (c.unknown == "") != (unknown == nil) {
			t.Errorf("%s: unmet %q, unknown %q", name, unmet, unknown)
		}
	}
	p.Allow = []string{"pcie.*"}
	r := rack()
	r.Findings = []Finding{NewFinding(Warning, "pcie.width-lost", "x", "y")}
	if unmet, _ := p.Check(r); unmet != nil {
		t.Errorf("an allowed finding: %q", unmet)
	}
	for name, text := range map[string]string{"unknown key": `{"disk":[]}`, "bad pattern": `{"product":"[a"}`, "bad severity": `{"max_severity":"dire"}`, "no JSON": `x`} {
		if _, err := DecodeProfile([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzCompare(f *testing.F) {
	b, err := rack().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"name":"x","disks":[{"count":1}]}`))
	base := rack()
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := Decode(b); err == nil {
			Diff(base, r)
			Diff(r, base)
			Summary(r, 80)
		}
		if p, err := DecodeProfile(b); err == nil {
			p.Check(base)
		}
	})
}
