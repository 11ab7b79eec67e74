package audit

import (
	"context"
	"fmt"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/ata"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/scsi"
)

// commander puts a SCSI command to one disk.
type commander func(ctx context.Context, reply int, cdb ...byte) (scsi.Answer, error)

// block puts commands to a block device of this boot's name.
func block(m Machine, name string) commander {
	return func(ctx context.Context, reply int, cdb ...byte) (scsi.Answer, error) {
		b, err := m.Ask.Ask(ctx, device.SCSICommand("dev/"+name, reply, cdb...))
		if err != nil {
			return scsi.Answer{}, err
		}
		return scsi.ParseAnswer(b)
	}
}

// refusal is the error of a command that the device does not know: sense key
// 5, illegal request, or 0Bh, aborted command.
func refusal(a scsi.Answer) error {
	err := a.Err()
	if err == nil {
		return nil
	}
	if key, _, _, ok := a.SenseCode(); ok && (key == 5 || key == 0xb) {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

// ataDisk asks an ATA disk through SCSI / ATA translation (SAT-5 12.2).
func ataDisk(ctx context.Context, ask commander, d *hwreport.Disk) {
	sector := func(cdb []byte) ([]byte, error) {
		a, err := ask(ctx, ata.Sector, cdb...)
		if err == nil {
			err = refusal(a)
		}
		return a.Data, err
	}
	var k hwreport.ATA
	b, err := sector(ata.Identify)
	var id ata.ID
	if err == nil {
		id, err = ata.ParseIdentify(b)
	}
	if err != nil {
		d.ATA = asked[hwreport.ATA](err)
		hwreport.Fill(d, "the disk could not be asked: "+err.Error())
		return
	}
	d.Model, d.Serial, d.Firmware = first(some(id.Model), d.Model), first(some(id.Serial), d.Serial), first(some(id.Firmware), d.Firmware)
	if id.WWN != "" {
		d.WWN = hwreport.Value("naa." + id.WWN)
	}
	d.RPM, d.FormFactor = hwreport.Absent[int64](), some(id.FormFactor)
	if id.RPM > 1 {
		d.RPM = hwreport.Value(int64(id.RPM))
	}
	k.Transport, k.Gbps, k.MaxGbps, k.TRIM = some(id.Transport), some(id.Gbps), some(id.MaxGbps), hwreport.Value(id.TRIM)
	k.Security = hwreport.Absent[[]string]()
	if id.Security != nil {
		k.Security = hwreport.Value(id.Security)
	}
	if !id.SMART {
		hwreport.Fill(&k, "the disk has no SMART")
		k.SMART = hwreport.Absent[bool]()
		d.ATA = hwreport.Value(k)
		hwreport.Fill(d, "the disk has no SMART")
		return
	}
	k.SMART = hwreport.Value(id.SMARTEnabled)
	ataSMART(ctx, ask, sector, &k, d)
	hwreport.Fill(&k, "not told")
	d.ATA = hwreport.Value(k)
	hwreport.Fill(d, "the disk's attributes could not be read")
}

func ataSMART(ctx context.Context, ask commander, sector func([]byte) ([]byte, error), k *hwreport.ATA, d *hwreport.Disk) {
	if a, err := ask(ctx, 0, ata.SMARTStatus...); err != nil {
		k.Passed = hwreport.Unknown[bool](err.Error())
	} else if passed, err := ata.ParseStatus(a.Sense); err != nil {
		k.Passed = hwreport.Unknown[bool](err.Error())
	} else {
		k.Passed = hwreport.Value(passed)
	}
	data, err := sector(ata.SMARTData)
	if err != nil {
		k.Attributes = asked[[]hwreport.ATAAttribute](err)
	} else {
		thresholds, _ := sector(ata.SMARTThresholds) // obsolete since ACS-4: without them, none is known
		rows, err := ata.ParseAttributes(data, thresholds)
		switch {
		case err != nil && rows == nil:
			k.Attributes = hwreport.Unknown[[]hwreport.ATAAttribute](err.Error())
		default:
			list := []hwreport.ATAAttribute{}
			for _, r := range rows {
				row := hwreport.ATAAttribute{ID: int64(r.ID), Name: r.Name(), Value: int64(r.Value), Worst: int64(r.Worst), Threshold: hwreport.Absent[int64](),
					Prefailure: r.Prefailure, Raw: int64(r.Raw), Failed: r.Failed()}
				if r.Known {
					row.Threshold = hwreport.Value(int64(r.Threshold))
				}
				list = append(list, row)
				commonHealth(r, d)
			}
			k.Attributes = hwreport.Value(list)
			for _, f := range []*hwreport.Field[int64]{&d.Celsius, &d.PowerOnHours, &d.UsedPercent, &d.MediaErrors} {
				if f.State() != hwreport.IsValue {
					*f = hwreport.Absent[int64]() // no attribute tells
				}
			}
		}
	}
	if b, err := sector(ata.SMARTErrorLog); err != nil {
		k.Errors = asked[int64](err)
	} else if n, err := ata.ParseErrorCount(b); err != nil {
		k.Errors = hwreport.Unknown[int64](err.Error())
	} else {
		k.Errors = hwreport.Value(int64(n))
	}
	if b, err := sector(ata.SMARTSelfTests); err != nil {
		d.SelfTests = asked[[]hwreport.SelfTest](err)
	} else if tests, err := ata.ParseSelfTests(b); err != nil {
		d.SelfTests = hwreport.Unknown[[]hwreport.SelfTest](err.Error())
	} else {
		list := []hwreport.SelfTest{}
		for _, t := range tests {
			list = append(list, hwreport.SelfTest{Kind: t.KindName(), Result: t.Result(), Hours: hwreport.Value(int64(t.Hours))})
		}
		d.SelfTests = hwreport.Value(list)
	}
}

// commonHealth puts an attribute whose meaning makers agree on into the words
// that all disks share.
func commonHealth(a ata.Attribute, d *hwreport.Disk) {
	switch a.ID {
	case 9: // power-on hours; the upper bytes hold what each maker likes
		d.PowerOnHours = hwreport.Value(int64(a.Raw & 0xffffff))
	case 194: // temperature in the lowest byte
		d.Celsius = hwreport.Value(int64(a.Raw & 0xff))
	case 190:
		if d.Celsius.State() != hwreport.IsValue {
			d.Celsius = hwreport.Value(int64(a.Raw & 0xff))
		}
	case 198, 187: // unrecoverable sectors
		d.MediaErrors = hwreport.Value(max(d.MediaErrors.Or(0), int64(a.Raw&0xffffffff)))
	case 177, 202, 231, 233: // what is left, normalised from 100 down
		if a.Value <= 100 {
			d.UsedPercent = hwreport.Value(max(d.UsedPercent.Or(0), 100-int64(a.Value)))
		}
	}
}
