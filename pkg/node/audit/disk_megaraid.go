package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/scsi"
)

// megaDisk is an entry of MR_DCMD_PD_GET_LIST (drivers/scsi/megaraid/
// megaraid_sas.h, struct MR_PD_ADDRESS).
type megaDisk struct {
	ID, Enclosure uint16
	Slot, Type    byte
}

// parseMegaList decodes the list; numbers are little-endian.
func parseMegaList(b []byte) ([]megaDisk, error) {
	if len(b) < 8 {
		return nil, errors.New("decode the list of physical disks: it is too short")
	}
	le := binary.LittleEndian
	n := le.Uint32(b[4:])
	if n > 1024 {
		return nil, fmt.Errorf("decode the list of physical disks: it states %d", n)
	}
	var list []megaDisk
	for d := b[8:]; len(d) >= 24 && n > 0; d, n = d[24:], n-1 {
		list = append(list, megaDisk{ID: le.Uint16(d), Enclosure: le.Uint16(d[2:]), Slot: d[5], Type: d[6]})
	}
	if n > 0 {
		return list, errors.New("decode the list of physical disks: it is cut short")
	}
	return list, nil
}

// behindMegaRAID asks the disks that a MegaRAID controller keeps to itself, by
// commands passed through. Those that the kernel shows as well are left out.
func behindMegaRAID(ctx context.Context, m Machine, host uint16, controller string, visible []hwreport.Disk) hwreport.Field[[]hwreport.Disk] {
	b, err := m.Ask.Ask(ctx, device.MegaList(host))
	var found []megaDisk
	if err == nil {
		found, err = parseMegaList(b)
	}
	if err != nil && found == nil {
		return hwreport.Unknown[[]hwreport.Disk]("the controller was asked for its disks: " + err.Error())
	}
	known := map[string]bool{}
	for _, d := range visible {
		if s, ok := d.Serial.Get(); ok {
			known[s] = true
		}
	}
	list := []hwreport.Disk{}
	var ids hwreport.IDs
	for _, p := range found {
		if p.Type != 0 {
			continue // an enclosure, a tape
		}
		d := hwreport.Disk{Name: fmt.Sprintf("%s,%d", controller, p.ID), Kind: "disk", Slot: fmt.Sprintf("%s/%d", controller, p.ID), Bay: hwreport.Value(fmt.Sprintf("enclosure %d slot %d", p.Enclosure, p.Slot)),
			Driver: hwreport.Value("megaraid_sas"), NVMe: hwreport.Absent[hwreport.NVMe](), ATA: hwreport.Absent[hwreport.ATA](), SCSI: hwreport.Absent[hwreport.SCSIDisk](), Reasons: hwreport.Absent[[]string](),
			Removable: hwreport.Value(false), ReadOnly: hwreport.Absent[bool](), Rotational: hwreport.Absent[bool](), Bytes: hwreport.Unknown[int64]("the disk is not asked through the controller"),
			Logical: hwreport.Absent[int64](), Physical: hwreport.Absent[int64]()}
		through := func(ctx context.Context, reply int, cdb ...byte) (scsi.Answer, error) {
			b, err := m.Ask.Ask(ctx, device.MegaCommand(host, p.ID, reply, cdb...))
			if err != nil {
				return scsi.Answer{}, err
			}
			return scsi.ParseAnswer(b)
		}
		d.Transport = hwreport.Value("sas")
		if a, err := through(ctx, 96, scsi.Inquiry(-1, 96)...); err == nil {
			if id, err := scsi.ParseInquiry(a.Data); err == nil && id.Vendor == "ATA" {
				d.Transport = hwreport.Value("sata")
			}
		}
		if d.Transport.Or("") == "sata" {
			d.Vendor = hwreport.Value("ATA")
			ataDisk(ctx, through, &d)
		} else {
			scsiDisk(ctx, through, &d)
		}
		if s, ok := d.Serial.Get(); ok && known[s] {
			continue
		}
		d.ID = ids.Unique(hwreport.ID("disk", d.WWN.Or(""), d.Serial.Or(""), d.Slot))
		judge(&d)
		list = append(list, d)
	}
	return hwreport.Value(list)
}
