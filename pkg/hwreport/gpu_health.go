package hwreport

import "strconv"

// GPUECC is the error correction of the GPU's memories.
type GPUECC struct {
	Enabled  Field[bool] `json:"enabled"` // nvmlDeviceGetEccMode
	Pending  Field[bool] `json:"pending"` // after the next reset
	Volatile GPUECCCount `json:"volatile"`
	// Aggregate counts over the life of the board, which the InfoROM keeps.
	Aggregate GPUECCCount         `json:"aggregate"`
	Places    Field[[]GPUECCArea] `json:"places"`         // nvmlDeviceGetMemoryErrorCounter, those that the GPU counts
	SRAMWorn  Field[bool]         `json:"sram_threshold"` // more uncorrectable errors of its SRAM than NVIDIA lets pass, nvmlDeviceGetSramEccErrorStatus
}

// GPUECCCount is errors of all memories together, nvmlDeviceGetTotalEccErrors.
// Volatile ones count since the driver was loaded.
type GPUECCCount struct {
	Corrected   Field[int64] `json:"corrected"`
	Uncorrected Field[int64] `json:"uncorrected"`
}

// GPUECCArea is the errors of one memory of the GPU.
type GPUECCArea struct {
	Place     string      `json:"place"` // "device-memory", "l2-cache", "register-file", "sram", …
	Volatile  GPUECCCount `json:"volatile"`
	Aggregate GPUECCCount `json:"aggregate"`
}

// GPURetired is pages taken out of use, which GPUs before Ampere do
// (nvmlDeviceGetRetiredPages).
type GPURetired struct {
	SingleBit Field[int64] `json:"single_bit"` // for several corrected errors
	DoubleBit Field[int64] `json:"double_bit"` // for an uncorrectable one
	Pending   Field[bool]  `json:"pending"`    // more will be after the next reset
}

// GPURemapped is rows of memory that spare ones stand in for, which GPUs since
// Ampere do (nvmlDeviceGetRemappedRows).
type GPURemapped struct {
	Correctable   Field[int64]         `json:"correctable"`
	Uncorrectable Field[int64]         `json:"uncorrectable"`
	Pending       Field[bool]          `json:"pending"` // more will be after the next reset
	Failed        Field[bool]          `json:"failed"`  // once there was no spare row left
	Banks         Field[GPURemapSpare] `json:"banks"`   // nvmlDeviceGetRowRemapperHistogram
}

// GPURemapSpare is how many banks of memory have so many spare rows left.
type GPURemapSpare struct {
	Max     int64 `json:"max"` // all
	High    int64 `json:"high"`
	Partial int64 `json:"partial"`
	Low     int64 `json:"low"`
	None    int64 `json:"none"`
}

// NVLink is one link of the GPU to another one or to a switch.
type NVLink struct {
	Link          int64         `json:"link"`
	Up            Field[bool]   `json:"up"`             // nvmlDeviceGetNvLinkState
	Version       Field[string] `json:"version"`        // "4.0", nvmlDeviceGetNvLinkVersion
	Speed         Field[int64]  `json:"speed_mbytes_s"` // each way, NVML_FI_DEV_NVLINK_GET_SPEED
	RemoteKind    Field[string] `json:"remote_kind"`    // "gpu", "switch", "npu", nvmlDeviceGetNvLinkRemoteDeviceType
	RemoteAddress Field[string] `json:"remote_address"` // nvmlDeviceGetNvLinkRemotePciInfo
	Replays       Field[int64]  `json:"replays"`        // nvmlDeviceGetNvLinkErrorCounter, as the next three
	Recoveries    Field[int64]  `json:"recoveries"`     //
	CRCFlit       Field[int64]  `json:"crc_flit"`       //
	CRCData       Field[int64]  `json:"crc_data"`       //
}

// GPUFabric is how the GPU came into the fabric of its NVSwitches
// (nvmlDeviceGetGpuFabricInfoV). Until its state is "completed" no program can
// use the GPU's links.
type GPUFabric struct {
	State   string          `json:"state"`  // "not-started", "in-progress", "completed"
	Status  string          `json:"status"` // how it ended: "SUCCESS", else NVML's word
	Cluster Field[string]   `json:"cluster_uuid"`
	Clique  Field[int64]    `json:"clique"`
	Bad     Field[[]string] `json:"unhealthy"` // of the health mask: "degraded-bandwidth", …; absent: all is well
}

// GPUClocks is in MHz: nvmlDeviceGetClockInfo and nvmlDeviceGetMaxClockInfo.
type GPUClocks struct {
	SM          Field[int64]    `json:"sm_mhz"`
	Memory      Field[int64]    `json:"memory_mhz"`
	Graphics    Field[int64]    `json:"graphics_mhz"`
	Video       Field[int64]    `json:"video_mhz"`
	MaxSM       Field[int64]    `json:"max_sm_mhz"`
	MaxMemory   Field[int64]    `json:"max_memory_mhz"`
	MaxGraphics Field[int64]    `json:"max_graphics_mhz"`
	MaxVideo    Field[int64]    `json:"max_video_mhz"`
	Throttle    Field[[]string] `json:"throttle"` // reasons that hold now, in the words of GPUThrottle, nvmlDeviceGetCurrentClocksEventReasons
}

// GPUPower is in milliwatts.
type GPUPower struct {
	Draw     Field[int64] `json:"draw_mw"`           // nvmlDeviceGetPowerUsage
	Limit    Field[int64] `json:"limit_mw"`          // as it is set, nvmlDeviceGetPowerManagementLimit
	Enforced Field[int64] `json:"enforced_limit_mw"` // the least of all limits, nvmlDeviceGetEnforcedPowerLimit
	Default  Field[int64] `json:"default_limit_mw"`  // nvmlDeviceGetPowerManagementDefaultLimit
	Min      Field[int64] `json:"min_limit_mw"`      // nvmlDeviceGetPowerManagementLimitConstraints
	Max      Field[int64] `json:"max_limit_mw"`
}

// GPUTemperature is in degrees Celsius. The limits are those of
// nvmlDeviceGetTemperatureThreshold.
type GPUTemperature struct {
	GPU         Field[int64] `json:"gpu_c"`           // nvmlDeviceGetTemperature
	Memory      Field[int64] `json:"memory_c"`        // NVML_FI_DEV_MEMORY_TEMP
	Shutdown    Field[int64] `json:"shutdown_c"`      // it switches itself off
	Slowdown    Field[int64] `json:"slowdown_c"`      // hardware lowers the clocks
	MaxRunning  Field[int64] `json:"max_operating_c"` // software lowers the clocks
	MaxOfMemory Field[int64] `json:"max_memory_c"`    // software lowers the clocks
}

// GPUUtilisation is percent of the last sample's time, nvmlDeviceGetUtilizationRates.
type GPUUtilisation struct {
	GPU    Field[int64] `json:"gpu_percent"`
	Memory Field[int64] `json:"memory_percent"` // that memory was read or written
}

// ThrottleWords translates a mask of nvmlClocksEventReason* bits; a bit that
// GPUThrottle does not know is "bit N".
func ThrottleWords(mask uint64) []string {
	list := []string{}
	for bit := range 64 {
		one := uint64(1) << bit
		if mask&one == 0 {
			continue
		}
		word := "bit " + strconv.Itoa(bit)
		for _, t := range GPUThrottle {
			if t.Bit == one {
				word = t.Name
			}
		}
		list = append(list, word)
	}
	return list
}
