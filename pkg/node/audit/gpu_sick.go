package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// manyReplays is how many replays of its PCIe link are worth a line. A few come
// with every reset; they cost time, never data.
const manyReplays = 100

// sick tells what NVML says is wrong with one GPU, or that one should know.
func sick(g *hwreport.GPUDevice, v *hwreport.NVMLDevice) []hwreport.Finding {
	t := teller{g: g}
	t.memory(v)
	t.bus(v)
	t.heat(v)
	t.nvlink(v)
	t.modes(v)
	return t.found
}

// teller gathers the findings of one GPU.
type teller struct {
	g     *hwreport.GPUDevice
	found []hwreport.Finding
}

// tell adds a finding whose evidence is one answer of NVML's.
func (t *teller) tell(severity hwreport.Severity, code, message, source string, value any) {
	t.found = append(t.found, hwreport.NewFinding(severity, code, t.g.ID, fmt.Sprintf("GPU %s: %s", t.g.Address, message), hwreport.Evidence{Source: source, Value: fmt.Sprint(value)}))
}

func (t *teller) memory(v *hwreport.NVMLDevice) {
	if v.Remapped.Failed.Or(false) {
		t.tell(hwreport.Failure, "gpu.row-remap-failed", "a broken row of memory could not be remapped, there is no spare one: run the field diagnostic, replace the GPU", "nvmlDeviceGetRemappedRows", "failure")
	}
	if v.Remapped.Pending.Or(false) {
		t.tell(hwreport.Warning, "gpu.row-remap-pending", "a broken row of memory is remapped at the next reset of the GPU", "nvmlDeviceGetRemappedRows", "pending")
	}
	if n := v.Retired.DoubleBit.Or(0); n > 0 {
		t.tell(hwreport.Warning, "gpu.pages-retired", fmt.Sprintf("%d pages of memory were retired for uncorrectable errors", n), "nvmlDeviceGetRetiredPages", n)
	}
	if v.Retired.Pending.Or(false) {
		t.tell(hwreport.Warning, "gpu.pages-pending", "pages of memory are retired at the next reset of the GPU", "nvmlDeviceGetRetiredPagesPendingStatus", "pending")
	}
	if n := v.ECC.Volatile.Uncorrected.Or(0); n > 0 {
		t.tell(hwreport.Failure, "gpu.ecc-uncorrected", fmt.Sprintf("%d errors since the driver was loaded that ECC could not correct%s", n, where(v, false)), "nvmlDeviceGetTotalEccErrors volatile", n)
	} else if n := v.ECC.Aggregate.Uncorrected.Or(0); n > 0 {
		t.tell(hwreport.Warning, "gpu.ecc-history", fmt.Sprintf("%d errors over its life that ECC could not correct%s", n, where(v, true)), "nvmlDeviceGetTotalEccErrors aggregate", n)
	}
	if v.ECC.SRAMWorn.Or(false) {
		t.tell(hwreport.Failure, "gpu.sram-worn", "more uncorrectable errors of its SRAM than NVIDIA lets pass: run the field diagnostic, replace the GPU", "nvmlDeviceGetSramEccErrorStatus", "threshold exceeded")
	}
	on, ok := v.ECC.Enabled.Get()
	if ok && !on {
		t.tell(hwreport.Warning, "gpu.ecc-off", "ECC is switched off: errors of its memory stay unseen", "nvmlDeviceGetEccMode", "disabled")
	}
	if next, ok2 := v.ECC.Pending.Get(); ok && ok2 && next != on {
		t.tell(hwreport.Info, "gpu.ecc-pending", "ECC is switched over at the next reset of the GPU", "nvmlDeviceGetEccMode", fmt.Sprintf("now %v, then %v", on, next))
	}
	if valid, ok := v.InfoROM.Valid.Get(); ok && !valid {
		t.tell(hwreport.Warning, "gpu.inforom-corrupted", "the InfoROM is corrupted: what it counts and how the board is set up cannot be trusted", "nvmlDeviceValidateInforom", "ERROR_CORRUPTED_INFOROM")
	}
}

