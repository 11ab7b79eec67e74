//go:build cgo && linux

package main

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/bee-os/bee/pkg/hwreport"
)

// report asks everything once. It is whole whatever NVML does.
func report(lib nvml.Interface) *hwreport.NVML {
	l := library{lib}
	out := new(hwreport.NVML)
	fail := func(err error) *hwreport.NVML {
		out.Error = err.Error()
		if r, ok := err.(*refused); ok {
			out.Code = r.code
		}
		hwreport.Fill(out, out.Error)
		return out
	}
	sys := &asker{library: l}
	version := func() { out.Library = text(sys, "nvmlSystemGetNVMLVersion", lib.SystemGetNVMLVersion) }
	if err := l.open(); err != nil {
		if l.has("nvmlSystemGetNVMLVersion") { // it tells which release it is, started or not
			version()
		}
		return fail(err)
	}
	defer lib.Shutdown()
	version()
	out.Driver = text(sys, "nvmlSystemGetDriverVersion", lib.SystemGetDriverVersion)
	out.CUDA = value(sys, "nvmlSystemGetCudaDriverVersion", lib.SystemGetCudaDriverVersion, func(v int) hwreport.Field[string] {
		return hwreport.Value(fmt.Sprintf("%d.%d", v/1000, v%1000/10))
	})
	handles, err := l.handles()
	if err != nil {
		return fail(err)
	}
	list := make([]hwreport.NVMLDevice, 0, len(handles))
	for _, h := range handles {
		list = append(list, l.look(h))
	}
	out.Devices = hwreport.Value(list)
	hwreport.Fill(out, hwreport.NotCollected)
	return out
}

// look reads one GPU.
func (l library) look(h handle) hwreport.NVMLDevice {
	d := hwreport.NVMLDevice{Index: int64(h.index)}
	if h.err != nil {
		d.Code, d.Error = h.err.code, h.err.text
		hwreport.Fill(&d, d.Error)
		return d
	}
	a := &asker{library: l, Device: h.device}
	d.Address = value(a, "nvmlDeviceGetPciInfo", a.GetPciInfo, address).Or("")
	a.identity(&d)
	a.state(&d)
	a.health(&d)
	d.NVLinks = a.nvlinks()
	d.Fabric = a.fabric()
	d.MIG = a.mig()
	d.Processes = a.processes()
	if a.lost != nil {
		d.Code, d.Error = a.lost.code, a.lost.text
	}
	hwreport.Fill(&d, hwreport.NotCollected)
	return d
}

// address is a function's place on the bus as sysfs writes it.
func address(p nvml.PciInfo) hwreport.Field[string] {
	return hwreport.Value(fmt.Sprintf("%04x:%02x:%02x.0", p.Domain, p.Bus, p.Device))
}

func (a *asker) identity(d *hwreport.NVMLDevice) {
	d.Model = text(a, "nvmlDeviceGetName", a.GetName)
	d.Architecture = named(a, "nvmlDeviceGetArchitecture", a.GetArchitecture, map[nvml.DeviceArchitecture]string{
		nvml.DEVICE_ARCH_KEPLER: "Kepler", nvml.DEVICE_ARCH_MAXWELL: "Maxwell", nvml.DEVICE_ARCH_PASCAL: "Pascal", nvml.DEVICE_ARCH_VOLTA: "Volta",
		nvml.DEVICE_ARCH_TURING: "Turing", nvml.DEVICE_ARCH_AMPERE: "Ampere", nvml.DEVICE_ARCH_ADA: "Ada", nvml.DEVICE_ARCH_HOPPER: "Hopper",
		nvml.DEVICE_ARCH_BLACKWELL: "Blackwell", nvml.DEVICE_ARCH_RUBIN: "Rubin",
	})
	d.Brand = named(a, "nvmlDeviceGetBrand", a.GetBrand, map[nvml.BrandType]string{
		nvml.BRAND_QUADRO: "Quadro", nvml.BRAND_TESLA: "Tesla", nvml.BRAND_NVS: "NVS", nvml.BRAND_GRID: "GRID", nvml.BRAND_GEFORCE: "GeForce", nvml.BRAND_TITAN: "Titan",
		nvml.BRAND_NVIDIA_VAPPS: "NVIDIA vApps", nvml.BRAND_NVIDIA_VPC: "NVIDIA vPC", nvml.BRAND_NVIDIA_VCS: "NVIDIA vCS", nvml.BRAND_NVIDIA_VWS: "NVIDIA vWS",
		nvml.BRAND_NVIDIA_CLOUD_GAMING: "NVIDIA Cloud Gaming", nvml.BRAND_QUADRO_RTX: "Quadro RTX", nvml.BRAND_NVIDIA_RTX: "NVIDIA RTX", nvml.BRAND_NVIDIA: "NVIDIA",
		nvml.BRAND_GEFORCE_RTX: "GeForce RTX", nvml.BRAND_TITAN_RTX: "Titan RTX",
	})
	d.UUID = text(a, "nvmlDeviceGetUUID", a.GetUUID)
	d.Serial = text(a, "nvmlDeviceGetSerial", a.GetSerial)
	d.BoardPart = text(a, "nvmlDeviceGetBoardPartNumber", a.GetBoardPartNumber)
	d.BoardID = value(a, "nvmlDeviceGetBoardId", a.GetBoardId, func(id uint32) hwreport.Field[string] { return hwreport.Value(fmt.Sprintf("%#x", id)) })
	d.VBIOS = text(a, "nvmlDeviceGetVbiosVersion", a.GetVbiosVersion)
	d.GSP = text(a, "nvmlDeviceGetGspFirmwareVersion", a.GetGspFirmwareVersion)
	rom := func(o nvml.InforomObject) hwreport.Field[string] {
		return text(a, "nvmlDeviceGetInforomVersion", func() (string, nvml.Return) { return a.GetInforomVersion(o) })
	}
	d.InfoROM = hwreport.GPUInfoROM{Image: text(a, "nvmlDeviceGetInforomImageVersion", a.GetInforomImageVersion), OEM: rom(nvml.INFOROM_OEM), ECC: rom(nvml.INFOROM_ECC), Power: rom(nvml.INFOROM_POWER)}
	corrupt := false
	d.InfoROM.Valid = value(a, "nvmlDeviceValidateInforom", func() (bool, nvml.Return) {
		r := a.ValidateInforom()
		if r == nvml.ERROR_CORRUPTED_INFOROM { // an answer, not a refusal
			corrupt, r = true, nvml.SUCCESS
		}
		return !corrupt, r
	}, hwreport.Value[bool])
}

