package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/nvme"
)

// Bounds of what a controller is asked for.
const (
	maxNVMeErrors     = 16
	maxNVMeNamespaces = 32
)

// nvmeDisk reads a controller (kernel: drivers/nvme/host/sysfs.c) and asks it
// (NVM Express base specification 2.0, 5.16 and 5.17).
func nvmeDisk(ctx context.Context, m Machine, base string, d *hwreport.Disk) {
	dir := base + "/device"
	n := hwreport.NVMe{Controller: controllerOf(m, base)}
	if path.Base(place(m.Root, dir)) != n.Controller { // several paths: the link leads to the subsystem
		dir += "/" + n.Controller
		d.Slot = slot(place(m.Root, dir), "nvme") + "/" + d.Name[strings.LastIndexByte(d.Name, 'n'):]
		d.Driver = target(m.Root, dir+"/device/driver")
	}
	n.Transport, n.State, n.NQN = text(m.Root, dir+"/transport"), text(m.Root, dir+"/state"), text(m.Root, dir+"/subsysnqn")
	ask := func(opcode byte, nsid, cdw10 uint32, size int) ([]byte, error) {
		return m.Ask.Ask(ctx, device.NVMeCommand("dev/"+n.Controller, opcode, nsid, cdw10, 0, size))
	}
	log := func(page, size int) ([]byte, error) {
		return ask(2, 0xffffffff, uint32(page)|uint32(size/4-1)<<16, size)
	}
	defer func() {
		hwreport.Fill(&n, "the controller was not asked")
		d.NVMe = hwreport.Value(n)
	}()
	b, err := ask(6, 0, 1, nvme.IdentifySize)
	var id nvme.Controller
	if err == nil {
		id, err = nvme.ParseController(b)
	}
	if err != nil {
		hwreport.Fill(&n, err.Error())
		for _, f := range []*hwreport.Field[int64]{&d.Celsius, &d.PowerOnHours, &d.UsedPercent, &d.MediaErrors} {
			*f = hwreport.Unknown[int64](err.Error())
		}
		d.SelfTests = hwreport.Unknown[[]hwreport.SelfTest](err.Error())
		d.Verdict = hwreport.Unknown[hwreport.DiskVerdict](err.Error())
		return
	}
	n.ControllerID, n.VendorID, n.Version = hwreport.Value(int64(id.ControllerID)), hwreport.Value(fmt.Sprintf("%04x", id.VendorID)), some(id.VersionText())
	n.Capacity, n.Unallocated = absentZero64(id.Capacity), hwreport.Absent[int64]()
	if id.Capacity > 0 {
		n.Unallocated = hwreport.Value(int64(id.Unallocated))
	}
	n.WarningCelsius, n.CritCelsius = celsius(id.WarningKelvin), celsius(id.CriticalK)
	n.MaxNamespaces = hwreport.Value(int64(id.Namespaces))
	d.Firmware = first(some(id.Firmware), d.Firmware)
	nvmeHealth(log, &n, d)
	n.Errors = nvmeErrors(log, id)
	n.Firmware = nvmeFirmware(log, id)
	n.Namespaces = nvmeNamespaces(ask)
	nvmeSelfTests(log, id, &n, d)
}

// controllerOf is the name of the controller that a namespace's disk hangs on.
func controllerOf(m Machine, base string) string {
	name := path.Base(place(m.Root, base+"/device"))
	if name == "device" { // no link: a tree that was cut; the controller's name stands in the disk's
		disk := path.Base(base)
		return disk[:max(0, strings.LastIndexByte(disk, 'n'))]
	}
	if strings.HasPrefix(name, "nvme-subsys") { // multipath: one of its controllers
		list, _ := names(m.Root, base+"/device")
		for _, e := range list {
			if numbered(e, "nvme") {
				return e
			}
		}
	}
	return name
}

func celsius(kelvin uint16) hwreport.Field[int64] {
	if kelvin == 0 {
		return hwreport.Absent[int64]()
	}
	return hwreport.Value(int64(kelvin) - 273)
}

func absentZero64(n uint64) hwreport.Field[int64] {
	if n == 0 {
		return hwreport.Absent[int64]()
	}
	return hwreport.Value(int64(min(n, math.MaxInt64)))
}

func nvmeHealth(log func(page, size int) ([]byte, error), n *hwreport.NVMe, d *hwreport.Disk) {
	b, err := log(2, nvme.HealthSize)
	var h nvme.Health
	if err == nil {
		h, err = nvme.ParseHealth(b)
	}
	if err != nil {
		n.Health = hwreport.Unknown[hwreport.NVMeHealth](err.Error())
		d.Verdict = hwreport.Unknown[hwreport.DiskVerdict](err.Error())
		hwreport.Fill(d, err.Error())
		return
	}
	n.Health = hwreport.Value(hwreport.NVMeHealth{
		CriticalWarning: int64(h.CriticalWarning), Celsius: int64(h.Kelvin) - 273, SparePercent: int64(h.Spare), SpareThreshold: int64(h.SpareThreshold),
		UsedPercent: int64(h.Used), DataUnitsRead: int64(h.DataRead), DataUnitsWritten: int64(h.DataWritten), ReadCommands: int64(h.ReadCommands),
		WriteCommands: int64(h.WriteCommands), BusyMinutes: int64(h.BusyMinutes), PowerCycles: int64(h.PowerCycles), PowerOnHours: int64(h.PowerOnHours),
		UnsafeShutdowns: int64(h.UnsafeShutdowns), MediaErrors: int64(h.MediaErrors), LogEntries: int64(h.ErrorEntries),
		WarningMinutes: int64(h.WarningMinutes), CriticalMinutes: int64(h.CriticalTempMinutes),
	})
	d.Celsius, d.PowerOnHours = hwreport.Value(int64(h.Kelvin)-273), hwreport.Value(int64(h.PowerOnHours))
	d.UsedPercent, d.MediaErrors = hwreport.Value(int64(h.Used)), hwreport.Value(int64(h.MediaErrors))
}

