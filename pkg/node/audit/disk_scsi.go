package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/scsi"
)

// scsiDisk asks a SCSI or SAS disk (SPC-6, SBC-4).
func scsiDisk(ctx context.Context, ask commander, d *hwreport.Disk) {
	k := hwreport.SCSIDisk{Exception: hwreport.Absent[string](), TripCelsius: hwreport.Absent[int64](), Address: hwreport.Absent[string]()}
	vpd := func(page int) ([]byte, error) {
		a, err := ask(ctx, 252, scsi.Inquiry(page, 252)...)
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
			if n.Association == 0 && d.WWN.State() != hwreport.IsValue && !strings.HasPrefix(n.Name, "t10.") {
				d.WWN = hwreport.Value(n.Name)
			}
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
		scsiLogs(ctx, ask, &k, d)
	}
	hwreport.Fill(&k, "not told")
	d.SCSI = hwreport.Value(k)
	hwreport.Fill(d, "no log page tells")
}

func scsiLogs(ctx context.Context, ask commander, k *hwreport.SCSIDisk, d *hwreport.Disk) {
	raw := func(page byte) ([]byte, error) {
		a, err := ask(ctx, scsi.MaxLog, scsi.LogSense(page)...)
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
		d.Verdict = hwreport.Value(hwreport.DiskOK) // it would say so
		for _, p := range list {
			if p.Code == 0 && len(p.Value) >= 2 && p.Value[0] != 0 {
				k.Exception = hwreport.Value(exception(p.Value[0], p.Value[1]))
			}
		}
	}
	if a, err := ask(ctx, 8, scsi.Defects...); err != nil {
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
