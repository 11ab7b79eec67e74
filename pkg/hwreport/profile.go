package hwreport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// Profile is what a kind of machine must have, whatever its serial numbers.
// Text is a pattern of path.Match; what is left out is not looked at.
type Profile struct {
	Name         string        `json:"name"`
	Manufacturer string        `json:"manufacturer"`
	Product      string        `json:"product"`
	Firmware     string        `json:"firmware"`     // version of the BIOS
	BMCFirmware  string        `json:"bmc_firmware"` //
	SecureBoot   *bool         `json:"secure_boot"`
	CPU          ProfileCPU    `json:"cpu"`
	Memory       ProfileMemory `json:"memory"`
	Disks        []ProfileDisk `json:"disks"`
	NICs         []ProfileNIC  `json:"nics"`
	PCI          []ProfilePCI  `json:"pci"`
	GPUs         []ProfileGPU  `json:"gpus"`
	PSU          ProfilePSU    `json:"psu"`
	Allow        []string      `json:"allow_findings"` // codes or ids that may be there
	MaxSeverity  Severity      `json:"max_severity"`   // the gravest finding that may be there; empty: any
}

// ProfileCPU is the least that the processors must be.
type ProfileCPU struct {
	Model    string `json:"model"`
	Packages int64  `json:"packages"` // exactly
	Cores    int64  `json:"min_cores"`
	Threads  int64  `json:"min_threads"`
}

// ProfileMemory is the least that the memory must be.
type ProfileMemory struct {
	Bytes   int64 `json:"min_bytes"`
	Modules int64 `json:"modules"` // exactly
	MTs     int64 `json:"min_mts"`
	ECC     bool  `json:"ecc"`
}

// ProfileDisk is a group of disks.
type ProfileDisk struct {
	Count     int64  `json:"count"` // at least
	Model     string `json:"model"`
	Transport string `json:"transport"`
	Firmware  string `json:"firmware"`
	Bytes     int64  `json:"min_bytes"`
	MaxUsed   *int64 `json:"max_used_percent"`
}

// ProfileNIC is a group of interfaces.
type ProfileNIC struct {
	Count  int64  `json:"count"` // at least
	Driver string `json:"driver"`
	Mbps   int64  `json:"min_mbps"`
}

// ProfilePCI is a group of PCI functions.
type ProfilePCI struct {
	Count int64  `json:"count"` // at least
	ID    string `json:"id"`    // "10de:2330", patterns allowed
	Width int64  `json:"min_width"`
	MTs   int64  `json:"min_mts"`
}

// ProfilePSU is the least that the power supplies must be.
type ProfilePSU struct {
	Count int64 `json:"count"` // at least, present and plugged in
	Watts int64 `json:"min_watts"`
}

// DecodeProfile reads a profile; a key that it does not know is an error.
func DecodeProfile(b []byte) (*Profile, error) {
	p := new(Profile)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("decode profile: %w", err)
	}
	for _, pattern := range p.patterns() {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("decode profile: %q: %w", pattern, err)
		}
	}
	switch p.MaxSeverity {
	case "", Info, Warning, Failure:
		return p, nil
	}
	return nil, fmt.Errorf("decode profile: max_severity %q is none of info, warning, failure", p.MaxSeverity)
}

func (p *Profile) patterns() []string {
	list := append([]string{p.Manufacturer, p.Product, p.Firmware, p.BMCFirmware, p.CPU.Model}, p.Allow...)
	for _, d := range p.Disks {
		list = append(list, d.Model, d.Transport, d.Firmware)
	}
	for _, n := range p.NICs {
		list = append(list, n.Driver)
	}
	for _, d := range p.PCI {
		list = append(list, d.ID)
	}
	for _, g := range p.GPUs {
		list = append(list, g.Model, g.VBIOS)
	}
	return list
}

// Check holds a report against the profile. Unmet is what is not as it should
// be, unknown what could not be looked at: that is never fine.
func (p *Profile) Check(r *Report) (unmet, unknown []string) {
	text := func(what, pattern string, f Field[string]) {
		if pattern == "" {
			return
		}
		if v, ok := f.Get(); ok {
			if m, _ := path.Match(pattern, v); !m { // DecodeProfile checked the pattern
				unmet = append(unmet, fmt.Sprintf("%s is %q, not %q", what, v, pattern))
			}
		} else if f.State() == IsUnknown {
			unknown = append(unknown, what+": "+f.Reason())
		} else {
			unmet = append(unmet, fmt.Sprintf("%s is not there, %q should be", what, pattern))
		}
	}
	number := func(what string, least int64, exact bool, f Field[int64]) {
		if least == 0 {
			return
		}
		v, ok := f.Get()
		switch {
		case !ok && f.State() == IsUnknown:
			unknown = append(unknown, what+": "+f.Reason())
		case exact && v != least:
			unmet = append(unmet, fmt.Sprintf("%s is %d, not %d", what, v, least))
		case v < least:
			unmet = append(unmet, fmt.Sprintf("%s is %d, at least %d should be", what, v, least))
		}
	}
	b := &r.Board.Data
	text("manufacturer", p.Manufacturer, b.System.Manufacturer)
	text("product", p.Product, b.System.Product)
	text("firmware version", p.Firmware, b.Firmware.Version)
	if p.BMCFirmware != "" {
		bmc, ok := r.IPMI.Data.BMC.Get()
		if !ok {
			bmc.Firmware = Unknown[string](r.IPMI.Data.BMC.Reason())
			if r.IPMI.Data.BMC.State() == IsAbsent {
				bmc.Firmware = Absent[string]()
			}
		}
		text("BMC firmware", p.BMCFirmware, bmc.Firmware)
	}
	if p.SecureBoot != nil {
		if v, ok := r.Boot.Data.SecureBoot.Get(); ok && v != *p.SecureBoot || !ok && r.Boot.Data.SecureBoot.State() == IsAbsent && *p.SecureBoot {
			unmet = append(unmet, fmt.Sprintf("Secure Boot is %v, not %v", v, *p.SecureBoot))
		} else if !ok && r.Boot.Data.SecureBoot.State() == IsUnknown {
			unknown = append(unknown, "Secure Boot: "+r.Boot.Data.SecureBoot.Reason())
		}
	}
	text("processor", p.CPU.Model, r.CPU.Data.Model)
	number("processors", p.CPU.Packages, true, r.CPU.Data.Packages)
	number("cores", p.CPU.Cores, false, r.CPU.Data.Cores)
	number("threads", p.CPU.Threads, false, r.CPU.Data.Threads)
	p.checkMemory(r, number, &unmet, &unknown)
	p.checkGroups(r, &unmet, &unknown)
	for _, f := range r.Findings {
		if p.MaxSeverity == "" || f.Severity.rank() >= p.MaxSeverity.rank() || p.allows(f) {
			continue
		}
		unmet = append(unmet, fmt.Sprintf("finding %s: %s", f.ID, f.Message))
	}
	return unmet, unknown
}

