//go:build cgo && linux

package main

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/bee-os/bee/pkg/hwreport"
)

// health reads what the GPU remembers of its faults.
func (a *asker) health(d *hwreport.NVMLDevice) {
	d.ECC.Enabled, d.ECC.Pending = two(a, "nvmlDeviceGetEccMode", a.GetEccMode, func(s nvml.EnableState) hwreport.Field[bool] { return hwreport.Value(s == nvml.FEATURE_ENABLED) })
	d.ECC.Volatile, d.ECC.Aggregate = a.errors(nvml.VOLATILE_ECC), a.errors(nvml.AGGREGATE_ECC)
	d.ECC.Places = a.places()
	d.ECC.SRAMWorn = value(a, "nvmlDeviceGetSramEccErrorStatus", a.GetSramEccErrorStatus, func(s nvml.EccSramErrorStatus) hwreport.Field[bool] {
		return hwreport.Value(s.BThresholdExceeded != 0)
	})
	pages := func(cause nvml.PageRetirementCause) hwreport.Field[int64] {
		return value(a, "nvmlDeviceGetRetiredPages", func() ([]uint64, nvml.Return) { return a.GetRetiredPages(cause) }, func(list []uint64) hwreport.Field[int64] { return hwreport.Value(int64(len(list))) })
	}
	d.Retired = hwreport.GPURetired{
		SingleBit: pages(nvml.PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS), DoubleBit: pages(nvml.PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR),
		Pending: enabled(a, "nvmlDeviceGetRetiredPagesPendingStatus", a.GetRetiredPagesPendingStatus),
	}
	rows := value(a, "nvmlDeviceGetRemappedRows", func() (hwreport.GPURemapped, nvml.Return) {
		one, more, pending, failed, r := a.GetRemappedRows()
		return hwreport.GPURemapped{Correctable: hwreport.Value(int64(one)), Uncorrectable: hwreport.Value(int64(more)), Pending: hwreport.Value(pending), Failed: hwreport.Value(failed)}, r
	}, hwreport.Value[hwreport.GPURemapped])
	d.Remapped = rows.Or(hwreport.GPURemapped{})
	d.Remapped.Banks = value(a, "nvmlDeviceGetRowRemapperHistogram", a.GetRowRemapperHistogram, func(h nvml.RowRemapperHistogramValues) hwreport.Field[hwreport.GPURemapSpare] {
		return hwreport.Value(hwreport.GPURemapSpare{Max: int64(h.Max), High: int64(h.High), Partial: int64(h.Partial), Low: int64(h.Low), None: int64(h.None)})
	})
	hwreport.Fill(&d.Remapped, rows.Reason())
}

// errors counts those of all memories.
func (a *asker) errors(since nvml.EccCounterType) hwreport.GPUECCCount {
	n := func(t nvml.MemoryErrorType) hwreport.Field[int64] {
		return number(a, "nvmlDeviceGetTotalEccErrors", func() (uint64, nvml.Return) { return a.GetTotalEccErrors(t, since) })
	}
	return hwreport.GPUECCCount{Corrected: n(nvml.MEMORY_ERROR_TYPE_CORRECTED), Uncorrected: n(nvml.MEMORY_ERROR_TYPE_UNCORRECTED)}
}

// places counts errors memory by memory; one that the GPU counts nothing of is
// left out.
func (a *asker) places() hwreport.Field[[]hwreport.GPUECCArea] {
	const function = "nvmlDeviceGetMemoryErrorCounter"
	list := []hwreport.GPUECCArea{}
	why := "not supported"
	for _, p := range []struct {
		at   nvml.MemoryLocation
		name string
	}{
		{nvml.MEMORY_LOCATION_DEVICE_MEMORY, "device-memory"}, {nvml.MEMORY_LOCATION_SRAM, "sram"}, {nvml.MEMORY_LOCATION_L1_CACHE, "l1-cache"},
		{nvml.MEMORY_LOCATION_L2_CACHE, "l2-cache"}, {nvml.MEMORY_LOCATION_REGISTER_FILE, "register-file"}, {nvml.MEMORY_LOCATION_TEXTURE_MEMORY, "texture-memory"},
		{nvml.MEMORY_LOCATION_TEXTURE_SHM, "texture-shared"}, {nvml.MEMORY_LOCATION_CBU, "cbu"},
	} {
		counts := func(since nvml.EccCounterType) (c hwreport.GPUECCCount, ok bool) {
			n := func(t nvml.MemoryErrorType) hwreport.Field[int64] {
				return number(a, function, func() (uint64, nvml.Return) { return a.GetMemoryErrorCounter(t, since, p.at) })
			}
			c = hwreport.GPUECCCount{Corrected: n(nvml.MEMORY_ERROR_TYPE_CORRECTED), Uncorrected: n(nvml.MEMORY_ERROR_TYPE_UNCORRECTED)}
			if c.Corrected.State() != hwreport.IsValue && c.Uncorrected.State() != hwreport.IsValue {
				why = c.Uncorrected.Reason()
				return c, false
			}
			return c, true
		}
		area := hwreport.GPUECCArea{Place: p.name}
		var now, ever bool
		area.Volatile, now = counts(nvml.VOLATILE_ECC)
		area.Aggregate, ever = counts(nvml.AGGREGATE_ECC)
		if now || ever {
			list = append(list, area)
		}
	}
	if len(list) == 0 {
		return hwreport.Unknown[[]hwreport.GPUECCArea](why)
	}
	return hwreport.Value(list)
}