// state reads what changes from one moment to the next.
func (a *asker) state(d *hwreport.NVMLDevice) {
	d.Persistence = enabled(a, "nvmlDeviceGetPersistenceMode", a.GetPersistenceMode)
	d.ComputeMode = named(a, "nvmlDeviceGetComputeMode", a.GetComputeMode, map[nvml.ComputeMode]string{
		nvml.COMPUTEMODE_DEFAULT: "default", nvml.COMPUTEMODE_EXCLUSIVE_THREAD: "exclusive-thread", nvml.COMPUTEMODE_PROHIBITED: "prohibited", nvml.COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive-process",
	})
	d.PState = value(a, "nvmlDeviceGetPerformanceState", a.GetPerformanceState, func(p nvml.Pstates) hwreport.Field[int64] {
		if p == nvml.PSTATE_UNKNOWN {
			return hwreport.Unknown[int64]("not available")
		}
		return hwreport.Value(int64(p))
	})
	d.Link = hwreport.GPULink{
		Generation: number(a, "nvmlDeviceGetCurrPcieLinkGeneration", a.GetCurrPcieLinkGeneration), Width: number(a, "nvmlDeviceGetCurrPcieLinkWidth", a.GetCurrPcieLinkWidth),
		MaxGeneration: number(a, "nvmlDeviceGetMaxPcieLinkGeneration", a.GetMaxPcieLinkGeneration), MaxWidth: number(a, "nvmlDeviceGetMaxPcieLinkWidth", a.GetMaxPcieLinkWidth),
		GPUGeneration: number(a, "nvmlDeviceGetGpuMaxPcieLinkGeneration", a.GetGpuMaxPcieLinkGeneration), Replays: number(a, "nvmlDeviceGetPcieReplayCounter", a.GetPcieReplayCounter),
	}
	d.Memory = a.memory()
	clock := func(t nvml.ClockType) hwreport.Field[int64] {
		return number(a, "nvmlDeviceGetClockInfo", func() (uint32, nvml.Return) { return a.GetClockInfo(t) })
	}
	most := func(t nvml.ClockType) hwreport.Field[int64] {
		return number(a, "nvmlDeviceGetMaxClockInfo", func() (uint32, nvml.Return) { return a.GetMaxClockInfo(t) })
	}
	d.Clocks = hwreport.GPUClocks{
		SM: clock(nvml.CLOCK_SM), Memory: clock(nvml.CLOCK_MEM), Graphics: clock(nvml.CLOCK_GRAPHICS), Video: clock(nvml.CLOCK_VIDEO),
		MaxSM: most(nvml.CLOCK_SM), MaxMemory: most(nvml.CLOCK_MEM), MaxGraphics: most(nvml.CLOCK_GRAPHICS), MaxVideo: most(nvml.CLOCK_VIDEO), Throttle: a.throttle(),
	}
	d.Power = hwreport.GPUPower{
		Draw: number(a, "nvmlDeviceGetPowerUsage", a.GetPowerUsage), Limit: number(a, "nvmlDeviceGetPowerManagementLimit", a.GetPowerManagementLimit),
		Enforced: number(a, "nvmlDeviceGetEnforcedPowerLimit", a.GetEnforcedPowerLimit), Default: number(a, "nvmlDeviceGetPowerManagementDefaultLimit", a.GetPowerManagementDefaultLimit),
	}
	d.Power.Min, d.Power.Max = two(a, "nvmlDeviceGetPowerManagementLimitConstraints", a.GetPowerManagementLimitConstraints, whole[uint32])
	limit := func(t nvml.TemperatureThresholds) hwreport.Field[int64] {
		return number(a, "nvmlDeviceGetTemperatureThreshold", func() (uint32, nvml.Return) { return a.GetTemperatureThreshold(t) })
	}
	d.Temperature = hwreport.GPUTemperature{
		GPU: a.temperature(), Memory: a.field(nvml.FI_DEV_MEMORY_TEMP, 0),
		Shutdown: limit(nvml.TEMPERATURE_THRESHOLD_SHUTDOWN), Slowdown: limit(nvml.TEMPERATURE_THRESHOLD_SLOWDOWN),
		MaxRunning: limit(nvml.TEMPERATURE_THRESHOLD_GPU_MAX), MaxOfMemory: limit(nvml.TEMPERATURE_THRESHOLD_MEM_MAX),
	}
	d.Fans = a.fans()
	d.Utilisation = a.utilisation()
}