func (p *Profile) allows(f Finding) bool {
	for _, pattern := range p.Allow {
		a, _ := path.Match(pattern, f.Code)
		b, _ := path.Match(pattern, f.ID)
		if a || b || pattern == f.ID {
			return true
		}
	}
	return false
}

func (p *Profile) checkMemory(r *Report, number func(string, int64, bool, Field[int64]), unmet, unknown *[]string) {
	m := &r.Memory.Data
	number("memory", p.Memory.Bytes, false, m.Installed)
	modules, ok := m.Modules.Get()
	if !ok && (p.Memory.Modules != 0 || p.Memory.MTs != 0) {
		*unknown = append(*unknown, "memory modules: "+m.Modules.Reason())
		return
	}
	full := int64(0)
	for _, d := range modules {
		if d.Bytes.State() != IsValue {
			continue
		}
		full++
		number("speed of "+d.ID, p.Memory.MTs, false, d.RunsMTs)
	}
	number("memory modules", p.Memory.Modules, true, Value(full))
	if p.Memory.ECC && !strings.Contains(m.ECC.Or(""), "ECC") {
		if m.ECC.State() == IsUnknown {
			*unknown = append(*unknown, "ECC: "+m.ECC.Reason())
		} else {
			*unmet = append(*unmet, "the memory has no ECC")
		}
	}
}

func (p *Profile) checkGroups(r *Report, unmet, unknown *[]string) {
	matches := func(pattern, v string) bool {
		m, _ := path.Match(pattern, v)
		return pattern == "" || m
	}
	count := func(what string, want int64, state State, reason string, fits func() int64) {
		if state == IsUnknown {
			*unknown = append(*unknown, what+": "+reason)
			return
		}
		if n := fits(); n < max(want, 1) {
			*unmet = append(*unmet, fmt.Sprintf("%s: %d fit, %d should", what, n, max(want, 1)))
		}
	}
	for _, g := range p.Disks {
		f := r.Storage.Data.Disks
		count(fmt.Sprintf("disks %s %s", g.Transport, g.Model), g.Count, f.State(), f.Reason(), func() (n int64) {
			for _, d := range f.Or(nil) {
				if d.Kind == "disk" && matches(g.Model, d.Model.Or("")) && matches(g.Transport, d.Transport.Or("")) && matches(g.Firmware, d.Firmware.Or("")) && d.Bytes.Or(0) >= g.Bytes &&
					(g.MaxUsed == nil || d.UsedPercent.State() == IsValue && d.UsedPercent.Or(0) <= *g.MaxUsed) {
					n++
				}
			}
			return n
		})
	}
	for _, g := range p.NICs {
		f := r.Network.Data.Interfaces
		count("interfaces "+g.Driver, g.Count, f.State(), f.Reason(), func() (n int64) {
			for _, d := range f.Or(nil) {
				if matches(g.Driver, d.Driver.Or("")) && d.Mbps.Or(0) >= g.Mbps {
					n++
				}
			}
			return n
		})
	}
	for _, g := range p.PCI {
		f := r.PCIe.Data.Devices
		count("PCI "+g.ID, g.Count, f.State(), f.Reason(), func() (n int64) {
			for _, d := range f.Or(nil) {
				l := d.Link.Or(PCILink{})
				if matches(g.ID, d.Vendor.Or("")+":"+d.Device.Or("")) && l.Width >= g.Width && l.MTs >= g.MTs {
					n++
				}
			}
			return n
		})
	}
	p.checkGPUs(r, count, matches, unknown)
	if p.PSU != (ProfilePSU{}) {
		f := r.PSU.Data.Supplies
		count("power supplies", p.PSU.Count, f.State(), f.Reason(), func() (n int64) {
			for _, s := range f.Or(nil) {
				if s.Present.Or(true) && s.Plugged.Or(true) && s.MaxWatts.Or(0) >= p.PSU.Watts {
					n++
				}
			}
			return n
		})
	}
}
