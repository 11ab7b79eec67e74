package hwreport

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ChangeKind is what became of a part.
type ChangeKind string

// The kinds of change. Unknown is no change that was seen: one of the reports
// could not look.
const (
	Missing       ChangeKind = "missing"
	Added         ChangeKind = "added"
	Moved         ChangeKind = "moved"
	Replaced      ChangeKind = "replaced"
	Downgraded    ChangeKind = "downgraded"
	Upgraded      ChangeKind = "upgraded"
	FirmwareDrift ChangeKind = "firmware-drift"
	FindingNew    ChangeKind = "finding-new"
	FindingGone   ChangeKind = "finding-gone"
	NotComparable ChangeKind = "unknown"
)

// Change is one difference between two reports.
type Change struct {
	Kind    ChangeKind `json:"kind"`
	Part    string     `json:"part"` // "disk", "dimm", …
	Subject string     `json:"subject"`
	Before  string     `json:"before,omitempty"`
	After   string     `json:"after,omitempty"`
}

// String is one line for people.
func (c Change) String() string {
	s := fmt.Sprintf("%-14s %s %s", c.Kind, c.Part, c.Subject)
	switch {
	case c.Before != "" && c.After != "":
		s += ": " + c.Before + " → " + c.After
	case c.Before+c.After != "":
		s += ": " + c.Before + c.After
	}
	return s
}

// part is what is compared: something that can be taken out, put elsewhere, or
// exchanged.
type part struct {
	kind, id, place, serial, model, firmware string
	can                                      map[string]int64 // what is worse when it is less
}

// parts lists the parts of a report by kind; a kind whose list could not be
// learnt has a reason instead.
func parts(r *Report) (list map[string][]part, unknown map[string]string) {
	list, unknown = map[string][]part{}, map[string]string{}
	add := func(p part) { list[p.kind] = append(list[p.kind], p) }
	b := &r.Board.Data
	if b.System.Product.State() == IsUnknown && b.System.Serial.State() == IsUnknown {
		unknown["system"] = b.System.Product.Reason()
	} else {
		add(part{kind: "system", id: "system", place: "system", serial: b.System.Serial.Or(""), model: strings.TrimSpace(b.System.Manufacturer.Or("") + " " + b.System.Product.Or("")), firmware: b.Firmware.Version.Or("")})
	}
	if v, ok := known(unknown, "cpu", r.CPU.Data.Sockets); ok {
		for _, s := range v {
			if s.Populated.Or(false) {
				add(part{"cpu", s.ID, s.Designation.Or(s.ID), s.Serial.Or(""), s.Model.Or(""), "", numbers("cores", s.CoresEnabled, "threads", s.Threads, "MHz", s.MaxMHz)})
			}
		}
	}
	if v, ok := known(unknown, "microcode", r.CPU.Data.Microcode); ok {
		add(part{kind: "microcode", id: "microcode", place: "microcode", firmware: strings.Join(v, " ")})
	}
	if v, ok := known(unknown, "dimm", r.Memory.Data.Modules); ok {
		for _, d := range v {
			if d.Bytes.State() == IsValue {
				add(part{"dimm", d.ID, d.ID, d.Serial.Or(""), strings.TrimSpace(d.Manufacturer.Or("") + " " + d.Part.Or("")), d.Firmware.Or(""), numbers("bytes", d.Bytes, "MT/s", d.RunsMTs)})
			}
		}
	}
	if v, ok := known(unknown, "disk", r.Storage.Data.Disks); ok {
		for _, c := range r.Storage.Data.Controllers.Or(nil) {
			v = append(slices.Clone(v), c.Hidden.Or(nil)...)
		}
		for _, d := range v {
			if d.Kind == "disk" && !d.Removable.Or(false) {
				add(part{"disk", d.ID, cmp.Or(d.Bay.Or(""), d.Slot, d.Name), d.Serial.Or(d.WWN.Or("")), d.Model.Or(""), d.Firmware.Or(""), numbers("bytes", d.Bytes)})
			}
		}
	}
	if v, ok := known(unknown, "pci", r.PCIe.Data.Devices); ok {
		for _, d := range v {
			if d.VirtualFunction {
				continue
			}
			p := part{kind: "pci", id: d.ID, place: d.ID, model: strings.Join([]string{d.Vendor.Or("?"), d.Device.Or("?"), d.SubsystemVendor.Or(""), d.SubsystemDevice.Or("")}, ":")}
			if l, ok := d.Link.Get(); ok {
				p.can = map[string]int64{"lanes": l.Width, "MT/s": l.MaxMTs}
			}
			add(p)
		}
	}
	if v, ok := known(unknown, "gpu", r.GPU.Data.Devices); ok {
		gpuParts(v, add, unknown)
	}
	if v, ok := known(unknown, "nic", r.Network.Data.Interfaces); ok {
		for _, n := range v {
			add(part{"nic", n.ID, n.Slot, n.PermanentMAC.Or(""), n.Driver.Or(""), n.Firmware.Or(""), numbers("Mbit/s", n.Mbps)})
		}
	}
	for _, n := range r.Network.Data.Interfaces.Or(nil) {
		if len(n.Neighbours.Or(nil)) == 0 {
			continue // a switch that was not heard yet is no cable that was pulled
		}
		for _, k := range n.Neighbours.Or(nil) {
			add(part{kind: "cable", id: n.ID, place: n.Slot, model: strings.TrimSpace(cmp.Or(k.SystemName, k.ChassisID) + " port " + k.PortID)})
		}
	}
	if v, ok := known(unknown, "psu", r.PSU.Data.Supplies); ok {
		for _, p := range v {
			if p.Present.Or(true) {
				add(part{"psu", p.ID, p.Location.Or(p.Name.Or(p.ID)), p.Serial.Or(""), p.Model.Or(""), p.Revision.Or(""), numbers("W", p.MaxWatts)})
			}
		}
	}
	if v, ok := known(unknown, "bmc", r.IPMI.Data.BMC); ok {
		add(part{kind: "bmc", id: "bmc", place: "bmc", firmware: v.Firmware.Or("")})
	}
	return list, unknown
}

