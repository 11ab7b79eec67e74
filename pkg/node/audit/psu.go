package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// psu reads the power supplies that the firmware lists (SMBIOS type 39). What
// the management controller knows of them joins in supplied.
func psu(_ context.Context, m Machine, out *hwreport.PSU) ([]hwreport.Finding, error) {
	out.Redundant = hwreport.Absent[string]()
	t, err := m.DMI()
	if err != nil {
		out.Supplies = why[[]hwreport.PowerSupply](err)
		return nil, nil
	}
	out.Supplies = supplies(t)
	return nil, nil
}

// entityPSU is the entity id of a power supply (IPMI 2.0, table 43-13).
const entityPSU = "10."

// supplied makes one object of what firmware, inventory and sensors say of a
// power supply. Inventory and sensors name the same entity; the firmware's row
// is found by serial number, else by its place in the list where both lists are
// as long.
func supplied(r *hwreport.Report) []hwreport.Finding {
	p := &r.PSU.Data
	list := p.Supplies.Or(nil)
	var fromBMC []hwreport.PowerSupply
	at := map[string]int{}
	entity := func(e string) *hwreport.PowerSupply {
		i, ok := at[e]
		if !ok {
			i = len(fromBMC)
			at[e] = i
			fromBMC = append(fromBMC, hwreport.PowerSupply{Sources: []string{}})
		}
		return &fromBMC[i]
	}
	for _, f := range r.IPMI.Data.FRUs.Or(nil) {
		e := f.Entity.Or("")
		if !strings.HasPrefix(e, entityPSU) || f.Error != "" && f.ProductSerial.State() != hwreport.IsValue && f.BoardSerial.State() != hwreport.IsValue {
			continue
		}
		s := entity(e)
		s.Sources = append(s.Sources, "fru")
		s.Present = hwreport.Value(true) // it answers
		s.Name, s.Manufacturer, s.Model = f.Name, first(f.ProductManufacturer, f.BoardManufacturer), first(f.ProductName, f.BoardProduct)
		s.Serial, s.Part, s.Revision, s.MaxWatts = first(f.ProductSerial, f.BoardSerial), first(f.ProductPart, f.BoardPart), f.ProductVersion, f.MaxWatts
	}
	for _, k := range r.IPMI.Data.Sensors.Or(nil) {
		if k.Kind == "power unit" {
			if states := k.Asserted.Or(nil); len(states) > 0 && strings.Contains(states[0], "edundan") {
				p.Redundant = hwreport.Value(states[0])
			}
		}
		if !strings.HasPrefix(k.Entity, entityPSU) {
			continue
		}
		s := entity(k.Entity)
		if !slices.Contains(s.Sources, "sensors") {
			s.Sources = append(s.Sources, "sensors")
		}
		if v, ok := k.Value.Get(); ok && k.Unit == "W" && (s.InputWatts.State() != hwreport.IsValue || strings.Contains(strings.ToLower(k.Name), "in")) {
			s.InputWatts = hwreport.Value(v)
		}
		if k.Kind == "power supply" && k.States.State() == hwreport.IsValue {
			states := k.Asserted.Or([]string{})
			s.States = hwreport.Value(states)
			// A state that is not asserted proves nothing: many sensors know no
			// presence, and one that was never set has no state at all.
			lost := slices.Contains(states, "input lost") || slices.Contains(states, "input lost or out of range")
			if slices.Contains(states, "present") {
				s.Present, s.Plugged = hwreport.Value(true), hwreport.Value(!lost)
			} else if lost {
				s.Plugged = hwreport.Value(false)
			}
		}
		if s.Name.State() != hwreport.IsValue {
			s.Name = hwreport.Value(k.Name)
		}
	}
	for i, s := range fromBMC {
		into := -1
		for k := range list {
			if a, ok := list[k].Serial.Get(); ok && a == s.Serial.Or("") {
				into = k
			}
		}
		if into < 0 && len(list) == len(fromBMC) && list[i].Serial.State() != hwreport.IsValue {
			into = i
		}
		if into < 0 {
			list = append(list, s)
			continue
		}
		join(&list[into], s)
	}
	if len(list) == 0 {
		return nil
	}
	var ids hwreport.IDs
	for i := range list {
		s := &list[i]
		s.ID = ids.Unique(hwreport.ID("psu", s.Serial.Or(""), s.Location.Or(""), s.Name.Or("")))
		hwreport.Fill(s, "neither firmware nor management controller tells")
	}
	p.Supplies = hwreport.Value(list)
	return supplyFindings(list)
}

