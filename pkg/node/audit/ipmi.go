package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/ipmi"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// skewLimit is from where on a controller's clock is told to be wrong.
const skewLimit = 5 * time.Minute

// bmc asks the management controller. Its answers take milliseconds each, and
// there may be hundreds: what was not asked at the deadline stays unknown.
func bmc(ctx context.Context, m Machine, out *hwreport.IPMI) ([]hwreport.Finding, error) {
	t, _ := m.DMI() // that they cannot be read is told by the board
	described := len(t.Of(38)) > 0
	c := ipmi.Client{Ask: m.Ask}
	id, err := c.DeviceID(ctx)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) && !described:
		absentIPMI(out)
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		hwreport.Fill(out, "the firmware describes a management controller, and no driver serves it")
		return []hwreport.Finding{hwreport.NewFinding(hwreport.Info, "ipmi.bmc-silent", "", "the firmware describes a management controller, and there is no /dev/ipmi0",
			hwreport.Evidence{Source: "SMBIOS type 38", Value: ipmiInterface(t.Of(38)[0]).String()})}, nil
	default:
		hwreport.Fill(out, err.Error())
		if notAsked(err) {
			return nil, nil
		}
		return []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "ipmi.bmc-silent", "", "the management controller does not answer",
			hwreport.Evidence{Source: "dev/ipmi0", Value: err.Error()})}, nil
	}
	b := hwreport.BMC{
		Interface: hwreport.Absent[string](), Firmware: hwreport.Value(id.Firmware()), IPMI: hwreport.Value(id.Version()), Manufacturer: hwreport.Value(int64(id.Manufacturer)),
		Product: hwreport.Value(int64(id.Product)), DeviceID: hwreport.Value(int64(id.Device)), Updating: hwreport.Value(id.Updating),
	}
	if described {
		b.Interface = ipmiInterface(t.Of(38)[0])
	}
	out.BMC = hwreport.Value(b)
	chassis(ctx, c, out)
	now := m.Now()
	if at, err := c.Time(ctx); err != nil {
		out.ClockOff = code[int64](err)
	} else {
		out.ClockOff = hwreport.Value(int64(at.Sub(now).Round(time.Second) / time.Second))
	}
	found := lanChannels(ctx, c, out)
	records, sdrErr := c.ReadSDR(ctx)
	found = append(found, frus(ctx, c, records, out)...)
	found = append(found, sensors(ctx, c, records, sdrErr, out)...)
	found = append(found, events(ctx, c, records, out)...)
	return append(found, bmcFindings(out)...), nil
}

func absentIPMI(out *hwreport.IPMI) {
	out.BMC, out.Chassis, out.Restart = hwreport.Absent[hwreport.BMC](), hwreport.Absent[hwreport.PowerState](), hwreport.Absent[string]()
	out.FRUs, out.Sensors, out.Log = hwreport.Absent[[]hwreport.FRU](), hwreport.Absent[[]hwreport.Sensor](), hwreport.Absent[hwreport.EventLog]()
	out.LAN, out.ClockOff = hwreport.Absent[[]hwreport.LANChannel](), hwreport.Absent[int64]()
}

// code makes a Field of a message's error: what the controller says it does
// not know, it has not.
func code[T any](err error) hwreport.Field[T] {
	var c ipmi.Code
	if errors.As(err, &c) && (c == ipmi.CodeNoSuchCommand || c == ipmi.CodeNotPresent) {
		return hwreport.Absent[T]()
	}
	return hwreport.Unknown[T](err.Error())
}

func chassis(ctx context.Context, c ipmi.Client, out *hwreport.IPMI) {
	if s, err := c.ReadChassis(ctx); err != nil {
		out.Chassis = code[hwreport.PowerState](err)
	} else {
		p := hwreport.PowerState{On: s.On, Policy: s.Policy, Faults: []string{}, LastEvent: append([]string{}, s.LastEvent...)}
		for _, f := range []struct {
			on   bool
			name string
		}{{s.Overload, "overload"}, {s.PowerFault, "power fault"}, {s.ControlFault, "power control fault"}, {s.Intrusion, "intrusion"}, {s.DriveFault, "drive fault"}, {s.FanFault, "fan fault"}} {
			if f.on {
				p.Faults = append(p.Faults, f.name)
			}
		}
		out.Chassis = hwreport.Value(p)
	}
	if cause, err := c.RestartCause(ctx); err != nil {
		out.Restart = code[string](err)
	} else {
		out.Restart = hwreport.Value(cause)
	}
}

