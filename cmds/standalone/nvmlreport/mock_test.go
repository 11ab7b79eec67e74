//go:build cgo && linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

// server is eight GPUs of go-nvml's mock (its dgxa100 answers with an address
// and a UUID that differ from run to run, and knows a dozen functions; here all
// that the program asks has an answer).
type server struct {
	mock.Interface
	gpus []*mock.Device
	lack map[string]bool // functions that the library has not
}

// busOf is where GPU i sits: four each behind two switches, as in the audit's
// made machine of eight GPUs.
func busOf(i int) uint32 { return uint32(0x13 + i%4 + i/4*0x40) }

func newServer() *server {
	// The new form cannot be mocked: its handler holds go-nvml's own device.
	s := &server{lack: map[string]bool{"nvmlDeviceGetGpuFabricInfoV": true}}
	for i := range 8 {
		s.gpus = append(s.gpus, newGPU(i))
	}
	s.InitFunc = func() nvml.Return { return nvml.SUCCESS }
	s.ShutdownFunc = func() nvml.Return { return nvml.SUCCESS }
	s.ExtensionsFunc = func() nvml.ExtendedInterface {
		return &mock.ExtendedInterface{LookupSymbolFunc: func(name string) error {
			if s.lack[name] {
				return errors.New("undefined symbol: " + name)
			}
			return nil
		}}
	}
	s.SystemGetDriverVersionFunc = func() (string, nvml.Return) { return "550.163.01", nvml.SUCCESS }
	s.SystemGetNVMLVersionFunc = func() (string, nvml.Return) { return "12.550.163.01", nvml.SUCCESS }
	s.SystemGetCudaDriverVersionFunc = func() (int, nvml.Return) { return 12040, nvml.SUCCESS }
	s.SystemGetProcessNameFunc = func(pid int) (string, nvml.Return) {
		if pid != 4242 {
			return "", nvml.ERROR_NOT_FOUND
		}
		return "/usr/bin/trainer", nvml.SUCCESS
	}
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return len(s.gpus), nvml.SUCCESS }
	s.DeviceGetHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) { return s.gpus[i], nvml.SUCCESS }
	return s
}

func is[T any](v T) func() (T, nvml.Return) {
	return func() (T, nvml.Return) { return v, nvml.SUCCESS }
}

func pciInfo(bus uint32) nvml.PciInfo {
	return nvml.PciInfo{Bus: bus, PciDeviceId: 0x233010de}
}

