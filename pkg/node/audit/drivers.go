package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/modload/modstate"
)

// drivers reads what coldplug made of the devices.
func drivers(_ context.Context, m Machine, out *hwreport.Drivers) ([]hwreport.Finding, error) {
	loaded, err := raw(m.Root, "proc/modules")
	switch {
	case err != nil:
		out.Loaded = why[int64](err)
	case loaded == "":
		out.Loaded = hwreport.Value(int64(0))
	default:
		out.Loaded = hwreport.Value(int64(strings.Count(loaded, "\n") + 1))
	}
	state, err := modstate.Read(m.Root)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && notBee(m, out) {
			return nil, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			hwreport.Fill(out, "coldplug has told nothing yet")
			return []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "drivers.unsettled", "", "coldplug has told nothing yet")}, nil
		}
		return nil, err
	}
	out.Complete = hwreport.Value(state.Complete)
	failed, orphans := []hwreport.FailedModule{}, []hwreport.Orphan{}
	var found []hwreport.Finding
	for _, f := range state.Failed {
		failed = append(failed, hwreport.FailedModule{Name: f.Name, Error: f.Error})
		found = append(found, hwreport.NewFinding(hwreport.Warning, "drivers.module-failed", f.Name, f.Error,
			hwreport.Evidence{Source: modstate.Path, Value: f.Error}))
	}
	var ids hwreport.IDs
	for _, o := range state.Orphans {
		k := hwreport.Orphan{Device: o.Device, Modalias: o.Modalias, Modules: o.Modules, Firmware: o.Firmware, Reason: o.Reason}
		if k.Modules == nil {
			k.Modules = []string{}
		}
		if k.Firmware == nil {
			k.Firmware = []string{}
		}
		k.ID = orphanID(&ids, o.Device)
		orphans = append(orphans, k)
		message := fmt.Sprintf("%s has no driver (%s)", o.Device, o.Reason)
		if len(o.Modules) > 0 {
			message += ": it wants " + strings.Join(o.Modules, " or ")
		}
		severity := hwreport.Info
		if matters(o.Modalias) {
			severity = hwreport.Warning
		}
		found = append(found, hwreport.NewFinding(severity, "drivers.no-driver", k.ID, message, hwreport.Evidence{Source: "sys/" + o.Device + "/modalias", Value: o.Modalias}))
	}
	out.Failed, out.Orphans = hwreport.Value(failed), hwreport.Value(orphans)
	if !state.Complete {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "drivers.unsettled", "", "drivers were still being loaded when the audit looked"))
	}
	return found, nil
}

// notBee says whether the machine runs another system, which has no coldplug of
// ours to ask.
func notBee(m Machine, out *hwreport.Drivers) bool {
	if exists(m, bom.Path) {
		return false
	}
	out.Complete, out.Failed, out.Orphans = hwreport.Absent[bool](), hwreport.Absent[[]hwreport.FailedModule](), hwreport.Absent[[]hwreport.Orphan]()
	return true
}

func orphanID(ids *hwreport.IDs, device string) string {
	if id := pciID(device); id != "" && strings.HasSuffix(device, id[strings.LastIndexByte(id, '/')+1:]) {
		return ids.Unique(id)
	}
	return ids.Unique(hwreport.ID("device", strings.TrimPrefix(device, "devices/")))
}

// matters says that a device without a driver is missed: storage and network
// (PCI classes 01 and 02).
func matters(modalias string) bool {
	return strings.HasPrefix(modalias, "pci:") && (strings.Contains(modalias, "bc01") || strings.Contains(modalias, "bc02"))
}
