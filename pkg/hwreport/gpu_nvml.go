package hwreport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// NVMLMaxSize bounds what nvmlreport writes, in bytes. Sixteen GPUs in MIG mode
// with a hundred processes each make less than 1 MiB.
const NVMLMaxSize = 4 << 20

// NVML is what the library of NVIDIA's driver tells: nvmlreport writes one, as
// JSON, and the audit joins it to what stands on the bus. What NVML answers with
// NOT_SUPPORTED is unknown, never zero. Names in capitals and nvml… are those of
// the NVML API reference.
type NVML struct {
	Driver  Field[string]       `json:"driver_version"`  // nvmlSystemGetDriverVersion
	Library Field[string]       `json:"nvml_version"`    // nvmlSystemGetNVMLVersion
	CUDA    Field[string]       `json:"cuda_version"`    // nvmlSystemGetCudaDriverVersion
	Code    string              `json:"code,omitempty"`  // of what NVML refused with: "ERROR_DRIVER_NOT_LOADED"
	Error   string              `json:"error,omitempty"` // why no GPU could be read, for people
	Devices Field[[]NVMLDevice] `json:"devices"`         // nvmlDeviceGetHandleByIndex
}

// The codes of NVML's that a reader has to tell apart.
const (
	NVMLMismatch  = "ERROR_LIB_RM_VERSION_MISMATCH"
	NVMLNoDriver  = "ERROR_DRIVER_NOT_LOADED"
	NVMLNoLibrary = "ERROR_LIBRARY_NOT_FOUND"
	NVMLLost      = "ERROR_GPU_IS_LOST"
)

// DecodeNVML reads what nvmlreport wrote. What is longer than NVMLMaxSize, empty,
// cut off or followed by anything is an error.
func DecodeNVML(b []byte) (*NVML, error) {
	if len(b) > NVMLMaxSize {
		return nil, fmt.Errorf("decode the answer of nvmlreport: %d bytes are more than %d", len(b), NVMLMaxSize)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("decode the answer of nvmlreport: it is empty")
	}
	n := new(NVML)
	if err := json.Unmarshal(b, n); err != nil {
		return nil, fmt.Errorf("decode the answer of nvmlreport (%d bytes): %w", len(b), err)
	}
	return n, nil
}

// NVMLDevice is one GPU as NVML knows it. Where Error says something the GPU did
// not answer, and what follows is what it told until then.
type NVMLDevice struct {
	Index        int64         `json:"index"`           // of nvmlDeviceGetHandleByIndex, in the order of the bus
	Address      string        `json:"address"`         // 0000:3b:00.0, nvmlDeviceGetPciInfo; empty: the GPU told none
	Code         string        `json:"code,omitempty"`  // of what NVML refused with: "ERROR_GPU_IS_LOST"
	Error        string        `json:"error,omitempty"` // for people
	Model        Field[string] `json:"model"`           // nvmlDeviceGetName
	Architecture Field[string] `json:"architecture"`    // nvmlDeviceGetArchitecture
	Brand        Field[string] `json:"brand"`           // nvmlDeviceGetBrand
	UUID         Field[string] `json:"uuid"`            // nvmlDeviceGetUUID
	Serial       Field[string] `json:"serial"`          // of the board, nvmlDeviceGetSerial
	BoardPart    Field[string] `json:"board_part"`      // nvmlDeviceGetBoardPartNumber
	BoardID      Field[string] `json:"board_id"`        // hexadecimal; GPUs of one board share it, nvmlDeviceGetBoardId
	VBIOS        Field[string] `json:"vbios"`           // nvmlDeviceGetVbiosVersion
	GSP          Field[string] `json:"gsp_firmware"`    // of the GPU system processor, nvmlDeviceGetGspFirmwareVersion
	Persistence  Field[bool]   `json:"persistence"`     // nvmlDeviceGetPersistenceMode
	ComputeMode  Field[string] `json:"compute_mode"`    // nvmlDeviceGetComputeMode
	PState       Field[int64]  `json:"pstate"`          // 0 is the fastest, nvmlDeviceGetPerformanceState

	InfoROM     GPUInfoROM          `json:"inforom"`
	Link        GPULink             `json:"pcie"`
	Memory      GPUMemory           `json:"memory"`
	ECC         GPUECC              `json:"ecc"`
	Retired     GPURetired          `json:"retired_pages"`
	Remapped    GPURemapped         `json:"remapped_rows"`
	NVLinks     Field[[]NVLink]     `json:"nvlinks"` // those that the GPU has, up or not
	Fabric      Field[GPUFabric]    `json:"fabric"`  // absent: the GPU is in none
	MIG         Field[GPUMIG]       `json:"mig"`
	Clocks      GPUClocks           `json:"clocks"`
	Power       GPUPower            `json:"power"`
	Temperature GPUTemperature      `json:"temperature"`
	Fans        Field[[]int64]      `json:"fans_percent"` // of the most, one a fan, nvmlDeviceGetFanSpeed_v2
	Utilisation GPUUtilisation      `json:"utilisation"`
	Processes   Field[[]GPUProcess] `json:"processes"` // that hold a context, nvmlDeviceGet*RunningProcesses
}

