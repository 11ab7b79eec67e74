package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/ipmi"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// psu reads the power supplies (SMBIOS type 39) and asks the management
// controller who it is.
func psu(ctx context.Context, m Machine, out *hwreport.PSU) ([]hwreport.Finding, error) {
	t, err := m.DMI()
	if err != nil {
		out.Supplies = why[[]hwreport.PowerSupply](err)
	} else {
		out.Supplies = supplies(t)
	}
	found := supplyFindings(out.Supplies.Or(nil))
	described := len(t.Of(38)) > 0
	b, err := ask(ctx, m)
	switch {
	case err == nil:
		b.Interface = hwreport.Absent[string]()
		if described {
			b.Interface = ipmiInterface(t.Of(38)[0])
		}
		out.BMC = hwreport.Value(b)
	case errors.Is(err, fs.ErrNotExist) && !described:
		out.BMC = hwreport.Absent[hwreport.BMC]()
	case errors.Is(err, fs.ErrNotExist):
		out.BMC = hwreport.Unknown[hwreport.BMC]("the firmware describes a management controller, and no driver serves it")
		found = append(found, hwreport.NewFinding(hwreport.Info, "psu.bmc-silent", "", "the firmware describes a management controller, and there is no /dev/ipmi0",
			hwreport.Evidence{Source: "SMBIOS type 38", Value: ipmiInterface(t.Of(38)[0]).String()}))
	default:
		out.BMC = hwreport.Unknown[hwreport.BMC](err.Error())
		found = append(found, hwreport.NewFinding(hwreport.Warning, "psu.bmc-silent", "", "the management controller does not answer",
			hwreport.Evidence{Source: ipmi.Device, Value: err.Error()}))
	}
	return found, nil
}

// ask asks the controller behind /dev/ipmi0.
func ask(ctx context.Context, m Machine) (hwreport.BMC, error) {
	if !m.Live {
		if exists(m, ipmi.Device) {
			return hwreport.BMC{}, errors.New("a captured tree cannot be asked")
		}
		return hwreport.BMC{}, fs.ErrNotExist
	}
	c, err := ipmi.Open()
	if err != nil {
		return hwreport.BMC{}, err
	}
	defer c.Close()
	id, err := c.DeviceID(ctx)
	if err != nil {
		return hwreport.BMC{}, err
	}
	b := hwreport.BMC{
		Firmware: hwreport.Value(id.Firmware()), IPMI: hwreport.Value(id.Version()), Manufacturer: hwreport.Value(int64(id.Manufacturer)),
		Product: hwreport.Value(int64(id.Product)), DeviceID: hwreport.Value(int64(id.Device)),
	}
	fru, err := c.ReadFRU(ctx, 0)
	if err != nil {
		b.FRU = hwreport.Unknown[hwreport.FRU](err.Error())
		return b, nil
	}
	b.FRU = hwreport.Value(fruOf(ipmi.ParseFRU(fru)))
	return b, nil
}

func fruOf(f ipmi.FRU) hwreport.FRU {
	return hwreport.FRU{
		BoardManufacturer: some(f.Board.Manufacturer), BoardProduct: some(f.Board.Product), BoardSerial: some(f.Board.Serial), BoardPart: some(f.Board.Part),
		ProductManufacturer: some(f.Product.Manufacturer), ProductName: some(f.Product.Name), ProductPart: some(f.Product.Part),
		ProductVersion: some(f.Product.Version), ProductSerial: some(f.Product.Serial), ProductAssetTag: some(f.Product.AssetTag),
		ChassisPart: some(f.Chassis.Part), ChassisSerial: some(f.Chassis.Serial),
	}
}

// ipmiInterface is DSP0134 7.39.1.
func ipmiInterface(s smbios.Structure) hwreport.Field[string] {
	n, ok := s.Byte(4)
	if !ok || n == 0 {
		return hwreport.Absent[string]()
	}
	return named([]string{"KCS", "SMIC", "BT", "SSIF"}, n, ok)
}

// supplies reads type 39 (DSP0134 7.40).
func supplies(t smbios.Tables) hwreport.Field[[]hwreport.PowerSupply] {
	var ids hwreport.IDs
	var list []hwreport.PowerSupply
	for _, s := range t.Of(39) {
		p := hwreport.PowerSupply{Location: str(s, 5), Name: str(s, 6), Manufacturer: str(s, 7), Serial: str(s, 8), Model: str(s, 0x0a), Revision: str(s, 0x0b),
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
		status := p.Status.Or("")
		if !p.Plugged.Or(true) || status == "Critical" {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "psu.not-powered", p.ID, "a power supply is installed and not plugged in, or has failed",
				hwreport.Evidence{Source: "SMBIOS type 39", Value: fmt.Sprintf("plugged %v, status %s", p.Plugged, status)}))
		}
	}
	return found
}