func lanChannels(ctx context.Context, c ipmi.Client, out *hwreport.IPMI) []hwreport.Finding {
	channels, err := c.ReadLAN(ctx)
	if err != nil && channels == nil {
		out.LAN = code[[]hwreport.LANChannel](err)
		return nil
	}
	list := []hwreport.LANChannel{}
	for _, l := range channels {
		k := hwreport.LANChannel{Channel: int64(l.Channel), Source: some(l.Source), Address: hwreport.Absent[string](), Gateway: hwreport.Absent[string](), MAC: some(l.MAC), VLAN: hwreport.Absent[int64]()}
		if l.IP.IsValid() && !l.IP.IsUnspecified() {
			k.Address = hwreport.Value(l.IP.String())
			if l.Bits >= 0 {
				k.Address = hwreport.Value(fmt.Sprintf("%s/%d", l.IP, l.Bits))
			}
		}
		if l.Gateway.IsValid() && !l.Gateway.IsUnspecified() {
			k.Gateway = hwreport.Value(l.Gateway.String())
		}
		if l.VLAN > 0 {
			k.VLAN = hwreport.Value(int64(l.VLAN))
		}
		list = append(list, k)
	}
	out.LAN = hwreport.Value(list)
	return nil
}

// frus reads FRU 0 and each unit that a locator record names; one that is
// broken spoils no other.
func frus(ctx context.Context, c ipmi.Client, records []ipmi.Record, out *hwreport.IPMI) []hwreport.Finding {
	units := []ipmi.Locator{{Name: "", Unit: 0, Logical: true}}
	for _, r := range records {
		if r.Type != ipmi.FRULocator {
			continue
		}
		l, err := ipmi.ParseLocator(r)
		if err != nil || !l.Logical {
			continue
		}
		if i := slices.IndexFunc(units, func(u ipmi.Locator) bool { return u.Unit == l.Unit }); i >= 0 {
			if units[i].Name == "" {
				units[i] = l
			}
			continue
		}
		units = append(units, l)
	}
	list := []hwreport.FRU{}
	var found []hwreport.Finding
	var ids hwreport.IDs
	for _, u := range units {
		k := hwreport.FRU{Unit: int64(u.Unit), Name: some(u.Name), Entity: hwreport.Absent[string](), MaxWatts: hwreport.Absent[int64]()}
		if u.Entity != 0 {
			k.Entity = hwreport.Value(fmt.Sprintf("%d.%d", u.Entity, u.Instance))
		}
		raw, err := c.ReadFRU(ctx, u.Unit)
		var absent ipmi.Code
		if errors.As(err, &absent) && absent == ipmi.CodeNotPresent {
			continue // nothing is plugged in
		}
		if err != nil && len(raw) == 0 {
			k.ID, k.Error = ids.Unique(hwreport.ID("fru", u.Name, strconv.Itoa(int(u.Unit)))), err.Error()
			hwreport.Fill(&k, err.Error())
			list = append(list, k)
			continue
		}
		f := ipmi.ParseFRU(raw)
		f.Broken = append(f.Broken, errorsOf(err)...)
		fillFRU(&k, f)
		k.ID = ids.Unique(hwreport.ID("fru", u.Name, k.BoardProduct.Or(""), strconv.Itoa(int(u.Unit))))
		if len(f.Broken) > 0 {
			k.Error = errors.Join(f.Broken...).Error()
			found = append(found, hwreport.NewFinding(hwreport.Warning, "ipmi.fru-broken", k.ID, "an inventory is damaged; what stands elsewhere in it was read",
				hwreport.Evidence{Source: fmt.Sprintf("FRU %d", u.Unit), Value: k.Error}))
		}
		list = append(list, k)
	}
	out.FRUs = hwreport.Value(list)
	return found
}

func errorsOf(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}

