//go:build cgo && linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/hwreport"
)

var update = flag.Bool("update", false, "rewrite golden files")

// ask runs the program and decodes what it wrote.
func ask(t *testing.T, s *server) *hwreport.NVML {
	t.Helper()
	var out, said strings.Builder
	if status := run(nil, strings.NewReader(""), &out, &said, s); status != 0 || said.Len() > 0 {
		t.Fatalf("status %d, %s", status, &said)
	}
	n, err := hwreport.DecodeNVML([]byte(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEightGPUs holds the whole section of a healthy server against the golden
// file, which the audit's tests play back.
func TestEightGPUs(t *testing.T) {
	got, err := json.MarshalIndent(ask(t, newServer()), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const golden = "testdata/eight.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("the answer differs from %s (go test -update rewrites it):\n%.4000s", golden, d)
	}
	if strings.Contains(string(got), hwreport.NotCollected) {
		t.Error("something of a healthy GPU was not asked for")
	}
}

// TestNVMLDoesNotStart: the JSON is there and says why, the status is 0.
func TestNVMLDoesNotStart(t *testing.T) {
	for r, code := range map[nvml.Return]string{nvml.ERROR_DRIVER_NOT_LOADED: hwreport.NVMLNoDriver, nvml.ERROR_LIBRARY_NOT_FOUND: hwreport.NVMLNoLibrary, nvml.ERROR_LIB_RM_VERSION_MISMATCH: hwreport.NVMLMismatch, nvml.Return(777): "ERROR_777"} {
		s := newServer()
		s.InitFunc = func() nvml.Return { return r }
		n := ask(t, s)
		if n.Code != code || !strings.HasPrefix(n.Error, "start NVML: ") || n.Devices.Reason() != n.Error || n.Driver.State() != hwreport.IsUnknown {
			t.Errorf("%v: %+v", r, n)
		}
	}
	s := newServer()
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_UNKNOWN }
	if n := ask(t, s); !strings.Contains(n.Error, "count GPUs") || n.Driver.Or("") != "550.163.01" {
		t.Errorf("%+v", n)
	}
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.SUCCESS }
	if n := ask(t, s); n.Error != "" || len(n.Devices.Or([]hwreport.NVMLDevice{{}})) != 0 {
		t.Errorf("no GPU: %+v", n)
	}
}

// TestLostGPUs has one that gives no handle and one that goes while it is asked:
// the others are read, and the lost one is not asked again.
func TestLostGPUs(t *testing.T) {
	s := newServer()
	handle := s.DeviceGetHandleByIndexFunc
	s.DeviceGetHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i == 3 {
			return nil, nvml.ERROR_GPU_IS_LOST
		}
		return handle(i)
	}
	s.gpus[5].GetSerialFunc = func() (string, nvml.Return) { return "", nvml.ERROR_GPU_IS_LOST }
	list := ask(t, s).Devices.Or(nil)
	if len(list) != 8 {
		t.Fatalf("%d GPUs", len(list))
	}
	if d := list[3]; d.Index != 3 || d.Address != "" || d.Code != hwreport.NVMLLost || !strings.Contains(d.Error, "open GPU 3") || !strings.Contains(d.Model.Reason(), "lost") {
		t.Errorf("%+v", d)
	}
	if d := list[5]; d.Code != hwreport.NVMLLost || d.Address != "0000:54:00.0" || d.Model.State() != hwreport.IsValue || !strings.Contains(d.Temperature.GPU.Reason(), "lost") || !strings.Contains(d.NVLinks.Reason(), "lost") {
		t.Errorf("%+v", d)
	}
	if n := len(s.gpus[5].GetTemperatureCalls()); n != 0 {
		t.Errorf("the lost GPU was asked %d times more", n)
	}
	if d := list[7]; d.Error != "" || d.Temperature.GPU.Or(0) != 35 {
		t.Errorf("%+v", d)
	}
}

