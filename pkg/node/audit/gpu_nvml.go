package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/compat"
)

// moduleVersion is where NVIDIA's kernel module says which release it is.
const moduleVersion = "proc/driver/nvidia/version"

// nvidia asks NVML of the GPUs that NVIDIA's driver serves and joins what it
// tells to what stands on the bus. Whatever becomes of it, the section keeps
// what the bus and the kernel tell.
func nvidia(ctx context.Context, m Machine, out *hwreport.GPU, gpus []*hwreport.GPUDevice) []hwreport.Finding {
	var served []*hwreport.GPUDevice
	for _, g := range gpus {
		if g.Driver.Or("") == nvidiaDriver {
			served = append(served, g)
		} else {
			g.NVML = hwreport.Unknown[hwreport.NVMLDevice]("NVIDIA's driver does not serve it")
		}
	}
	if served == nil {
		return nil
	}
	d := hwreport.GPUDriver{Unplaced: []hwreport.NVMLDevice{}}
	d.Module, d.Flavour = driverRelease(m)
	n, found := askNVML(ctx, m, &d)
	defer func() { out.NVIDIA = hwreport.Value(d) }()
	if n == nil {
		reason := d.Listed.Reason()
		hwreport.Fill(&d, reason)
		for _, g := range served {
			g.NVML = hwreport.Unknown[hwreport.NVMLDevice](reason)
		}
		return found
	}
	d.Version, d.Library, d.CUDA = n.Driver, n.Library, n.CUDA
	found = append(found, releases(m, &d, n)...)
	devices, ok := n.Devices.Get()
	if !ok {
		d.Listed = hwreport.Unknown[int64](n.Devices.Reason())
		for _, g := range served {
			g.NVML = hwreport.Unknown[hwreport.NVMLDevice](n.Devices.Reason())
		}
		return found
	}
	d.Listed = hwreport.Value(int64(len(devices)))
	found = append(found, joined(served, devices, &d)...)
	for _, g := range served {
		if v, ok := g.NVML.Get(); ok && v.Error == "" {
			found = append(found, sick(g, &v)...)
		}
	}
	return append(found, unequal(served)...)
}

// driverRelease reads the kernel module's:
//
//	NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025
//	NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.163.01  Release Build …
func driverRelease(m Machine) (version, flavour hwreport.Field[string]) {
	s, err := raw(m.Root, moduleVersion)
	if err != nil {
		return why[string](err), why[string](err)
	}
	line, _, _ := strings.Cut(s, "\n")
	found := releaseText().FindStringSubmatch(line)
	if found == nil {
		unknown := hwreport.Unknown[string](fmt.Sprintf("%s: %.80q names no release", moduleVersion, line))
		return unknown, unknown
	}
	flavour = hwreport.Value("proprietary")
	if strings.Contains(line, "Open Kernel Module") {
		flavour = hwreport.Value("open")
	}
	return hwreport.Value(found[1]), flavour
}

var releaseText = pattern(`Kernel Module\s.*?\b(\d+\.\d+(?:\.\d+)?)\b`)

// askNVML runs nvmlreport. Where it gives no answer, d.Listed has the reason and,
// unless nobody could be asked at all, a finding tells of it.
func askNVML(ctx context.Context, m Machine, d *hwreport.GPUDriver) (*hwreport.NVML, []hwreport.Finding) {
	q := device.NVMLReport(hwreport.NVMLMaxSize)
	var n *hwreport.NVML
	b, err := m.Ask.Ask(ctx, q)
	if err == nil {
		n, err = hwreport.DecodeNVML(b)
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, fs.ErrNotExist):
		d.Listed = hwreport.Unknown[int64]("the image has no nvmlreport")
		return nil, nil
	case notAsked(err):
		d.Listed = hwreport.Unknown[int64](device.ErrNotCaptured.Error())
		return nil, nil
	}
	d.Listed = hwreport.Unknown[int64](err.Error())
	return nil, []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "gpu.nvml-failed", "", "nvmlreport gave no report of the GPUs: "+err.Error(),
		hwreport.Evidence{Source: q.Device, Value: err.Error()})}
}

