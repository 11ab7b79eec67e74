package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/ata"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/scsi"
)

// sense answers a SCSI command: its data, or why there is none.
func sense(ctx context.Context, m Machine, dev string, reply int, cdb ...byte) (scsi.Answer, error) {
	b, err := m.Ask.Ask(ctx, device.SCSICommand(dev, reply, cdb...))
	if err != nil {
		return scsi.Answer{}, err
	}
	return scsi.ParseAnswer(b)
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
func ataDisk(ctx context.Context, m Machine, d *hwreport.Disk) {
	dev := "dev/" + d.Name
	sector := func(cdb []byte) ([]byte, error) {
		a, err := sense(ctx, m, dev, ata.Sector, cdb...)
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
	ataSMART(ctx, m, dev, sector, &k, d)
	hwreport.Fill(&k, "not told")
	d.ATA = hwreport.Value(k)
	hwreport.Fill(d, "the disk's attributes could not be read")
}

func ataSMART(ctx context.Context, m Machine, dev string, sector func([]byte) ([]byte, error), k *hwreport.ATA, d *hwreport.Disk) {
	if a, err := sense(ctx, m, dev, 0, ata.SMARTStatus...); err != nil {
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

// scsiDisk asks a SCSI or SAS disk (SPC-6, SBC-4).
func scsiDisk(ctx context.Context, m Machine, d *hwreport.Disk) {
	dev := "dev/" + d.Name
	k := hwreport.SCSIDisk{Exception: hwreport.Absent[string](), TripCelsius: hwreport.Absent[int64](), Address: hwreport.Absent[string]()}
	vpd := func(page int) ([]byte, error) {
		a, err := sense(ctx, m, dev, 252, scsi.Inquiry(page, 252)...)
		if err == nil {
			err = refusal(a)
		}
		return a.Data, err
	}
	b, err := vpd(-1)
	var id scsi.ID
	if err == nil {
		id, err = scsi.ParseInquiry(b)
	}
	if err != nil {
		d.SCSI = asked[hwreport.SCSIDisk](err)
		hwreport.Fill(d, "the disk could not be asked: "+err.Error())
		return
	}
	k.Version = hwreport.Value(int64(id.Version))
	d.Vendor, d.Model, d.Firmware = first(some(id.Vendor), d.Vendor), first(some(id.Product), d.Model), first(some(id.Revision), d.Firmware)
	if b, err := vpd(0x80); err == nil {
		if serial, err := scsi.ParseSerial(b); err == nil {
			d.Serial = first(some(serial), d.Serial)
		}
	}
	if b, err := vpd(0x83); err == nil {
		list, _ := scsi.ParseDesignators(b) // what stands before damage counts
		for _, n := range list {
			if n.Association == 1 && strings.HasPrefix(n.Name, "naa.") {
				k.Address = hwreport.Value(strings.TrimPrefix(n.Name, "naa."))
			}
		}
	}
	d.RPM, d.FormFactor = hwreport.Absent[int64](), hwreport.Absent[string]()
	if b, err := vpd(0xb1); err == nil {
		if rpm, form, err := scsi.ParseRotation(b); err == nil {
			if rpm > 1 {
				d.RPM = hwreport.Value(int64(rpm))
			}
			d.FormFactor = some(form)
		}
	}
	if !strings.HasPrefix(d.Transport.Or(""), "usb") || d.Bytes.Or(0) > 0 {
		scsiLogs(ctx, m, dev, &k, d)
	}
	hwreport.Fill(&k, "not told")
	d.SCSI = hwreport.Value(k)
	hwreport.Fill(d, "no log page tells")
}

func scsiLogs(ctx context.Context, m Machine, dev string, k *hwreport.SCSIDisk, d *hwreport.Disk) {
	raw := func(page byte) ([]byte, error) {
		a, err := sense(ctx, m, dev, scsi.MaxLog, scsi.LogSense(page)...)
		if err == nil {
			err = refusal(a)
		}
		return a.Data, err
	}
	b, err := raw(scsi.PageSupported)
	var has []byte
	if err == nil {
		has, err = scsi.ParseSupported(b)
	}
	if err != nil {
		reason := "no list of log pages: " + err.Error()
		if errors.Is(err, errRefused) {
			reason = "the disk has no log pages"
			d.SelfTests = hwreport.Absent[[]hwreport.SelfTest]()
			for _, f := range []*hwreport.Field[int64]{&d.Celsius, &d.PowerOnHours, &d.UsedPercent, &d.MediaErrors, &k.NonMedium, &k.StartStops, &k.LoadUnloads, &k.LifetimeStart, &k.GrownDefects} {
				*f = hwreport.Absent[int64]()
			}
			k.Write, k.Read, k.Verify = hwreport.Absent[hwreport.SCSIErrors](), hwreport.Absent[hwreport.SCSIErrors](), hwreport.Absent[hwreport.SCSIErrors]()
			d.Verdict = hwreport.Unknown[hwreport.DiskVerdict](reason)
		}
		hwreport.Fill(k, reason)
		return
	}
	log := func(page byte) ([]scsi.Parameter, error) {
		if !strings.ContainsRune(string(runes(has)), rune(page)) {
			return nil, fmt.Errorf("log page %02xh: %w", page, errRefused)
		}
		b, err := raw(page)
		if err != nil {
			return nil, err
		}
		list, err := scsi.ParseLog(page, b)
		if list != nil {
			err = nil // what stands before the cut counts
		}
		return list, err
	}
	d.MediaErrors = hwreport.Absent[int64]()
	for _, p := range []struct {
		page byte
		to   *hwreport.Field[hwreport.SCSIErrors]
	}{{scsi.PageWrite, &k.Write}, {scsi.PageRead, &k.Read}, {scsi.PageVerify, &k.Verify}} {
		list, err := log(p.page)
		if err != nil {
			*p.to = asked[hwreport.SCSIErrors](err)
			continue
		}
		e := hwreport.SCSIErrors{Corrected: parameter(list, 3), Bytes: parameter(list, 5), Uncorrected: parameter(list, 6)}
		*p.to = hwreport.Value(e)
		if n, ok := e.Uncorrected.Get(); ok {
			d.MediaErrors = hwreport.Value(d.MediaErrors.Or(0) + n)
		}
	}
	k.NonMedium = counter(log, scsi.PageNonMedium, 0)
	if list, err := log(scsi.PageTemperature); err != nil {
		d.Celsius = asked[int64](err)
	} else {
		d.Celsius, k.TripCelsius = temperature(list, 0), temperature(list, 1)
	}
	if list, err := log(scsi.PageStartStop); err != nil {
		k.StartStops, k.LoadUnloads, k.LifetimeStart = asked[int64](err), asked[int64](err), asked[int64](err)
	} else {
		k.LifetimeStart, k.StartStops, k.LoadUnloads = parameter(list, 3), parameter(list, 4), parameter(list, 6)
	}
	if list, err := log(scsi.PageSelfTest); err != nil {
		d.SelfTests = asked[[]hwreport.SelfTest](err)
	} else {
		tests := []hwreport.SelfTest{}
		for _, t := range scsi.ParseSelfTests(list) {
			tests = append(tests, hwreport.SelfTest{Kind: t.KindName(), Result: t.ResultName(), Hours: hwreport.Value(int64(t.Hours))})
		}
		d.SelfTests = hwreport.Value(tests)
	}
	d.UsedPercent = hwreport.Absent[int64]()
	if list, err := log(scsi.PageSSD); err == nil {
		for _, p := range list {
			if p.Code == 1 && len(p.Value) >= 4 {
				d.UsedPercent = hwreport.Value(int64(p.Value[3]))
			}
		}
	}
	d.PowerOnHours = hwreport.Absent[int64]()
	if list, err := log(scsi.PageBackground); err == nil {
		for _, p := range list {
			if p.Code == 0 && len(p.Value) >= 4 {
				d.PowerOnHours = hwreport.Value(scsi.Parameter{Value: p.Value[:4]}.Number() / 60)
			}
		}
	}
	if list, err := log(scsi.PageExceptions); err != nil {
		k.Exception = asked[string](err)
	} else {
		for _, p := range list {
			if p.Code == 0 && len(p.Value) >= 2 && p.Value[0] != 0 {
				k.Exception = hwreport.Value(exception(p.Value[0], p.Value[1]))
			}
		}
	}
	if a, err := sense(ctx, m, dev, 8, scsi.Defects...); err != nil {
		k.GrownDefects = hwreport.Unknown[int64](err.Error())
	} else if n, err := scsi.ParseDefects(a); err != nil {
		k.GrownDefects = hwreport.Absent[int64]()
	} else {
		k.GrownDefects = hwreport.Value(n)
	}
}

func runes(b []byte) []rune {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c & 0x3f)
	}
	return out
}

func parameter(list []scsi.Parameter, code uint16) hwreport.Field[int64] {
	for _, p := range list {
		if p.Code == code && len(p.Value) > 0 {
			return hwreport.Value(p.Number())
		}
	}
	return hwreport.Absent[int64]()
}

func counter(log func(byte) ([]scsi.Parameter, error), page byte, code uint16) hwreport.Field[int64] {
	list, err := log(page)
	if err != nil {
		return asked[int64](err)
	}
	return parameter(list, code)
}

// temperature is a parameter of page 0Dh; 255 means that the disk does not
// know (SPC-6 7.3.21).
func temperature(list []scsi.Parameter, code uint16) hwreport.Field[int64] {
	for _, p := range list {
		if p.Code == code && len(p.Value) >= 2 && p.Value[1] != 0xff {
			return hwreport.Value(int64(p.Value[1]))
		}
	}
	return hwreport.Absent[int64]()
}

// exception names additional sense codes of informational exceptions (SPC-6
// annex F).
func exception(asc, ascq byte) string {
	switch {
	case asc == 0x5d:
		return fmt.Sprintf("failure prediction threshold exceeded (5d/%02x)", ascq)
	case asc == 0x0b && ascq == 1:
		return "temperature exceeded (0b/01)"
	case asc == 0x0b:
		return fmt.Sprintf("warning (0b/%02x)", ascq)
	}
	return fmt.Sprintf("additional sense %02x/%02x", asc, ascq)
}