func fillFRU(k *hwreport.FRU, f ipmi.FRU) {
	k.BoardManufacturer, k.BoardProduct, k.BoardSerial, k.BoardPart = some(f.Board.Manufacturer), some(f.Board.Product), some(f.Board.Serial), some(f.Board.Part)
	k.ProductManufacturer, k.ProductName, k.ProductPart = some(f.Product.Manufacturer), some(f.Product.Name), some(f.Product.Part)
	k.ProductVersion, k.ProductSerial, k.ProductAssetTag = some(f.Product.Version), some(f.Product.Serial), some(f.Product.AssetTag)
	k.ChassisPart, k.ChassisSerial = some(f.Chassis.Part), some(f.Chassis.Serial)
	if len(f.Power) > 0 && f.Power[0].Watts > 0 {
		k.MaxWatts = hwreport.Value(int64(f.Power[0].Watts))
	}
}

// sensors reads every sensor of the repository that the controller itself
// owns.
func sensors(ctx context.Context, c ipmi.Client, records []ipmi.Record, sdrErr error, out *hwreport.IPMI) []hwreport.Finding {
	if sdrErr != nil && records == nil {
		out.Sensors = code[[]hwreport.Sensor](sdrErr)
		return nil
	}
	var found []hwreport.Finding
	if sdrErr != nil {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "ipmi.sdr-broken", "", "the list of sensors is damaged; what stands before the damage was read",
			hwreport.Evidence{Source: "SDR repository", Value: sdrErr.Error()}))
	}
	var ids hwreport.IDs
	list := []hwreport.Sensor{}
	for _, r := range records {
		if r.Type != ipmi.FullSensor && r.Type != ipmi.CompactSensor {
			continue
		}
		s, err := ipmi.ParseSensor(r)
		if err != nil {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "ipmi.sdr-broken", fmt.Sprintf("record:%#04x", r.ID), "a sensor record is malformed; the others were read",
				hwreport.Evidence{Source: "SDR repository", Value: err.Error()}))
			continue
		}
		k := hwreport.Sensor{Name: s.Name, Kind: ipmi.KindName(s.Kind), Entity: fmt.Sprintf("%d.%d", s.Entity, s.Instance), Unit: s.Unit, Thresholds: []hwreport.Threshold{}}
		k.ID = ids.Unique(hwreport.ID("sensor", s.Name, fmt.Sprintf("%#02x", s.Number)))
		for i, name := range ipmi.ThresholdNames {
			if v, ok := s.Threshold(i); ok {
				k.Thresholds = append(k.Thresholds, hwreport.Threshold{Name: name, Value: v})
			}
		}
		reading(ctx, c, s, &k)
		list = append(list, k)
		found = append(found, sensorFindings(k)...)
	}
	out.Sensors = hwreport.Value(list)
	return found
}

func reading(ctx context.Context, c ipmi.Client, s ipmi.Sensor, k *hwreport.Sensor) {
	k.Value, k.States, k.Crossed, k.Asserted = hwreport.Absent[float64](), hwreport.Absent[int64](), hwreport.Absent[[]string](), hwreport.Absent[[]string]()
	r, err := c.Read(ctx, s)
	if err != nil {
		k.Value = code[float64](err)
		return
	}
	if !r.Available {
		return
	}
	if s.EventType == 1 {
		if v, ok := s.Convert(r.Raw); ok {
			k.Value = hwreport.Value(v)
		}
		if names := r.Crossed(); names != nil {
			k.Crossed = hwreport.Value(names)
		}
		return
	}
	k.States = hwreport.Value(int64(r.States))
	if names := ipmi.StateNames(s.Kind, s.EventType, r.States); names != nil {
		k.Asserted = hwreport.Value(names)
	}
}

func sensorFindings(k hwreport.Sensor) []hwreport.Finding {
	crossed := k.Crossed.Or(nil)
	if len(crossed) == 0 {
		return nil
	}
	severity := hwreport.Warning
	if !strings.HasSuffix(crossed[0], "non-critical") {
		severity = hwreport.Failure
	}
	return []hwreport.Finding{hwreport.NewFinding(severity, "ipmi.threshold", k.ID, fmt.Sprintf("%s reads %s %s: %s", k.Name, k.Value, k.Unit, crossed[0]),
		hwreport.Evidence{Source: "IPMI sensor " + k.Name, Value: k.Value.String()})}
}