// releases holds the kernel module's release against the library's, and tells
// why NVML did not start.
func releases(m Machine, d *hwreport.GPUDriver, n *hwreport.NVML) []hwreport.Finding {
	module, ok := d.Module.Get()
	library, known := d.Library.Get()
	if _, after, cut := strings.Cut(library, "."); cut { // 12.550.163.01: CUDA's first number, then the release
		library = after
	}
	if n.Code == hwreport.NVMLMismatch || ok && known && library != module {
		evidence := []hwreport.Evidence{{Source: moduleVersion, Value: d.Module.String()}}
		if !known {
			library = installed(m)
		}
		evidence = append(evidence, hwreport.Evidence{Source: compat.Lib + "/libnvidia-ml.so", Value: library})
		return []hwreport.Finding{hwreport.NewFinding(hwreport.Failure, "gpu.version-mismatch", "",
			fmt.Sprintf("NVIDIA's kernel module is release %s, its library %s: no program can use the GPUs; build the image with both of one release", d.Module, library), evidence...)}
	}
	if n.Error == "" {
		return nil
	}
	return []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "gpu.nvml-refused", "", "NVML tells nothing of the GPUs: "+n.Error,
		hwreport.Evidence{Source: "nvmlInit, nvmlDeviceGetCount", Value: n.Code})}
}

// installed is the release that the library's file in the compat root is named
// after.
func installed(m Machine) string {
	list, _ := names(m.Root, compat.Lib)
	for _, name := range list {
		if v, ok := strings.CutPrefix(name, "libnvidia-ml.so."); ok && strings.Contains(v, ".") {
			return v
		}
	}
	return "?"
}

// joined hangs each of NVML's GPUs on its function. One that told no address, as
// a lost one may, belongs to the one function that is left, if it is one.
func joined(served []*hwreport.GPUDevice, devices []hwreport.NVMLDevice, d *hwreport.GPUDriver) []hwreport.Finding {
	var left []*hwreport.GPUDevice
	used := make([]bool, len(devices))
	for _, g := range served {
		found := false
		for i := range devices {
			if devices[i].Address == g.Address && !used[i] {
				g.NVML, used[i], found = hwreport.Value(devices[i]), true, true
				break
			}
		}
		if !found {
			left = append(left, g)
		}
	}
	for i := range devices {
		if !used[i] {
			d.Unplaced = append(d.Unplaced, devices[i])
		}
	}
	if len(left) == 1 && len(d.Unplaced) == 1 && d.Unplaced[0].Address == "" {
		left[0].NVML, left, d.Unplaced = hwreport.Value(d.Unplaced[0]), nil, []hwreport.NVMLDevice{}
	}
	var out []hwreport.Finding
	for _, g := range left {
		g.NVML = hwreport.Unknown[hwreport.NVMLDevice]("NVML does not list it")
		out = append(out, hwreport.NewFinding(hwreport.Failure, "gpu.not-in-nvml", g.ID, fmt.Sprintf("the GPU at %s is on the bus and NVML does not list it: no program can use it", g.Address),
			hwreport.Evidence{Source: pciDir + "/" + g.Address, Value: nvidiaDriver}, hwreport.Evidence{Source: "nvmlDeviceGetCount", Value: fmt.Sprint(len(devices))}))
	}
	for _, g := range served {
		v, ok := g.NVML.Get()
		switch {
		case !ok || v.Error == "":
		case v.Code == hwreport.NVMLLost:
			out = append(out, hwreport.NewFinding(hwreport.Failure, "gpu.lost", g.ID, fmt.Sprintf("the GPU at %s is lost: %s", g.Address, v.Error), hwreport.Evidence{Source: "NVML", Value: v.Code}))
		default:
			out = append(out, hwreport.NewFinding(hwreport.Failure, "gpu.not-in-nvml", g.ID, fmt.Sprintf("NVML cannot open the GPU at %s: %s", g.Address, v.Error), hwreport.Evidence{Source: "NVML", Value: v.Code}))
		}
	}
	return out
}
