package hwreport

import (
	"cmp"
	"fmt"
	"strings"
)

// gpuParts lists GPUs that compute, each by the UUID of its chip, and the boards
// that they are on, by the board's serial number. A board is known through NVML
// alone: where one GPU could not be asked, boards cannot be compared.
func gpuParts(list []GPUDevice, add func(part), unknown map[string]string) {
	for _, g := range list {
		if !g.Computes() {
			continue
		}
		n, asked := g.NVML.Get()
		place := cmp.Or(g.Slot.Or(""), g.ID)
		links := Unknown[int64](NotCollected)
		if n.NVLinks.State() == IsValue {
			links = Value(linksUp(n))
		}
		add(part{"gpu", g.ID, place, g.UUID.Or(n.UUID.Or("")), g.Model.Or(""), g.VBIOS.Or(n.VBIOS.Or("")), numbers("bytes", n.Memory.Total, "NVLinks", links)})
		if g.NVML.State() == IsUnknown {
			unknown["gpu-board"] = g.NVML.Reason()
		} else if asked && n.Error != "" {
			unknown["gpu-board"] = n.Error
		} else if asked {
			add(part{kind: "gpu-board", id: g.ID, place: place, serial: n.Serial.Or(""), model: n.BoardPart.Or(""), firmware: n.InfoROM.Image.Or("")})
		}
	}
}

// ProfileGPU is a group of GPUs.
type ProfileGPU struct {
	Count   int64  `json:"count"` // at least
	Model   string `json:"model"` // as NVML or else the bus names it
	VBIOS   string `json:"vbios"`
	Bytes   int64  `json:"min_bytes"`   // of memory
	NVLinks int64  `json:"min_nvlinks"` // that are up
}

// checkGPUs holds the GPUs against the groups of a profile. A GPU that would fit
// if NVML had told is unknown, not missing; one that is lost does not count.
func (p *Profile) checkGPUs(r *Report, count func(what string, want int64, state State, reason string, fits func() int64), matches func(pattern, v string) bool, unknown *[]string) {
	f := r.GPU.Data.Devices
	for _, g := range p.GPUs {
		what, want := "GPUs "+g.Model, max(g.Count, 1)
		needs := g.Bytes > 0 || g.NVLinks > 0
		count(what, want, f.State(), f.Reason(), func() (n int64) {
			var perhaps []string
			for _, d := range f.Or(nil) {
				v, told := d.NVML.Get()
				if told && v.Error != "" || !d.Computes() || !matches(g.Model, v.Model.Or("")) && !matches(g.Model, d.Model.Or("")) || !matches(g.VBIOS, d.VBIOS.Or(v.VBIOS.Or(""))) {
					continue
				}
				switch {
				case needs && !told && d.NVML.State() == IsUnknown:
					perhaps = append(perhaps, what+" at "+d.Address+": "+d.NVML.Reason())
				case v.Memory.Total.Or(0) >= g.Bytes && linksUp(v) >= g.NVLinks:
					n++
				}
			}
			if n < want && n+int64(len(perhaps)) >= want {
				*unknown = append(*unknown, perhaps...)
				return want
			}
			return n
		})
	}
}

// linksUp counts a GPU's NVLinks that are up.
func linksUp(v NVMLDevice) (n int64) {
	for _, l := range v.NVLinks.Or(nil) {
		if l.Up.Or(false) {
			n++
		}
	}
	return n
}

// gpus adds a line for each model of GPU: how many, how much memory, who drives
// them, how warm they are.
func (s *summary) gpus(g GPU) {
	groups := map[string][]GPUDevice{}
	var order []string
	for _, d := range g.Devices.Or(nil) {
		if !d.Computes() {
			continue
		}
		key := gpuName(d) + "\x00" + d.Driver.Or("no driver")
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], d)
	}
	for i, key := range order {
		list := groups[key]
		name, driver, _ := strings.Cut(key, "\x00")
		if len(list) > 1 {
			name = fmt.Sprintf("%d × %s", len(list), name)
		}
		if v, ok := g.NVIDIA.Or(GPUDriver{}).Module.Get(); ok && driver == "nvidia" {
			driver += " " + v
		}
		var size, warm, lost string
		var lo, hi, bad int64
		for _, d := range list {
			v := d.NVML.Or(NVMLDevice{})
			if n, ok := v.Memory.Total.Get(); ok && size == "" {
				size = Size(n)
			}
			if t, ok := v.Temperature.GPU.Get(); ok {
				if lo == 0 || t < lo {
					lo = t
				}
				hi = max(hi, t)
				if warm = fmt.Sprintf("%d °C", lo); hi > lo {
					warm = fmt.Sprintf("%d to %d °C", lo, hi)
				}
			}
			if v.Error != "" {
				bad++
				lost = fmt.Sprintf("%d silent", bad)
			}
		}
		s.line(once(i, "gpu"), name, size, driver, warm, lost)
	}
}

// gpuName is what NVML calls a GPU, else what the bus does.
func gpuName(d GPUDevice) string {
	if n, ok := d.NVML.Or(NVMLDevice{}).Model.Get(); ok {
		return n
	}
	return join(d.Vendor.Or(""), d.Model.Or("?"))
}