// events triages the log: equal entries together, the newest first, routine
// ones counted.
func events(ctx context.Context, c ipmi.Client, records []ipmi.Record, out *hwreport.IPMI) []hwreport.Finding {
	l, err := c.ReadLog(ctx)
	if err != nil && l.Events == nil {
		out.Log = code[hwreport.EventLog](err)
		return nil
	}
	name := sync.OnceValue(func() map[byte]string {
		of := map[byte]string{}
		for _, r := range records {
			if s, err := ipmi.ParseSensor(r); err == nil && (r.Type == ipmi.FullSensor || r.Type == ipmi.CompactSensor) {
				of[s.Number] = s.Name
			}
		}
		return of
	})
	k := hwreport.EventLog{Entries: int64(l.Entries), FreeBytes: int64(l.Free), Overflow: l.Overflow, Cut: l.Cut || err != nil, Notable: []hwreport.Event{}}
	at := map[string]int{}
	for _, e := range slices.Backward(l.Events) {
		what, g := e.Judge()
		if g == ipmi.Routine {
			k.Routine++
			continue
		}
		sensor := name()[e.Sensor]
		if sensor == "" {
			sensor = fmt.Sprintf("%s %#02x", ipmi.KindName(e.Kind), e.Sensor)
		}
		when := ""
		if !e.Time.IsZero() {
			when = e.Time.Format(time.RFC3339)
		}
		key := sensor + "\x00" + what
		if i, ok := at[key]; ok {
			k.Notable[i].Count++
			k.Notable[i].First = when
			continue
		}
		at[key] = len(k.Notable)
		k.Notable = append(k.Notable, hwreport.Event{First: when, Last: when, Count: 1, Sensor: sensor, What: what, Grave: g == ipmi.Grave, Data: fmt.Sprintf("%x", e.Data)})
	}
	out.Log = hwreport.Value(k)
	var found []hwreport.Finding
	for _, e := range k.Notable {
		severity := hwreport.Info
		if e.Grave {
			severity = hwreport.Warning
		}
		found = append(found, hwreport.NewFinding(severity, "ipmi.event", hwreport.ID("sensor", e.Sensor)+":"+hwreport.ID("", e.What)[1:], fmt.Sprintf("event log: %s: %s, %d times", e.Sensor, e.What, e.Count),
			hwreport.Evidence{Source: "IPMI event log", Value: strings.TrimSpace(e.Last + " " + e.Data)}))
	}
	return found
}

func bmcFindings(out *hwreport.IPMI) []hwreport.Finding {
	var found []hwreport.Finding
	if s, ok := out.ClockOff.Get(); ok && time.Duration(max(s, -s))*time.Second > skewLimit {
		found = append(found, hwreport.NewFinding(hwreport.Info, "ipmi.clock-skew", "", fmt.Sprintf("the management controller's clock is %v off", time.Duration(s)*time.Second),
			hwreport.Evidence{Source: "Get SEL Time", Value: strconv.FormatInt(s, 10)}))
	}
	if l, ok := out.Log.Get(); ok && (l.Overflow || l.Entries > 0 && l.FreeBytes == 0) {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "ipmi.log-full", "", "the event log is full: newer events are lost",
			hwreport.Evidence{Source: "Get SEL Info", Value: strconv.FormatInt(l.FreeBytes, 10)}))
	}
	if s, ok := out.Chassis.Get(); ok {
		for _, f := range s.Faults {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "ipmi.chassis-fault", strings.ReplaceAll(f, " ", "-"), "the chassis reports: "+f,
				hwreport.Evidence{Source: "Get Chassis Status", Value: f}))
		}
	}
	return found
}

// ipmiInterface is DSP0134 7.39.1.
func ipmiInterface(s smbios.Structure) hwreport.Field[string] {
	n, ok := s.Byte(4)
	if !ok || n == 0 {
		return hwreport.Absent[string]()
	}
	return named([]string{"KCS", "SMIC", "BT", "SSIF"}, n, ok)
}
