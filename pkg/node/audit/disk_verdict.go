package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/nvme"
)

// judge gives a disk its verdict, from what it tells of itself. The gravest
// reason counts; a disk that could not be asked is not ok but unknown.
func judge(d *hwreport.Disk) {
	verdict, reasons := hwreport.DiskOK, []string(nil)
	rank := map[hwreport.DiskVerdict]int{hwreport.DiskOK: 0, hwreport.DiskWorn: 1, hwreport.DiskFailing: 2, hwreport.DiskFailed: 3}
	say := func(v hwreport.DiskVerdict, format string, args ...any) {
		if rank[v] > rank[verdict] {
			verdict = v
		}
		reasons = append(reasons, fmt.Sprintf(format, args...))
	}
	_, told := d.Verdict.Get() // the disk said how it is
	if n, ok := d.Bytes.Get(); ok && n == 0 && d.Kind == "disk" && !d.Removable.Or(false) {
		say(hwreport.DiskFailed, "it reports a size of zero")
	}
	if n, ok := d.NVMe.Get(); ok {
		if s, ok := n.State.Get(); ok && s != "live" {
			say(hwreport.DiskFailed, "the controller is %s", s)
		}
		if h, ok := n.Health.Get(); ok {
			told = true
			if h.CriticalWarning != 0 {
				say(hwreport.DiskFailing, "critical warning: %s", strings.Join(nvme.Warnings(byte(h.CriticalWarning)), ", "))
			}
			if h.SpareThreshold > 0 && h.SpareThreshold <= 100 && h.SparePercent < h.SpareThreshold {
				say(hwreport.DiskFailing, "%d%% of the spare blocks are left, %d%% is the limit", h.SparePercent, h.SpareThreshold)
			}
		}
	}
	if k, ok := d.ATA.Get(); ok {
		if passed, ok := k.Passed.Get(); ok {
			told = true
			if !passed {
				say(hwreport.DiskFailing, "SMART says that it will fail")
			}
		}
		for _, a := range k.Attributes.Or(nil) {
			told = true
			switch {
			case a.Failed == "now" && a.Prefailure:
				say(hwreport.DiskFailing, "attribute %d %s is at %d, %d is the limit", a.ID, a.Name, a.Value, a.Threshold.Or(0))
			case a.Failed == "now":
				say(hwreport.DiskWorn, "attribute %d %s is at %d, %d is the limit", a.ID, a.Name, a.Value, a.Threshold.Or(0))
			case a.ID == 197 && a.Raw&0xffffffff > 0:
				say(hwreport.DiskFailing, "%d sectors cannot be read", a.Raw&0xffffffff)
			case a.ID == 198 && a.Raw&0xffffffff > 0:
				say(hwreport.DiskFailing, "%d sectors are uncorrectable", a.Raw&0xffffffff)
			}
		}
	}
	if k, ok := d.SCSI.Get(); ok {
		e, warned := k.Exception.Get()
		told = told || k.Read.State() == hwreport.IsValue
		if strings.HasPrefix(e, "failure prediction") {
			say(hwreport.DiskFailing, "%s", e)
		} else if warned {
			say(hwreport.DiskOK, "%s", e)
		}
		if n := d.MediaErrors.Or(0); n > 0 {
			say(hwreport.DiskFailing, "%d errors could not be corrected", n)
		}
	}
	if t := d.SelfTests.Or(nil); len(t) > 0 && strings.HasPrefix(t[0].Result, "failed") {
		say(hwreport.DiskFailing, "the last self-test %s", t[0].Result)
	}
	if n := d.UsedPercent.Or(0); n >= 100 {
		say(hwreport.DiskWorn, "%d%% of the rated endurance is used", n)
	}
	if reasons != nil {
		d.Reasons = hwreport.Value(reasons)
	}
	if told || verdict != hwreport.DiskOK {
		d.Verdict = hwreport.Value(verdict)
	}
	hwreport.Fill(d, "the disk was not asked")
}

func diskFindings(d *hwreport.Disk) []hwreport.Finding {
	var found []hwreport.Finding
	add := func(severity hwreport.Severity, code, message, source, value string) {
		found = append(found, hwreport.NewFinding(severity, code, d.ID, d.Name+" "+message, hwreport.Evidence{Source: source, Value: value}))
	}
	reasons := strings.Join(d.Reasons.Or(nil), "; ")
	switch d.Verdict.Or("") {
	case hwreport.DiskFailed:
		add(hwreport.Failure, "storage.failed", "has failed: "+reasons, "sys/block/"+d.Name, reasons)
	case hwreport.DiskFailing:
		add(hwreport.Failure, "storage.failing", "is failing: "+reasons, "sys/block/"+d.Name, reasons)
	case hwreport.DiskWorn:
		add(hwreport.Warning, "storage.worn", "is worn: "+reasons, "sys/block/"+d.Name, reasons)
	default:
		if why := d.Verdict.Reason(); strings.Contains(why, "timed out") {
			add(hwreport.Warning, "storage.silent", "does not answer: "+why, "dev/"+d.Name, why)
		}
		if reasons != "" {
			add(hwreport.Warning, "storage.exception", "warns: "+reasons, "sys/block/"+d.Name, reasons)
		}
	}
	if n, ok := d.NVMe.Get(); ok {
		if h, ok := n.Health.Get(); ok && h.MediaErrors > 0 {
			add(hwreport.Warning, "storage.media-errors", fmt.Sprintf("counts %d media errors", h.MediaErrors), "log page 02h", strconv.FormatInt(h.MediaErrors, 10))
		}
		for _, f := range n.Firmware.Or(nil) {
			if f.Next && !f.Active {
				add(hwreport.Info, "storage.firmware-pending", "runs other firmware after its next reset: "+f.Revision, "log page 03h", f.Revision)
			}
		}
	}
	if k, ok := d.ATA.Get(); ok {
		if on, ok := k.SMART.Get(); ok && !on {
			add(hwreport.Info, "storage.smart-off", "has SMART switched off", "IDENTIFY DEVICE word 85", "0")
		}
		for _, a := range k.Attributes.Or(nil) {
			if a.ID == 5 && a.Raw&0xffffffff > 0 {
				add(hwreport.Warning, "storage.reallocated", fmt.Sprintf("has replaced %d sectors", a.Raw&0xffffffff), "SMART attribute 5", strconv.FormatInt(a.Raw, 10))
			}
			if a.Failed == "past" {
				add(hwreport.Warning, "storage.attribute-past", fmt.Sprintf("had attribute %d %s below its limit before", a.ID, a.Name), fmt.Sprintf("SMART attribute %d", a.ID), strconv.FormatInt(a.Worst, 10))
			}
		}
		now, most := k.Gbps.Or(""), k.MaxGbps.Or("")
		if now != "" && most != "" && now < most {
			add(hwreport.Info, "storage.link-slow", fmt.Sprintf("runs at %s of %s Gbit/s", now, most), "IDENTIFY DEVICE word 77", now)
		}
	}
	return found
}