// join adds what the management controller knows to the firmware's row; what
// it reads now is newer than what the firmware saw.
func join(to *hwreport.PowerSupply, from hwreport.PowerSupply) {
	to.Sources = append(to.Sources, from.Sources...)
	to.Name, to.Manufacturer, to.Model, to.Serial = first(to.Name, from.Name), first(to.Manufacturer, from.Manufacturer), first(to.Model, from.Model), first(to.Serial, from.Serial)
	to.Part, to.Revision = first(to.Part, from.Part), first(to.Revision, from.Revision)
	if to.MaxWatts.State() != hwreport.IsValue {
		to.MaxWatts = from.MaxWatts
	}
	to.InputWatts = from.InputWatts
	to.States = from.States
	if from.Present.State() == hwreport.IsValue {
		to.Present = from.Present
	}
	if from.Plugged.State() == hwreport.IsValue {
		to.Plugged = from.Plugged
	}
}

// supplies reads type 39 (DSP0134 7.40).
func supplies(t smbios.Tables) hwreport.Field[[]hwreport.PowerSupply] {
	var ids hwreport.IDs
	var list []hwreport.PowerSupply
	for _, s := range t.Of(39) {
		p := hwreport.PowerSupply{Sources: []string{"smbios"}, Location: str(s, 5), Name: str(s, 6), Manufacturer: str(s, 7), Serial: str(s, 8), Model: str(s, 0x0a), Revision: str(s, 0x0b),
			MaxWatts: hwreport.Absent[int64](), Status: hwreport.Absent[string]()}
		p.ID = ids.Unique(hwreport.ID("psu", p.Serial.Or(""), p.Location.Or(""), p.Name.Or("")))
		if w, ok := s.Word(0x0c); ok && w != 0x8000 && w != 0 {
			p.MaxWatts = hwreport.Value(int64(w))
		}
		if bits, ok := s.Word(0x0e); ok {
			p.HotSwap = hwreport.Value(bits&1 != 0)
			p.Present = hwreport.Value(bits&2 != 0)
			p.Plugged = hwreport.Value(bits&4 == 0)
			p.Status = named([]string{"Other", "Unknown", "OK", "Non-critical", "Critical"}, byte(bits>>7&7), true)
		}
		list = append(list, p)
	}
	if list == nil {
		return hwreport.Absent[[]hwreport.PowerSupply]()
	}
	return hwreport.Value(list)
}

func supplyFindings(list []hwreport.PowerSupply) []hwreport.Finding {
	var found []hwreport.Finding
	for _, p := range list {
		if !p.Present.Or(false) {
			continue
		}
		status, states := p.Status.Or(""), p.States.Or(nil)
		source := strings.Join(p.Sources, "+")
		if slices.Contains(states, "power supply failed") || slices.Contains(states, "power supply about to fail") {
			found = append(found, hwreport.NewFinding(hwreport.Failure, "psu.failed", p.ID, "a power supply: "+strings.Join(states, ", "),
				hwreport.Evidence{Source: source, Value: strings.Join(states, ", ")}))
		}
		if !p.Plugged.Or(true) || status == "Critical" {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "psu.not-powered", p.ID, "a power supply is installed and not plugged in, or has failed",
				hwreport.Evidence{Source: source, Value: fmt.Sprintf("plugged %v, status %s", p.Plugged, status)}))
		}
	}
	return found
}