func known[T any](unknown map[string]string, kind string, f Field[T]) (T, bool) {
	if f.State() == IsUnknown {
		unknown[kind] = f.Reason()
	}
	return f.Get()
}

func numbers(pairs ...any) map[string]int64 {
	m := map[string]int64{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if n, ok := pairs[i+1].(Field[int64]).Get(); ok {
			m[pairs[i].(string)] = n
		}
	}
	return m
}

// Diff tells what changed from report a to report b, parts first, then
// findings. A part of which one report could learn nothing is NotComparable,
// never missing.
func Diff(a, b *Report) []Change {
	before, unknownA := parts(a)
	after, unknownB := parts(b)
	var out []Change
	for _, kind := range []string{"system", "cpu", "microcode", "dimm", "disk", "pci", "gpu", "gpu-board", "nic", "psu", "bmc"} {
		reasonA, badA := unknownA[kind]
		reasonB, badB := unknownB[kind]
		switch {
		case badA && badB:
		case badA:
			out = append(out, Change{Kind: NotComparable, Part: kind, Subject: "all", Before: reasonA})
		case badB:
			out = append(out, Change{Kind: NotComparable, Part: kind, Subject: "all", After: reasonB})
		default:
			out = append(out, diffParts(kind, before[kind], after[kind])...)
		}
	}
	out = append(out, cables(before["cable"], after["cable"])...)
	have := func(r *Report) map[string]Finding {
		m := map[string]Finding{}
		for _, f := range r.Findings {
			m[f.ID] = f
		}
		return m
	}
	was, is := have(a), have(b)
	for _, id := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[id]; !ok {
			out = append(out, Change{Kind: FindingNew, Part: "finding", Subject: id, After: is[id].Message})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[id]; !ok {
			out = append(out, Change{Kind: FindingGone, Part: "finding", Subject: id, Before: was[id].Message})
		}
	}
	return out
}

// cables tells which interfaces are plugged in elsewhere: only those whose other
// end both reports know.
func cables(a, b []part) []Change {
	var out []Change
	for _, x := range a {
		var now []string
		same := false
		for _, y := range b {
			if y.id == x.id {
				now = append(now, y.model)
				same = same || y.model == x.model
			}
		}
		if now != nil && !same {
			out = append(out, Change{Moved, "cable", x.id, x.model, strings.Join(now, ", ")})
		}
	}
	return out
}

// diffParts pairs the parts of one kind: by serial number, else by place and
// model; what is left is paired by place (replaced), then by model (moved).
func diffParts(kind string, a, b []part) []Change {
	var out []Change
	usedA, usedB := make([]bool, len(a)), make([]bool, len(b))
	pair := func(same func(x, y part) bool, tell func(x, y part)) {
		for i := range a {
			for k := range b {
				if !usedA[i] && !usedB[k] && same(a[i], b[k]) {
					usedA[i], usedB[k] = true, true
					tell(a[i], b[k])
				}
			}
		}
	}
	change := func(k ChangeKind, subject, x, y string) {
		out = append(out, Change{k, kind, subject, x, y})
	}
	worse := func(x, y part) {
		for _, what := range slices.Sorted(maps.Keys(x.can)) {
			n, ok := y.can[what]
			switch m := x.can[what]; {
			case ok && n < m:
				change(Downgraded, y.id, fmt.Sprintf("%d %s", m, what), fmt.Sprintf("%d %s", n, what))
			case ok && n > m:
				change(Upgraded, y.id, fmt.Sprintf("%d %s", m, what), fmt.Sprintf("%d %s", n, what))
			}
		}
	}
	same := func(x, y part) {
		if x.place != y.place {
			change(Moved, y.id, x.place, y.place)
		}
		if x.firmware != y.firmware && x.firmware != "" && y.firmware != "" {
			change(FirmwareDrift, y.id, x.firmware, y.firmware)
		}
		worse(x, y)
	}
	serials := func(x, y part) bool { return x.serial != "" && x.serial == y.serial }
	pair(func(x, y part) bool { return serials(x, y) && x.place == y.place }, same)
	pair(serials, same)
	pair(func(x, y part) bool {
		return x.place == y.place && x.model == y.model && (x.serial == "" || y.serial == "")
	}, same)
	pair(func(x, y part) bool { return x.place == y.place }, func(x, y part) {
		change(Replaced, y.id, x.name(), y.name())
		worse(x, y)
	})
	pair(func(x, y part) bool { return x.model == y.model && x.model != "" && x.serial == "" && y.serial == "" }, same)
	for i, x := range a {
		if !usedA[i] {
			change(Missing, x.id, x.name(), "")
		}
	}
	for i, y := range b {
		if !usedB[i] {
			change(Added, y.id, "", y.name())
		}
	}
	return out
}

func (p part) name() string {
	s := cmp.Or(p.model, p.id)
	if p.serial != "" {
		s += " " + p.serial
	}
	return s
}
