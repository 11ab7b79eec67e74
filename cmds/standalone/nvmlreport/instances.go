//go:build cgo && linux

package main

import (
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/bee-os/bee/pkg/hwreport"
)

// mig reads the multi-instance mode and, where it is on, the instances.
func (a *asker) mig() hwreport.Field[hwreport.GPUMIG] {
	now, next := two(a, "nvmlDeviceGetMigMode", a.GetMigMode, func(mode int) hwreport.Field[bool] { return hwreport.Value(mode == nvml.DEVICE_MIG_ENABLE) })
	if now.State() != hwreport.IsValue {
		return hwreport.Unknown[hwreport.GPUMIG](now.Reason())
	}
	m := hwreport.GPUMIG{Enabled: now.Or(false), Pending: next.Or(false), Instances: hwreport.Absent[[]hwreport.MIGInstance]()}
	if m.Enabled {
		m.Instances = a.instances()
	}
	return hwreport.Value(m)
}

// instances asks every place that an instance may have; most are empty.
func (a *asker) instances() hwreport.Field[[]hwreport.MIGInstance] {
	return value(a, "nvmlDeviceGetMaxMigDeviceCount", a.GetMaxMigDeviceCount, func(n int) hwreport.Field[[]hwreport.MIGInstance] {
		var list []hwreport.MIGInstance
		if why, ok := a.may("nvmlDeviceGetMigDeviceHandleByIndex"); !ok {
			return hwreport.Unknown[[]hwreport.MIGInstance](why)
		}
		for i := range min(n, 64) {
			d, r := a.GetMigDeviceHandleByIndex(i)
			if r == nvml.ERROR_NOT_FOUND || r == nvml.ERROR_INVALID_ARGUMENT {
				continue
			}
			if r != nvml.SUCCESS {
				return hwreport.Unknown[[]hwreport.MIGInstance](a.failed("nvmlDeviceGetMigDeviceHandleByIndex", r))
			}
			p := &asker{library: a.library, Device: d}
			list = append(list, hwreport.MIGInstance{
				UUID: text(p, "nvmlDeviceGetUUID", p.GetUUID), Model: text(p, "nvmlDeviceGetName", p.GetName),
				GPUInstance: number(p, "nvmlDeviceGetGpuInstanceId", p.GetGpuInstanceId), ComputeInstance: number(p, "nvmlDeviceGetComputeInstanceId", p.GetComputeInstanceId),
				Memory: p.memory().Total,
			})
		}
		if list == nil {
			return hwreport.Absent[[]hwreport.MIGInstance]()
		}
		return hwreport.Value(list)
	})
}

// processes lists who holds a context. In MIG mode NVML may refuse to tell it of
// the GPU as a whole.
func (a *asker) processes() hwreport.Field[[]hwreport.GPUProcess] {
	list := []hwreport.GPUProcess{}
	told, why := false, ""
	for _, k := range []struct {
		kind, function string
		ask            func() ([]nvml.ProcessInfo, nvml.Return)
	}{
		{"compute", "nvmlDeviceGetComputeRunningProcesses", a.GetComputeRunningProcesses},
		{"graphics", "nvmlDeviceGetGraphicsRunningProcesses", a.GetGraphicsRunningProcesses},
	} {
		f := value(a, k.function, k.ask, hwreport.Value[[]nvml.ProcessInfo])
		told, why = told || f.State() == hwreport.IsValue, f.Reason()
		for _, p := range f.Or(nil) {
			list = append(list, hwreport.GPUProcess{PID: int64(p.Pid), Kind: k.kind, Memory: whole(p.UsedGpuMemory),
				Name: text(a, "nvmlSystemGetProcessName", func() (string, nvml.Return) { return a.SystemGetProcessName(int(p.Pid)) })})
		}
	}
	if !told {
		return hwreport.Unknown[[]hwreport.GPUProcess](why)
	}
	return hwreport.Value(list)
}

// samples looks at what the GPUs do now. One that is lost is among them, with
// the reason in every field.
func (l library) samples(devices []handle) hwreport.GPUSamples {
	s := hwreport.GPUSamples{Time: time.Now(), Devices: make([]hwreport.GPUSample, 0, len(devices))}
	for _, h := range devices {
		var g hwreport.GPUSample
		if h.err != nil {
			hwreport.Fill(&g, h.err.text)
			s.Devices = append(s.Devices, g)
			continue
		}
		a := &asker{library: l, Device: h.device}
		g.UUID = text(a, "nvmlDeviceGetUUID", a.GetUUID).Or("")
		g.Address = value(a, "nvmlDeviceGetPciInfo", a.GetPciInfo, address).Or("")
		g.Temperature, g.MemTemp = a.temperature(), a.field(nvml.FI_DEV_MEMORY_TEMP, 0)
		g.Power = number(a, "nvmlDeviceGetPowerUsage", a.GetPowerUsage)
		clock := func(t nvml.ClockType) hwreport.Field[int64] {
			return number(a, "nvmlDeviceGetClockInfo", func() (uint32, nvml.Return) { return a.GetClockInfo(t) })
		}
		g.SMClock, g.MemClock = clock(nvml.CLOCK_SM), clock(nvml.CLOCK_MEM)
		g.Utilisation, g.Throttle = a.utilisation().GPU, a.throttle()
		errors := a.errors(nvml.VOLATILE_ECC)
		g.Corrected, g.Uncorrected = errors.Corrected, errors.Uncorrected
		generation, width := number(a, "nvmlDeviceGetCurrPcieLinkGeneration", a.GetCurrPcieLinkGeneration), number(a, "nvmlDeviceGetCurrPcieLinkWidth", a.GetCurrPcieLinkWidth)
		at, ok1 := generation.Get()
		lanes, ok2 := width.Get()
		g.Link = hwreport.Value(hwreport.GPULinkAt{Generation: at, Width: lanes})
		if !ok1 || !ok2 {
			g.Link = hwreport.Unknown[hwreport.GPULinkAt](generation.Reason() + width.Reason())
		}
		hwreport.Fill(&g, hwreport.NotCollected)
		s.Devices = append(s.Devices, g)
	}
	return s
}
