package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
)

// raid is what a maker's program tells of one controller.
type raid struct {
	address                 string // on the PCI bus; empty: not told
	model, serial, fw, bios string
	volumes                 []hwreport.Volume
	members                 []hwreport.RAIDMember
}

// vendorControllers asks the makers' programs that are in the image and puts
// what they tell beside what we read ourselves. One that is not there is no
// error; one that does not work says so in the fields that it would have
// filled.
func vendorControllers(ctx context.Context, m Machine, list []hwreport.StorageController) []hwreport.Finding {
	for i := range list {
		list[i].Volumes, list[i].Members = hwreport.Absent[[]hwreport.Volume](), hwreport.Absent[[]hwreport.RAIDMember]()
	}
	var found []hwreport.Finding
	for _, p := range []struct {
		driver string
		ask    func() ([]raid, error)
	}{
		{"megaraid_sas", func() ([]raid, error) { return askStorcli(ctx, m) }},
		{"mpt3sas", func() ([]raid, error) { return askIRCU(ctx, m, "sas3ircu") }},
		{"mpt2sas", func() ([]raid, error) { return askIRCU(ctx, m, "sas2ircu") }},
	} {
		var mine []*hwreport.StorageController
		for i := range list {
			if list[i].Driver.Or("") == p.driver {
				mine = append(mine, &list[i])
			}
		}
		if mine == nil {
			continue
		}
		told, err := p.ask()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, device.ErrNotCaptured) {
			continue
		}
		for n, c := range mine {
			if err != nil {
				c.Volumes, c.Members = hwreport.Unknown[[]hwreport.Volume](err.Error()), hwreport.Unknown[[]hwreport.RAIDMember](err.Error())
				continue
			}
			if r := match(told, c, n, len(mine)); r != nil {
				found = append(found, enrich(c, r)...)
			}
		}
	}
	return found
}

// match finds a controller among those that a program tells of: by its place
// on the bus, else by the order where there are as many.
func match(told []raid, c *hwreport.StorageController, n, of int) *raid {
	for i := range told {
		if told[i].address != "" && strings.HasSuffix(c.Address, told[i].address) {
			return &told[i]
		}
	}
	if len(told) == of && n < len(told) && told[n].address == "" {
		return &told[n]
	}
	return nil
}

func enrich(c *hwreport.StorageController, r *raid) []hwreport.Finding {
	c.Model, c.Serial = first(c.Model, some(r.model)), first(c.Serial, some(r.serial))
	c.Firmware, c.BIOS = first(c.Firmware, some(r.fw)), first(c.BIOS, some(r.bios))
	c.Volumes, c.Members = hwreport.Value(append([]hwreport.Volume{}, r.volumes...)), hwreport.Value(append([]hwreport.RAIDMember{}, r.members...))
	var found []hwreport.Finding
	for _, v := range r.volumes {
		if !v.Good {
			found = append(found, hwreport.NewFinding(hwreport.Failure, "storage.volume-degraded", c.ID+"/"+v.Name, fmt.Sprintf("volume %s (%s) is %s", v.Name, v.Level, v.State),
				hwreport.Evidence{Source: "maker's program", Value: v.State}))
		}
	}
	for _, d := range r.members {
		if !d.Good {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "storage.member-bad", c.ID+"/"+d.Place, fmt.Sprintf("the disk at %s (%s) is %s", d.Place, d.Model, d.State),
				hwreport.Evidence{Source: "maker's program", Value: d.State}))
		}
	}
	return found
}

func askStorcli(ctx context.Context, m Machine) ([]raid, error) {
	b, err := m.Ask.Ask(ctx, device.VendorCommand("storcli64", "/call", "show", "all", "J", "nolog"))
	if err != nil {
		return nil, err
	}
	return parseStorcli(b)
}

// parseStorcli decodes `storcli64 /call show all J` (Broadcom, StorCLI
// reference manual).
func parseStorcli(b []byte) ([]raid, error) {
	var all struct {
		Controllers []struct {
			Data struct {
				Basics struct {
					Model   string
					Serial  string `json:"Serial Number"`
					Address string `json:"PCI Address"` // "00:3b:00:00"
				}
				Version struct {
					Firmware string `json:"Firmware Version"`
					BIOS     string `json:"Bios Version"`
				}
				Volumes []struct {
					Name  string `json:"DG/VD"`
					Type  string `json:"TYPE"`
					State string
					Size  string
				} `json:"VD LIST"`
				Disks []struct {
					Place string `json:"EID:Slt"`
					State string
					Model string
				} `json:"PD LIST"`
			} `json:"Response Data"`
		}
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("decode what storcli64 says: %w", err)
	}
	var list []raid
	for _, c := range all.Controllers {
		d := c.Data
		r := raid{address: storcliAddress(d.Basics.Address), model: d.Basics.Model, serial: d.Basics.Serial, fw: d.Version.Firmware, bios: d.Version.BIOS}
		for _, v := range d.Volumes {
			r.volumes = append(r.volumes, hwreport.Volume{Name: v.Name, Level: v.Type, State: v.State, Good: v.State == "Optl", Size: v.Size})
		}
		for _, p := range d.Disks {
			good := p.State == "Onln" || p.State == "UGood" || p.State == "JBOD" || p.State == "DHS" || p.State == "GHS"
			r.members = append(r.members, hwreport.RAIDMember{Place: strings.TrimSpace(p.Place), State: p.State, Good: good, Model: strings.TrimSpace(p.Model)})
		}
		list = append(list, r)
	}
	return list, nil
}