func nvmeErrors(log func(page, size int) ([]byte, error), id nvme.Controller) hwreport.Field[[]hwreport.NVMeError] {
	b, err := log(1, nvme.ErrorLogSize(min(id.ErrorEntries, maxNVMeErrors)))
	if err != nil {
		return hwreport.Unknown[[]hwreport.NVMeError](err.Error())
	}
	list := []hwreport.NVMeError{}
	for _, e := range nvme.ParseErrors(b) {
		list = append(list, hwreport.NVMeError{Count: int64(min(e.Count, math.MaxInt64)), Status: fmt.Sprintf("%#x", e.Status), LBA: int64(min(e.LBA, math.MaxInt64)), Namespace: int64(e.Namespace)})
	}
	return hwreport.Value(list)
}

func nvmeFirmware(log func(page, size int) ([]byte, error), id nvme.Controller) hwreport.Field[[]hwreport.FirmwareSlot] {
	b, err := log(3, nvme.FirmwareSize)
	var active, next byte
	var slots []string
	if err == nil {
		active, next, slots, err = nvme.ParseFirmware(b)
	}
	if err != nil {
		return hwreport.Unknown[[]hwreport.FirmwareSlot](err.Error())
	}
	list := []hwreport.FirmwareSlot{}
	for i := range min(max(id.FirmwareSlots, 1), len(slots)) {
		list = append(list, hwreport.FirmwareSlot{Slot: int64(i + 1), Revision: slots[i], Active: int(active) == i+1, Next: int(next) == i+1})
	}
	return hwreport.Value(list)
}

func nvmeNamespaces(ask func(opcode byte, nsid, cdw10 uint32, size int) ([]byte, error)) hwreport.Field[[]hwreport.NVMeNamespace] {
	b, err := ask(6, 0, 2, nvme.IdentifySize)
	if err != nil {
		return hwreport.Unknown[[]hwreport.NVMeNamespace](err.Error())
	}
	list := []hwreport.NVMeNamespace{}
	for _, nsid := range nvme.ParseActive(b, maxNVMeNamespaces) {
		k := hwreport.NVMeNamespace{Number: int64(nsid)}
		b, err := ask(6, nsid, 0, nvme.IdentifySize)
		var ns nvme.Namespace
		if err == nil {
			ns, err = nvme.ParseNamespace(b)
		}
		if err != nil {
			hwreport.Fill(&k, err.Error())
			list = append(list, k)
			continue
		}
		k.Bytes, k.Used = blocks(ns, ns.Blocks), blocks(ns, ns.UsedBlocks)
		k.BlockBytes, k.EUI64, k.NGUID = absentZero64(ns.BlockBytes), some(ns.EUI64), some(ns.NGUID)
		list = append(list, k)
	}
	return hwreport.Value(list)
}

func blocks(ns nvme.Namespace, n uint64) hwreport.Field[int64] {
	v, ok := ns.Bytes(n)
	if !ok {
		return hwreport.Unknown[int64](fmt.Sprintf("the namespace states %d blocks of %d bytes", n, ns.BlockBytes))
	}
	return hwreport.Value(v)
}

func nvmeSelfTests(log func(page, size int) ([]byte, error), id nvme.Controller, n *hwreport.NVMe, d *hwreport.Disk) {
	n.TestRunning, d.SelfTests = hwreport.Absent[int64](), hwreport.Absent[[]hwreport.SelfTest]()
	if !id.SelfTest {
		return
	}
	b, err := log(6, nvme.SelfTestSize)
	var running, percent byte
	var tests []nvme.SelfTest
	if err == nil {
		running, percent, tests, err = nvme.ParseSelfTests(b)
	}
	if err != nil {
		n.TestRunning, d.SelfTests = hwreport.Unknown[int64](err.Error()), hwreport.Unknown[[]hwreport.SelfTest](err.Error())
		return
	}
	if running != 0 {
		n.TestRunning = hwreport.Value(int64(percent))
	}
	list := []hwreport.SelfTest{}
	for _, t := range tests {
		list = append(list, hwreport.SelfTest{Kind: nvme.SelfTestKind(t.Code), Result: nvme.SelfTestResult(t.Result), Hours: hwreport.Value(int64(min(t.Hours, math.MaxInt64)))})
	}
	d.SelfTests = hwreport.Value(list)
}

// asked makes a Field of a question's error: what the device refuses it has
// not; what nobody could ask stays unknown.
func asked[T any](err error) hwreport.Field[T] {
	if errors.Is(err, errRefused) {
		return hwreport.Absent[T]()
	}
	return hwreport.Unknown[T](err.Error())
}

var errRefused = errors.New("refused")