func (a *asker) memory() (m hwreport.GPUMemory) {
	took := value(a, "nvmlDeviceGetMemoryInfo_v2", a.GetMemoryInfo_v2, func(v nvml.Memory_v2) hwreport.Field[bool] {
		m.Total, m.Used, m.Reserved = whole(v.Total), whole(v.Used), whole(v.Reserved)
		return hwreport.Value(true)
	})
	if took.State() != hwreport.IsValue { // drivers before 510 know the first form alone
		value(a, "nvmlDeviceGetMemoryInfo", a.GetMemoryInfo, func(v nvml.Memory) hwreport.Field[bool] {
			m.Total, m.Used = whole(v.Total), whole(v.Used)
			return hwreport.Value(true)
		})
	}
	window := value(a, "nvmlDeviceGetBAR1MemoryInfo", a.GetBAR1MemoryInfo, func(v nvml.BAR1Memory) hwreport.Field[bool] {
		m.BAR1, m.BAR1Used = whole(v.Bar1Total), whole(v.Bar1Used)
		return hwreport.Value(true)
	})
	if window.State() != hwreport.IsValue {
		m.BAR1, m.BAR1Used = hwreport.Unknown[int64](window.Reason()), hwreport.Unknown[int64](window.Reason())
	}
	hwreport.Fill(&m, took.Reason())
	return m
}

func (a *asker) throttle() hwreport.Field[[]string] {
	as := func(mask uint64) hwreport.Field[[]string] { return hwreport.Value(hwreport.ThrottleWords(mask)) }
	f := value(a, "nvmlDeviceGetCurrentClocksEventReasons", a.GetCurrentClocksEventReasons, as)
	if f.State() != hwreport.IsValue { // its name before driver 535
		f = value(a, "nvmlDeviceGetCurrentClocksThrottleReasons", a.GetCurrentClocksThrottleReasons, as)
	}
	return f
}

func (a *asker) temperature() hwreport.Field[int64] {
	return number(a, "nvmlDeviceGetTemperature", func() (uint32, nvml.Return) { return a.GetTemperature(nvml.TEMPERATURE_GPU) })
}

// maxFans bounds what is asked of a board.
const maxFans = 16

// fans is absent where the board has none of its own: servers blow through it.
func (a *asker) fans() hwreport.Field[[]int64] {
	return value(a, "nvmlDeviceGetNumFans", a.GetNumFans, func(n int) hwreport.Field[[]int64] {
		list := []int64{}
		for fan := range min(n, maxFans) {
			speed, ok := number(a, "nvmlDeviceGetFanSpeed_v2", func() (uint32, nvml.Return) { return a.GetFanSpeed_v2(fan) }).Get()
			if !ok {
				return hwreport.Unknown[[]int64]("not supported")
			}
			list = append(list, speed)
		}
		if len(list) == 0 {
			return hwreport.Absent[[]int64]()
		}
		return hwreport.Value(list)
	})
}

func (a *asker) utilisation() (u hwreport.GPUUtilisation) {
	f := value(a, "nvmlDeviceGetUtilizationRates", a.GetUtilizationRates, func(v nvml.Utilization) hwreport.Field[bool] {
		u.GPU, u.Memory = whole(v.Gpu), whole(v.Memory)
		return hwreport.Value(true)
	})
	hwreport.Fill(&u, f.Reason())
	return u
}