// storcliAddress makes "3b:00.0" of "00:3b:00:00": domain, bus, device,
// function.
func storcliAddress(s string) string {
	p := strings.Split(s, ":")
	if len(p) != 4 {
		return ""
	}
	fn, err := strconv.ParseUint(p[3], 16, 8)
	if err != nil {
		return ""
	}
	return strings.ToLower(fmt.Sprintf("%s:%s.%x", p[1], p[2], fn))
}

// maxIRCU is how many controllers are asked one after another.
const maxIRCU = 8

func askIRCU(ctx context.Context, m Machine, program string) ([]raid, error) {
	var list []raid
	for n := range maxIRCU {
		b, err := m.Ask.Ask(ctx, device.VendorCommand(program, strconv.Itoa(n), "display"))
		if err != nil {
			if n > 0 {
				return list, nil // there is no such controller
			}
			return nil, err
		}
		r, ok := parseIRCU(string(b))
		if !ok {
			break
		}
		list = append(list, r)
	}
	return list, nil
}

// parseIRCU decodes `sas3ircu N display` (Broadcom, SAS-3 Integrated RAID
// Solution User Guide, A.3.4); false: it tells of no controller.
func parseIRCU(text string) (raid, bool) {
	var r raid
	var volume *hwreport.Volume
	var disk *hwreport.RAIDMember
	enclosure, has := "", false
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		key, value, pair := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(line, "IR volume ") || strings.HasPrefix(line, "IR Volume ") && !strings.Contains(line, "information"):
			r.volumes = append(r.volumes, hwreport.Volume{Name: strings.TrimSpace(line[len("IR volume "):])})
			volume, disk = &r.volumes[len(r.volumes)-1], nil
		case line == "Device is a Hard disk":
			r.members = append(r.members, hwreport.RAIDMember{})
			volume, disk = nil, &r.members[len(r.members)-1]
		case strings.HasPrefix(line, "Device is a"), strings.HasSuffix(line, "information"):
			volume, disk = nil, nil
		case !pair:
		case key == "Controller type":
			r.model, has = value, true
		case key == "Firmware version":
			r.fw = value
		case key == "BIOS version":
			r.bios = value
		case volume != nil && key == "Status of volume":
			volume.State, volume.Good = value, strings.Contains(value, "OKY")
		case volume != nil && key == "RAID level":
			volume.Level = value
		case volume != nil && strings.HasPrefix(key, "Size (in MB)"):
			volume.Size = value + " MB"
		case disk != nil && key == "Enclosure #":
			enclosure = value
		case disk != nil && key == "Slot #":
			disk.Place = enclosure + ":" + value
		case disk != nil && key == "State":
			disk.State = value
			disk.Good = strings.Contains(value, "OPT") || strings.Contains(value, "RDY") || strings.Contains(value, "HSP") || strings.Contains(value, "AVL")
		case disk != nil && key == "Model Number":
			disk.Model = value
		case disk != nil && key == "Serial No":
			disk.Serial = value
		}
	}
	return r, has
}

// psid asks mstflint for the board id of an NVIDIA adapter; its firmware's
// version stands there too.
func psid(ctx context.Context, m Machine, n *hwreport.NIC) {
	n.PSID = hwreport.Absent[string]()
	if n.Driver.Or("") != "mlx5_core" && n.Driver.Or("") != "mlx4_core" {
		return
	}
	address := pciAddress(n.Slot)
	if address == "" {
		return
	}
	b, err := m.Ask.Ask(ctx, device.VendorCommand("mstflint", "-d", address, "q"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, device.ErrNotCaptured) {
		return
	}
	if err != nil {
		n.PSID = hwreport.Unknown[string](err.Error())
		return
	}
	for line := range strings.Lines(string(b)) {
		switch key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) {
		case "PSID":
			n.PSID = some(strings.TrimSpace(value))
		case "FW Version":
			n.Firmware = first(n.Firmware, some(strings.TrimSpace(value)))
		}
	}
}

// pciAddress is the last function of a place on the bus.
func pciAddress(slot string) string {
	parts := strings.Split(slot, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if strings.Count(parts[i], ":") == 2 && strings.Contains(parts[i], ".") {
			return parts[i]
		}
	}
	return ""
}