// TestNotSupportedIsUnknown lets a GPU support nothing but its name.
func TestNotSupportedIsUnknown(t *testing.T) {
	s := newServer()
	s.gpus = s.gpus[:1]
	d := reflect.ValueOf(s.gpus[0]).Elem()
	for i := range d.NumField() {
		f, name := d.Field(i), d.Type().Field(i).Name
		if f.Kind() != reflect.Func || f.IsNil() || name == "GetNameFunc" || name == "GetPciInfoFunc" {
			continue
		}
		typ := f.Type()
		f.Set(reflect.MakeFunc(typ, func([]reflect.Value) []reflect.Value {
			out := make([]reflect.Value, typ.NumOut())
			for k := range out {
				out[k] = reflect.Zero(typ.Out(k))
			}
			out[len(out)-1] = reflect.ValueOf(nvml.ERROR_NOT_SUPPORTED)
			return out
		}))
	}
	s.gpus[0].GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, nvml.ERROR_NOT_SUPPORTED }
	s.gpus[0].GetCurrentClocksThrottleReasonsFunc = func() (uint64, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	got := ask(t, s).Devices.Or(nil)[0]
	values := 0
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		if strings.HasPrefix(v.Type().Name(), "Field[") {
			state := v.MethodByName("State").Call(nil)[0].Interface().(hwreport.State)
			reason := v.MethodByName("Reason").Call(nil)[0].String()
			if state == hwreport.IsValue {
				values++
			} else if state == hwreport.IsAbsent || reason != "not supported" {
				t.Errorf("%s is %v (%q), want unknown: not supported", path, v.Interface(), reason)
			}
			return
		}
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.Struct {
				walk(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	}
	walk(reflect.ValueOf(got), "gpu")
	if values != 1 || got.Error != "" {
		t.Errorf("%d values, %+v", values, got)
	}
}

// TestOlderLibrary lacks functions that go-nvml knows: nothing calls them.
func TestOlderLibrary(t *testing.T) {
	s := newServer()
	for _, f := range []string{"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetSramEccErrorStatus", "nvmlDeviceGetGspFirmwareVersion"} {
		s.lack[f] = true
	}
	g := s.gpus[0]
	s.gpus = s.gpus[:1]
	g.GetMemoryInfoFunc = is(nvml.Memory{Total: 85899345920, Used: 1})
	g.GetCurrentClocksThrottleReasonsFunc = is(uint64(0x1_0004))
	g.GetMemoryInfo_v2Func, g.GetCurrentClocksEventReasonsFunc, g.GetSramEccErrorStatusFunc, g.GetGspFirmwareVersionFunc = nil, nil, nil, nil // they would panic
	d := ask(t, s).Devices.Or(nil)[0]
	if d.Memory.Total.Or(0) != 85899345920 || d.Memory.Reserved.State() != hwreport.IsUnknown || strings.Join(d.Clocks.Throttle.Or(nil), " ") != "power-cap bit 16" || !strings.Contains(d.GSP.Reason(), "has no nvmlDeviceGetGspFirmwareVersion") {
		t.Errorf("%+v", d)
	}
}

func TestMIG(t *testing.T) {
	s := newServer()
	g := s.gpus[0]
	s.gpus = s.gpus[:1]
	g.GetMigModeFunc = func() (int, int, nvml.Return) { return 1, 0, nvml.SUCCESS }
	g.GetMaxMigDeviceCountFunc = is(7)
	g.GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i != 2 {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return &mock.Device{GetUUIDFunc: is("MIG-1"), GetNameFunc: is("NVIDIA H100 80GB HBM3 MIG 1g.10gb"), GetGpuInstanceIdFunc: is(9), GetComputeInstanceIdFunc: is(0), GetMemoryInfo_v2Func: is(nvml.Memory_v2{Total: 1 << 33}), GetBAR1MemoryInfoFunc: is(nvml.BAR1Memory{})}, nvml.SUCCESS
	}
	// What NVML refuses of a GPU that is cut up.
	g.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, nvml.ERROR_NOT_SUPPORTED }
	g.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_NO_PERMISSION }
	d := ask(t, s).Devices.Or(nil)[0]
	m, ok := d.MIG.Get()
	list := m.Instances.Or(nil)
	if !ok || !m.Enabled || m.Pending || len(list) != 1 || list[0].UUID.Or("") != "MIG-1" || list[0].GPUInstance.Or(0) != 9 || list[0].Memory.Or(0) != 1<<33 || d.Error != "" || d.Processes.State() != hwreport.IsUnknown {
		t.Errorf("%+v", d)
	}
	g.GetMigDeviceHandleByIndexFunc = func(int) (nvml.Device, nvml.Return) { return nil, nvml.ERROR_NOT_FOUND }
	if m := ask(t, s).Devices.Or(nil)[0].MIG.Or(hwreport.GPUMIG{}); !m.Enabled || m.Instances.State() != hwreport.IsAbsent {
		t.Errorf("no instance: %+v", m)
	}
}

// TestSickGPU has what the findings are made of.
func TestSickGPU(t *testing.T) {
	s := newServer()
	g := s.gpus[0]
	s.gpus = s.gpus[:1]
	g.ValidateInforomFunc = func() nvml.Return { return nvml.ERROR_CORRUPTED_INFOROM }
	g.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) { return 1, 2, true, true, nvml.SUCCESS }
	g.GetNvLinkStateFunc = func(n int) (nvml.EnableState, nvml.Return) {
		switch {
		case n == 1:
			return nvml.FEATURE_DISABLED, nvml.SUCCESS
		case n < 4:
			return nvml.FEATURE_ENABLED, nvml.SUCCESS
		}
		return 0, nvml.ERROR_INVALID_ARGUMENT
	}
	g.GetGpuFabricInfoFunc = is(nvml.GpuFabricInfo{State: nvml.GPU_FABRIC_STATE_COMPLETED, Status: uint32(nvml.ERROR_TIMEOUT), ClusterUuid: [16]uint8{1, 2}})
	d := ask(t, s).Devices.Or(nil)[0]
	links := d.NVLinks.Or(nil)
	if v, ok := d.InfoROM.Valid.Get(); !ok || v {
		t.Errorf("InfoROM %+v", d.InfoROM)
	}
	if !d.Remapped.Failed.Or(false) || !d.Remapped.Pending.Or(false) || d.Remapped.Uncorrectable.Or(0) != 2 || len(links) != 4 || links[1].Up.Or(true) || links[1].Speed.Reason() != "the link is not up" || links[2].Speed.Or(0) != 26562 {
		t.Errorf("%+v", d)
	}
	if f := d.Fabric.Or(hwreport.GPUFabric{}); f.Status != "ERROR_TIMEOUT" || f.Cluster.Or("") != "01020000-0000-0000-0000-000000000000" {
		t.Errorf("%+v", f)
	}
	if got := strings.Join(unhealthy(1|2<<2|1<<4|2<<6|5<<8), " "); got != "degraded-bandwidth route-unhealthy incorrect-configuration: too-few-nvlinks" {
		t.Error(got)
	}
	if got := unhealthy(2 | 2<<2 | 2<<4 | 2<<6 | 1<<8); got != nil {
		t.Error(got)
	}
	if f := fabricOf(0, 0, [16]uint8{}, 0, 0); f.State() != hwreport.IsAbsent {
		t.Error(f)
	}
}