// where names the memories that had uncorrectable errors.
func where(v *hwreport.NVMLDevice, ever bool) string {
	var list []string
	for _, p := range v.ECC.Places.Or(nil) {
		n := p.Volatile.Uncorrected.Or(0)
		if ever {
			n = p.Aggregate.Uncorrected.Or(0)
		}
		if n > 0 {
			list = append(list, fmt.Sprintf("%s %d", p.Place, n))
		}
	}
	if list == nil {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// bus judges the width of the link. A lower generation is no finding: GPUs that
// have nothing to do lower it. Lanes that the bus itself shows as lost have
// pcie.width-lost already.
func (t *teller) bus(v *hwreport.NVMLDevice) {
	now, ok1 := v.Link.Width.Get()
	most, ok2 := v.Link.MaxWidth.Get()
	sysfs := t.g.Link.Or(hwreport.PCILink{})
	if ok1 && ok2 && now > 0 && now < most && !(sysfs.Downtrained && sysfs.Width <= now) {
		t.tell(hwreport.Warning, "gpu.width-lost", fmt.Sprintf("its PCIe link runs on %d of %d lanes", now, most), "nvmlDeviceGetCurrPcieLinkWidth", now)
	}
	if n := v.Link.Replays.Or(0); n >= manyReplays {
		t.tell(hwreport.Info, "gpu.pcie-replays", fmt.Sprintf("its PCIe link repeated %d packets", n), "nvmlDeviceGetPcieReplayCounter", n)
	}
}

// heat judges clocks that are held down and temperatures. Nothing should load
// the GPU while the audit runs, so that each of these is worse than under load.
func (t *teller) heat(v *hwreport.NVMLDevice) {
	words := v.Clocks.Throttle.Or(nil)
	worst := hwreport.Severity("")
	var bad []string
	for _, k := range hwreport.GPUThrottle {
		if !slices.Contains(words, k.Name) || k.Fault == "" {
			continue
		}
		bad = append(bad, k.Name)
		if worst != hwreport.Failure && (worst != hwreport.Warning || k.Fault == hwreport.Failure) {
			worst = k.Fault
		}
	}
	if bad != nil {
		t.tell(worst, "gpu.throttled", "its clocks are held down now: "+strings.Join(bad, ", "), "nvmlDeviceGetCurrentClocksEventReasons", strings.Join(words, " "))
	}
	now, ok := v.Temperature.GPU.Get()
	slow, ok1 := v.Temperature.Slowdown.Get()
	most, ok2 := v.Temperature.MaxRunning.Get()
	switch {
	case ok && ok1 && slow > 0 && now >= slow:
		t.tell(hwreport.Failure, "gpu.hot", fmt.Sprintf("%d °C, from %d on hardware lowers its clocks", now, slow), "nvmlDeviceGetTemperature", now)
	case ok && ok2 && most > 0 && now >= most:
		t.tell(hwreport.Warning, "gpu.hot", fmt.Sprintf("%d °C, it should run below %d", now, most), "nvmlDeviceGetTemperature", now)
	}
	memory, ok := v.Temperature.Memory.Get()
	if limit := v.Temperature.MaxOfMemory.Or(0); ok && limit > 0 && memory >= limit && memory < 200 {
		t.tell(hwreport.Warning, "gpu.memory-hot", fmt.Sprintf("its memory has %d °C, it should stay below %d", memory, limit), "NVML_FI_DEV_MEMORY_TEMP", memory)
	}
}

// nvlink judges the counters of the links that are up and the fabric. Which
// links ought to be up shows only beside its equals: see unequal.
func (t *teller) nvlink(v *hwreport.NVMLDevice) {
	var list []string
	severity := hwreport.Info // a link repeats what it lost; one that had to train again is bad
	for _, l := range v.NVLinks.Or(nil) {
		replays, recoveries, crc := l.Replays.Or(0), l.Recoveries.Or(0), l.CRCFlit.Or(0)+l.CRCData.Or(0)
		if replays+recoveries+crc == 0 {
			continue
		}
		if recoveries > 0 {
			severity = hwreport.Warning
		}
		list = append(list, fmt.Sprintf("link %d: %d replays, %d recoveries, %d CRC errors", l.Link, replays, recoveries, crc))
	}
	if list != nil {
		t.tell(severity, "gpu.nvlink-errors", fmt.Sprintf("%d of its NVLinks count errors", len(list)), "nvmlDeviceGetNvLinkErrorCounter", strings.Join(list, "; "))
	}
	f, ok := v.Fabric.Get()
	const source = "nvmlDeviceGetGpuFabricInfo"
	switch bad := f.Bad.Or(nil); {
	case !ok:
	case f.State == "completed" && f.Status != "SUCCESS":
		t.tell(hwreport.Failure, "gpu.fabric", "it could not join the NVSwitch fabric: "+f.Status, source, f.Status)
	case bad != nil:
		t.tell(hwreport.Failure, "gpu.fabric", "it is in the NVSwitch fabric and not well: "+strings.Join(bad, ", "), source, strings.Join(bad, " "))
	case f.State != "completed":
		t.tell(hwreport.Warning, "gpu.fabric", "it has not joined the NVSwitch fabric ("+f.State+"): no CUDA program runs until NVIDIA's fabric manager has set the switches up", source, f.State)
	}
}

func (t *teller) modes(v *hwreport.NVMLDevice) {
	if m, ok := v.MIG.Get(); ok && m.Enabled {
		t.tell(hwreport.Info, "gpu.mig", fmt.Sprintf("it is cut up (MIG), into %d instances now", len(m.Instances.Or(nil))), "nvmlDeviceGetMigMode", "enabled")
	}
	if on, ok := v.Persistence.Get(); ok && !on {
		t.tell(hwreport.Info, "gpu.persistence-off", "persistence mode is off: the driver starts the GPU anew for each program", "nvmlDeviceGetPersistenceMode", "disabled")
	}
	if list := v.Processes.Or(nil); len(list) > 0 {
		t.tell(hwreport.Info, "gpu.busy", fmt.Sprintf("%d processes used it during the audit: what was measured is not that of an idle GPU", len(list)), "nvmlDeviceGetComputeRunningProcesses", len(list))
	}
	limit, ok1 := v.Power.Limit.Get()
	usual, ok2 := v.Power.Default.Get()
	if ok1 && ok2 && limit < usual {
		t.tell(hwreport.Warning, "gpu.power-limit", fmt.Sprintf("it may draw %d W, its default is %d W", limit/1000, usual/1000), "nvmlDeviceGetPowerManagementLimit", limit)
	}
}