// nvlinks asks link by link. A number that the GPU has no link of answers with
// an error and is left out; where the first does, the GPU has none.
func (a *asker) nvlinks() hwreport.Field[[]hwreport.NVLink] {
	list := []hwreport.NVLink{}
	for n := range nvml.NVLINK_MAX_LINKS {
		up := enabled(a, "nvmlDeviceGetNvLinkState", func() (nvml.EnableState, nvml.Return) { return a.GetNvLinkState(n) })
		if up.State() != hwreport.IsValue && n == 0 {
			return hwreport.Unknown[[]hwreport.NVLink](up.Reason())
		}
		if up.State() != hwreport.IsValue && a.lost == nil {
			continue
		}
		link := hwreport.NVLink{Link: int64(n), Up: up}
		if !up.Or(false) {
			hwreport.Fill(&link, "the link is not up")
			list = append(list, link)
			if a.lost != nil {
				break
			}
			continue
		}
		count := func(c nvml.NvLinkErrorCounter) hwreport.Field[int64] {
			return number(a, "nvmlDeviceGetNvLinkErrorCounter", func() (uint64, nvml.Return) { return a.GetNvLinkErrorCounter(n, c) })
		}
		link.Version = named(a, "nvmlDeviceGetNvLinkVersion", func() (uint32, nvml.Return) { return a.GetNvLinkVersion(n) }, map[uint32]string{
			uint32(nvml.NVLINK_VERSION_1_0): "1.0", uint32(nvml.NVLINK_VERSION_2_0): "2.0", uint32(nvml.NVLINK_VERSION_2_2): "2.2", uint32(nvml.NVLINK_VERSION_3_0): "3.0",
			uint32(nvml.NVLINK_VERSION_3_1): "3.1", uint32(nvml.NVLINK_VERSION_4_0): "4.0", uint32(nvml.NVLINK_VERSION_5_0): "5.0", uint32(nvml.NVLINK_VERSION_6_0): "6.0",
		})
		link.Speed = a.field(nvml.FI_DEV_NVLINK_GET_SPEED, n)
		link.RemoteKind = named(a, "nvmlDeviceGetNvLinkRemoteDeviceType", func() (nvml.IntNvLinkDeviceType, nvml.Return) { return a.GetNvLinkRemoteDeviceType(n) },
			map[nvml.IntNvLinkDeviceType]string{nvml.NVLINK_DEVICE_TYPE_GPU: "gpu", nvml.NVLINK_DEVICE_TYPE_IBMNPU: "npu", nvml.NVLINK_DEVICE_TYPE_SWITCH: "switch", nvml.NVLINK_DEVICE_TYPE_UNKNOWN: "unknown"})
		link.RemoteAddress = value(a, "nvmlDeviceGetNvLinkRemotePciInfo", func() (nvml.PciInfo, nvml.Return) { return a.GetNvLinkRemotePciInfo(n) }, address)
		link.Replays, link.Recoveries = count(nvml.NVLINK_ERROR_DL_REPLAY), count(nvml.NVLINK_ERROR_DL_RECOVERY)
		link.CRCFlit, link.CRCData = count(nvml.NVLINK_ERROR_DL_CRC_FLIT), count(nvml.NVLINK_ERROR_DL_CRC_DATA)
		list = append(list, link)
	}
	return hwreport.Value(list)
}

// field asks for one of nvmlDeviceGetFieldValues; scope is a link, or 0.
func (a *asker) field(id uint32, scope int) hwreport.Field[int64] {
	return value(a, "nvmlDeviceGetFieldValues", func() (nvml.FieldValue, nvml.Return) {
		list := []nvml.FieldValue{{FieldId: id, ScopeId: uint32(scope)}}
		if r := a.GetFieldValues(list); r != nvml.SUCCESS {
			return list[0], r
		}
		return list[0], nvml.Return(list[0].NvmlReturn)
	}, fieldNumber)
}