func TestFieldNumber(t *testing.T) {
	var bytes [8]byte
	binary.NativeEndian.PutUint64(bytes[:], math.Float64bits(41.5))
	for kind, want := range map[nvml.ValueType]string{nvml.VALUE_TYPE_DOUBLE: "41", 99: "?"} {
		if got := fieldNumber(nvml.FieldValue{ValueType: uint32(kind), Value: bytes}).String(); got != want {
			t.Errorf("kind %d: %s, want %s", kind, got, want)
		}
	}
	binary.NativeEndian.PutUint64(bytes[:], 1<<32-1)
	for kind, want := range map[nvml.ValueType]string{nvml.VALUE_TYPE_UNSIGNED_INT: "?", nvml.VALUE_TYPE_SIGNED_INT: "-1", nvml.VALUE_TYPE_UNSIGNED_SHORT: "65535", nvml.VALUE_TYPE_SIGNED_LONG_LONG: "4294967295"} {
		if got := fieldNumber(nvml.FieldValue{ValueType: uint32(kind), Value: bytes}).String(); got != want {
			t.Errorf("kind %d: %s, want %s", kind, got, want)
		}
	}
}

// TestWatch reads three samples and ends standard input.
func TestWatch(t *testing.T) {
	s := newServer()
	s.gpus[2].GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	in, end := io.Pipe()
	out, to := io.Pipe()
	status := make(chan int)
	go func() {
		status <- run([]string{"--watch=1ms"}, in, to, io.Discard, s)
		to.Close()
	}()
	lines := json.NewDecoder(out)
	for range 3 {
		var g hwreport.GPUSamples
		if err := lines.Decode(&g); err != nil {
			t.Fatal(err)
		}
		if len(g.Devices) != 8 || g.Devices[0].Temperature.Or(0) != 28 || g.Devices[0].MemTemp.Or(0) != 36 || g.Devices[0].Link.Or(hwreport.GPULinkAt{}).Width != 16 || g.Devices[0].Address != "0000:13:00.0" || g.Time.IsZero() {
			t.Fatalf("%+v", g)
		}
		if d := g.Devices[2]; !strings.Contains(d.Power.Reason(), "lost") || d.UUID == "" || d.Temperature.Or(0) != 30 || d.SMClock.State() != hwreport.IsUnknown {
			t.Errorf("%+v", d)
		}
	}
	end.Close()
	go io.Copy(io.Discard, out)
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
}

// TestLastSample: the end of standard input is worth a sample, however far the
// next tick is.
func TestLastSample(t *testing.T) {
	s := newServer()
	in, end := io.Pipe()
	out, to := io.Pipe()
	go func() {
		run([]string{"--watch=1h"}, in, to, io.Discard, s)
		to.Close()
	}()
	lines := json.NewDecoder(out)
	for n := range 3 {
		var g hwreport.GPUSamples
		if err := lines.Decode(&g); (n < 2) != (err == nil) {
			t.Fatalf("sample %d: %v", n, err)
		}
		end.Close()
	}
}

// full is a writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]int{"--help": 0, "--odd": 2, "extra": 2, "--watch=0s": 2, "--watch=soon": 2} {
		var out, said strings.Builder
		if got := run(strings.Fields(args), strings.NewReader(""), &out, &said, newServer()); got != want || out.Len()+said.Len() == 0 {
			t.Errorf("%s: %d, want %d\n%s%s", args, got, want, &out, &said)
		}
	}
	var said strings.Builder
	if got := run(nil, strings.NewReader(""), full{}, &said, newServer()); got != 1 || !strings.Contains(said.String(), "no space left") {
		t.Errorf("%d %s", got, &said)
	}
	none := newServer()
	none.InitFunc = func() nvml.Return { return nvml.ERROR_DRIVER_NOT_LOADED }
	said.Reset()
	if got := run([]string{"--watch=1s"}, strings.NewReader(""), io.Discard, &said, none); got != 1 || !strings.Contains(said.String(), "driver is not loaded") {
		t.Errorf("%d %s", got, &said)
	}
}