// newGPU is an idle H100 SXM5 in good health, with all links up.
func newGPU(i int) *mock.Device {
	const supported = nvml.SUCCESS
	d := &mock.Device{
		GetPciInfoFunc: is(pciInfo(busOf(i))), GetNameFunc: is("NVIDIA H100 80GB HBM3"), GetArchitectureFunc: is(nvml.DeviceArchitecture(nvml.DEVICE_ARCH_HOPPER)), GetBrandFunc: is(nvml.BRAND_NVIDIA),
		GetUUIDFunc: is(fmt.Sprintf("GPU-00000000-0000-0000-0000-%012d", i)), GetSerialFunc: is(fmt.Sprintf("165012300456%d", i)), GetBoardPartNumberFunc: is("699-2G520-0200-501"),
		GetBoardIdFunc: is(0x1300 + uint32(i)), GetVbiosVersionFunc: is("96.00.61.00.01"), GetGspFirmwareVersionFunc: is("550.163.01"),
		GetInforomImageVersionFunc: is("G520.0200.00.05"), ValidateInforomFunc: func() nvml.Return { return supported },
		GetInforomVersionFunc: func(o nvml.InforomObject) (string, nvml.Return) {
			switch o {
			case nvml.INFOROM_OEM:
				return "2.1", supported
			case nvml.INFOROM_ECC:
				return "7.16", supported
			}
			return "", nvml.ERROR_NOT_SUPPORTED
		},
		GetPersistenceModeFunc: is(nvml.FEATURE_ENABLED), GetComputeModeFunc: is(nvml.COMPUTEMODE_DEFAULT), GetPerformanceStateFunc: is(nvml.PSTATE_0),
		GetCurrPcieLinkGenerationFunc: is(5), GetCurrPcieLinkWidthFunc: is(16), GetMaxPcieLinkGenerationFunc: is(5), GetMaxPcieLinkWidthFunc: is(16), GetGpuMaxPcieLinkGenerationFunc: is(5), GetPcieReplayCounterFunc: is(0),
		GetMemoryInfo_v2Func:  is(nvml.Memory_v2{Total: 85520809984, Reserved: 552402944, Free: 84967358464, Used: 1048576}),
		GetBAR1MemoryInfoFunc: is(nvml.BAR1Memory{Bar1Total: 137438953472, Bar1Free: 137437904896, Bar1Used: 1048576}),
		GetClockInfoFunc: func(t nvml.ClockType) (uint32, nvml.Return) {
			return []uint32{345, 345, 2619, 765}[t], supported
		},
		GetMaxClockInfoFunc: func(t nvml.ClockType) (uint32, nvml.Return) {
			return []uint32{1980, 1980, 2619, 1545}[t], supported
		},
		GetCurrentClocksEventReasonsFunc: is(uint64(1)),
		GetPowerUsageFunc:                is(uint32(68000 + 500*i)), GetPowerManagementLimitFunc: is(uint32(700000)), GetEnforcedPowerLimitFunc: is(uint32(700000)), GetPowerManagementDefaultLimitFunc: is(uint32(700000)),
		GetPowerManagementLimitConstraintsFunc: func() (uint32, uint32, nvml.Return) { return 200000, 700000, supported },
		GetTemperatureFunc:                     func(nvml.TemperatureSensors) (uint32, nvml.Return) { return uint32(28 + i), supported },
		GetTemperatureThresholdFunc: func(t nvml.TemperatureThresholds) (uint32, nvml.Return) {
			return map[nvml.TemperatureThresholds]uint32{nvml.TEMPERATURE_THRESHOLD_SHUTDOWN: 92, nvml.TEMPERATURE_THRESHOLD_SLOWDOWN: 89, nvml.TEMPERATURE_THRESHOLD_GPU_MAX: 87, nvml.TEMPERATURE_THRESHOLD_MEM_MAX: 95}[t], supported
		},
		GetFieldValuesFunc: func(list []nvml.FieldValue) nvml.Return {
			for k := range list {
				list[k].ValueType = uint32(nvml.VALUE_TYPE_UNSIGNED_INT)
				n := map[uint32]uint32{nvml.FI_DEV_MEMORY_TEMP: uint32(36 + i), nvml.FI_DEV_NVLINK_GET_SPEED: 26562}[list[k].FieldId]
				binary.NativeEndian.PutUint32(list[k].Value[:], n)
			}
			return supported
		},
		GetNumFansFunc: is(0), GetUtilizationRatesFunc: is(nvml.Utilization{}),
		GetEccModeFunc:            func() (nvml.EnableState, nvml.EnableState, nvml.Return) { return 1, 1, supported },
		GetTotalEccErrorsFunc:     func(nvml.MemoryErrorType, nvml.EccCounterType) (uint64, nvml.Return) { return 0, supported },
		GetSramEccErrorStatusFunc: is(nvml.EccSramErrorStatus{}),
		GetMemoryErrorCounterFunc: func(_ nvml.MemoryErrorType, _ nvml.EccCounterType, at nvml.MemoryLocation) (uint64, nvml.Return) {
			if at != nvml.MEMORY_LOCATION_DEVICE_MEMORY && at != nvml.MEMORY_LOCATION_SRAM {
				return 0, nvml.ERROR_NOT_SUPPORTED
			}
			return 0, supported
		},
		GetRetiredPagesFunc:              func(nvml.PageRetirementCause) ([]uint64, nvml.Return) { return nil, nvml.ERROR_NOT_SUPPORTED },
		GetRetiredPagesPendingStatusFunc: func() (nvml.EnableState, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED },
		GetRemappedRowsFunc:              func() (int, int, bool, bool, nvml.Return) { return 0, 0, false, false, supported },
		GetRowRemapperHistogramFunc:      is(nvml.RowRemapperHistogramValues{Max: 2560}),
		GetNvLinkStateFunc: func(n int) (nvml.EnableState, nvml.Return) {
			if n >= 18 {
				return 0, nvml.ERROR_INVALID_ARGUMENT
			}
			return nvml.FEATURE_ENABLED, supported
		},
		GetNvLinkVersionFunc:          func(int) (uint32, nvml.Return) { return 6, supported },
		GetNvLinkRemoteDeviceTypeFunc: func(int) (nvml.IntNvLinkDeviceType, nvml.Return) { return nvml.NVLINK_DEVICE_TYPE_SWITCH, supported },
		GetNvLinkRemotePciInfoFunc:    func(n int) (nvml.PciInfo, nvml.Return) { return pciInfo(uint32(0x05 + n%4)), supported },
		GetNvLinkErrorCounterFunc:     func(int, nvml.NvLinkErrorCounter) (uint64, nvml.Return) { return 0, supported },
		GetGpuFabricInfoFunc:          is(nvml.GpuFabricInfo{State: nvml.GPU_FABRIC_STATE_COMPLETED, CliqueId: 0}),
		GetMigModeFunc:                func() (int, int, nvml.Return) { return 0, 0, supported },
		GetComputeRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) {
			if i == 0 {
				return []nvml.ProcessInfo{{Pid: 4242, UsedGpuMemory: 1 << 30}}, supported
			}
			return nil, supported
		},
		GetGraphicsRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_NOT_SUPPORTED },
	}
	return d
}
