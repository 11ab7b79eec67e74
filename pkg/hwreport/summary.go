package hwreport

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// maxFindings is how many findings the summary names.
const maxFindings = 6

// Summary is the report on one screen, at most width columns wide: who the
// machine is, what is in it, what is wrong with it.
func Summary(r *Report, width int) []string {
	s := summary{width: width}
	b := r.Board.Data
	s.line("machine", cmp.Or(who(b.System.Manufacturer, b.System.Product), "?"), label("serial", b.System.Serial), label("uuid", b.System.UUID))
	if r.Board.Collector.Status == Skipped { // --only: what nobody looked at is left out
		s.lines = nil
	} else {
		s.line("firmware", who(b.Firmware.Vendor, b.Firmware.Version), b.Firmware.Date.Or(""), r.Boot.Data.Mode.Or("?"), secureBoot(r.Boot.Data.SecureBoot))
	}
	if c := r.CPU.Data; r.CPU.Collector.Status != Skipped {
		s.line("cpu", c.Model.Or("?"), plural(c.Packages, "package"), plural(c.Cores, "core"), plural(c.Threads, "thread"))
	}
	if r.Memory.Collector.Status != Skipped {
		s.memory(r.Memory.Data)
	}
	for i, d := range r.Storage.Data.Disks.Or(nil) {
		s.line(once(i, "storage"), d.Name, Size(d.Bytes.Or(0)), join(d.Vendor.Or(""), d.Model.Or("")), d.Transport.Or(""), label("serial", d.Serial))
	}
	if r.Storage.Data.Disks.State() == IsAbsent {
		s.line("storage", "no disk")
	}
	for i, n := range r.Network.Data.Interfaces.Or(nil) {
		s.line(once(i, "network"), n.Name, n.MAC.Or("?"), n.Driver.Or("no driver"), link(n), strings.Join(n.Addresses.Or(nil), " "))
	}
	if r.Network.Data.Interfaces.State() == IsAbsent {
		s.line("network", "no interface")
	}
	if d, ok := r.PCIe.Data.Devices.Get(); ok {
		s.line("pci", fmt.Sprintf("%d functions", len(d)))
	}
	s.gpus(r.GPU.Data)
	s.psu(r.PSU.Data, r.IPMI.Data)
	s.verdict(r)
	return s.lines
}

type summary struct {
	width int
	lines []string
}

// line adds a labelled line of the parts that are not empty.
func (s *summary) line(name string, parts ...string) {
	var kept []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			kept = append(kept, p)
		}
	}
	s.lines = append(s.lines, cut(fmt.Sprintf("%-12s %s", name, strings.Join(kept, ", ")), s.width))
}

func (s *summary) memory(m Memory) {
	full := 0
	var kind string
	for _, d := range m.Modules.Or(nil) {
		if d.Bytes.State() == IsValue {
			full++
			kind = d.Type.Or("")
		}
	}
	slots := ""
	if _, ok := m.Slots.Get(); ok {
		slots = fmt.Sprintf("%d of %s slots", full, m.Slots)
	}
	size := Size(m.Installed.Or(m.Mapped.Or(m.Usable.Or(0))))
	s.line("memory", size, slots, kind, label("ECC", m.ECC), Size(m.Usable.Or(0))+" usable")
}

func (s *summary) psu(p PSU, i IPMI) {
	for i, u := range p.Supplies.Or(nil) {
		s.line(once(i, "power"), u.Location.Or(u.Name.Or("?")), join(u.Manufacturer.Or(""), u.Model.Or("")), u.Status.Or(""))
	}
	if b, ok := i.BMC.Get(); ok {
		s.line("bmc", "firmware "+b.Firmware.Or("?"), "IPMI "+b.IPMI.Or("?"))
	}
}

func (s *summary) verdict(r *Report) {
	failures, warnings, infos := r.Count()
	s.line("verdict", fmt.Sprintf("%s: %d failures, %d warnings, %d notes, in %d ms", strings.ToUpper(string(r.Verdict)), failures, warnings, infos, r.Duration.Round(time.Millisecond).Milliseconds()))
	for _, c := range r.Collectors() {
		if c.Status != OK && c.Status != Skipped {
			s.line("", fmt.Sprintf("collector %s: %s %s", c.Name, c.Status, c.Error))
		}
	}
	for i, f := range r.Findings {
		if i == maxFindings {
			s.line("", fmt.Sprintf("… and %d more in /%s", len(r.Findings)-i, Path))
			break
		}
		s.line("", fmt.Sprintf("%s: %s", f.Severity, f.Message))
	}
}

// cut shortens a line to n columns.
func cut(s string, n int) string {
	if n <= 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// once labels the first line of several.
func once(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

func join(parts ...string) string { return strings.TrimSpace(strings.Join(parts, " ")) }

// who is a maker and what it made: a board may tell the second alone.
func who(maker, made Field[string]) string {
	if maker.State() == IsAbsent {
		return made.Or("")
	}
	return join(maker.Or("?"), made.Or(""))
}

func label(name string, f Field[string]) string {
	if v, ok := f.Get(); ok {
		return name + " " + v
	}
	return ""
}

func plural(n Field[int64], word string) string {
	v, ok := n.Get()
	if !ok {
		return ""
	}
	if v != 1 {
		word += "s"
	}
	return fmt.Sprintf("%d %s", v, word)
}

func secureBoot(f Field[bool]) string {
	switch v, ok := f.Get(); {
	case ok && v:
		return "Secure Boot on"
	case ok:
		return "Secure Boot off"
	}
	return ""
}

func link(n NIC) string {
	carrier, ok := n.Carrier.Get()
	switch {
	case !ok:
		return ""
	case !carrier:
		return "no carrier"
	}
	if m, ok := n.Mbps.Get(); ok {
		return fmt.Sprintf("%d Mbit/s", m)
	}
	return "carrier"
}

// Size writes a number of bytes for people, in binary units.
func Size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if v >= 100 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f %ciB", v, units[i])
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