// fieldNumber takes the number out of the union nvmlValue_t.
func fieldNumber(v nvml.FieldValue) hwreport.Field[int64] {
	word, half := binary.NativeEndian.Uint64(v.Value[:]), binary.NativeEndian.Uint32(v.Value[:])
	switch nvml.ValueType(v.ValueType) {
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return whole(half)
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return whole(word)
	case nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		return hwreport.Value(int64(word))
	case nvml.VALUE_TYPE_SIGNED_INT:
		return hwreport.Value(int64(int32(half)))
	case nvml.VALUE_TYPE_UNSIGNED_SHORT:
		return hwreport.Value(int64(binary.NativeEndian.Uint16(v.Value[:])))
	case nvml.VALUE_TYPE_DOUBLE:
		if f := math.Float64frombits(word); f > -1e15 && f < 1e15 {
			return hwreport.Value(int64(f))
		}
	}
	return hwreport.Unknown[int64](fmt.Sprintf("NVML answers with a number of kind %d", v.ValueType))
}

// fabric asks with the newest form that the driver's library has.
func (a *asker) fabric() hwreport.Field[hwreport.GPUFabric] {
	if a.lost == nil && a.has("nvmlDeviceGetGpuFabricInfoV") {
		f := value(a, "nvmlDeviceGetGpuFabricInfoV", a.GetGpuFabricInfoV().V2, func(i nvml.GpuFabricInfo_v2) hwreport.Field[hwreport.GPUFabric] {
			return fabricOf(i.State, i.Status, i.ClusterUuid, i.CliqueId, i.HealthMask)
		})
		if f.State() != hwreport.IsUnknown {
			return f
		}
	}
	return value(a, "nvmlDeviceGetGpuFabricInfo", a.GetGpuFabricInfo, func(i nvml.GpuFabricInfo) hwreport.Field[hwreport.GPUFabric] {
		return fabricOf(i.State, i.Status, i.ClusterUuid, i.CliqueId, 0)
	})
}

func fabricOf(state uint8, status uint32, cluster [16]uint8, clique, mask uint32) hwreport.Field[hwreport.GPUFabric] {
	words := map[uint8]string{nvml.GPU_FABRIC_STATE_NOT_STARTED: "not-started", nvml.GPU_FABRIC_STATE_IN_PROGRESS: "in-progress", nvml.GPU_FABRIC_STATE_COMPLETED: "completed"}
	if state == nvml.GPU_FABRIC_STATE_NOT_SUPPORTED {
		return hwreport.Absent[hwreport.GPUFabric]()
	}
	f := hwreport.GPUFabric{State: words[state], Status: "SUCCESS", Cluster: hwreport.Absent[string](), Clique: hwreport.Absent[int64](), Bad: hwreport.Absent[[]string]()}
	if f.State == "" {
		f.State = fmt.Sprintf("number %d", state)
	}
	if r := nvml.Return(status); r != nvml.SUCCESS {
		f.Status, _ = meaning(r)
	}
	if state == nvml.GPU_FABRIC_STATE_COMPLETED {
		f.Clique = hwreport.Value(int64(clique))
		if cluster != [16]uint8{} {
			f.Cluster = hwreport.Value(fmt.Sprintf("%x-%x-%x-%x-%x", cluster[:4], cluster[4:6], cluster[6:8], cluster[8:10], cluster[10:]))
		}
	}
	if bad := unhealthy(mask); len(bad) > 0 {
		f.Bad = hwreport.Value(bad)
	}
	return hwreport.Value(f)
}

// unhealthy translates the health mask of nvmlGpuFabricInfo_v2_t: two bits a
// question, of which 1 says yes, and four bits that say what is wrongly set up.
func unhealthy(mask uint32) []string {
	var list []string
	for _, q := range []struct {
		shift int
		name  string
	}{
		{nvml.GPU_FABRIC_HEALTH_MASK_SHIFT_DEGRADED_BW, "degraded-bandwidth"}, {nvml.GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_RECOVERY, "route-recovery"},
		{nvml.GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_UNHEALTHY, "route-unhealthy"}, {nvml.GPU_FABRIC_HEALTH_MASK_SHIFT_ACCESS_TIMEOUT_RECOVERY, "access-timeout-recovery"},
	} {
		if mask>>q.shift&3 == 1 {
			list = append(list, q.name)
		}
	}
	wrong := map[uint32]string{2: "system-guid", 3: "chassis-serial", 4: "no-partition", 5: "too-few-nvlinks", 6: "incompatible-firmware", 7: "location", 8: "gpu-state"}
	if n := mask >> nvml.GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION & 15; n > 1 {
		name := wrong[n]
		if name == "" {
			name = fmt.Sprintf("number %d", n)
		}
		list = append(list, "incorrect-configuration: "+name)
	}
	return list
}