// GPUInfoROM is the versions of what the board's configuration memory holds.
type GPUInfoROM struct {
	Image Field[string] `json:"image"` // nvmlDeviceGetInforomImageVersion
	OEM   Field[string] `json:"oem"`   // nvmlDeviceGetInforomVersion, as the next two
	ECC   Field[string] `json:"ecc"`   //
	Power Field[string] `json:"power"` //
	Valid Field[bool]   `json:"valid"` // its checksums hold, nvmlDeviceValidateInforom
}

// GPULink is the PCIe link; generation 4 is 16 GT/s, widths are in lanes.
type GPULink struct {
	Generation    Field[int64] `json:"generation"`         // now; idle GPUs lower it, nvmlDeviceGetCurrPcieLinkGeneration
	Width         Field[int64] `json:"width"`              // now, nvmlDeviceGetCurrPcieLinkWidth
	MaxGeneration Field[int64] `json:"max_generation"`     // that GPU and slot can, nvmlDeviceGetMaxPcieLinkGeneration
	MaxWidth      Field[int64] `json:"max_width"`          // that GPU and slot can, nvmlDeviceGetMaxPcieLinkWidth
	GPUGeneration Field[int64] `json:"gpu_max_generation"` // that the GPU can in any slot, nvmlDeviceGetGpuMaxPcieLinkGeneration
	Replays       Field[int64] `json:"replays"`            // since the GPU was reset, nvmlDeviceGetPcieReplayCounter
}

// GPUMemory is the memory of the GPU and its window on the bus.
type GPUMemory struct {
	Total    Field[int64] `json:"total_bytes"`      // nvmlDeviceGetMemoryInfo_v2, as the next two
	Used     Field[int64] `json:"used_bytes"`       //
	Reserved Field[int64] `json:"reserved_bytes"`   // by driver and firmware
	BAR1     Field[int64] `json:"bar1_total_bytes"` // nvmlDeviceGetBAR1MemoryInfo
	BAR1Used Field[int64] `json:"bar1_used_bytes"`
}

// GPUProcess is a process that holds a context on the GPU.
type GPUProcess struct {
	PID    int64         `json:"pid"`
	Name   Field[string] `json:"process"` // nvmlSystemGetProcessName
	Kind   string        `json:"kind"`    // "compute" or "graphics"
	Memory Field[int64]  `json:"memory_bytes"`
}

// GPUMIG is the multi-instance mode: one GPU cut into several.
type GPUMIG struct {
	Enabled   bool                 `json:"enabled"`   // nvmlDeviceGetMigMode
	Pending   bool                 `json:"pending"`   // after the next reset
	Instances Field[[]MIGInstance] `json:"instances"` // nvmlDeviceGetMigDeviceHandleByIndex; absent: none
}

// MIGInstance is one of its parts.
type MIGInstance struct {
	UUID            Field[string] `json:"uuid"`
	Model           Field[string] `json:"model"`            // with its profile: "… MIG 1g.10gb"
	GPUInstance     Field[int64]  `json:"gpu_instance"`     // nvmlDeviceGetGpuInstanceId
	ComputeInstance Field[int64]  `json:"compute_instance"` // nvmlDeviceGetComputeInstanceId
	Memory          Field[int64]  `json:"memory_bytes"`     // nvmlDeviceGetMemoryInfo_v2
}
