package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// peer is a GPU that NVML told of.
type peer struct {
	g *hwreport.GPUDevice
	v hwreport.NVMLDevice
}

// unequal holds GPUs of one model against each other: what differs among them
// was forgotten or is broken.
func unequal(gpus []*hwreport.GPUDevice) []hwreport.Finding {
	groups := map[string][]peer{}
	for _, g := range gpus {
		if v, ok := g.NVML.Get(); ok && v.Error == "" {
			key := v.Model.Or("?") + "\x00" + v.BoardPart.Or("")
			groups[key] = append(groups[key], peer{g, v})
		}
	}
	var found []hwreport.Finding
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		if peers := groups[key]; len(peers) > 1 {
			found = append(found, firmwares(peers)...)
			found = append(found, limits(peers)...)
			found = append(found, linksDown(peers)...)
		}
	}
	return found
}

// odd tells how a property is spread over GPUs, "A (6), B (2)", and who has not
// what most have. A GPU that does not tell is left out.
func odd(peers []peer, of func(hwreport.NVMLDevice) string) (spread string, out []peer) {
	have := map[string][]peer{}
	for _, p := range peers {
		if s := of(p.v); s != "" {
			have[s] = append(have[s], p)
		}
	}
	if len(have) < 2 {
		return "", nil
	}
	words := slices.Sorted(maps.Keys(have))
	slices.SortStableFunc(words, func(a, b string) int { return len(have[b]) - len(have[a]) })
	var list []string
	for i, w := range words {
		list = append(list, fmt.Sprintf("%s (%d)", w, len(have[w])))
		if i > 0 {
			out = append(out, have[w]...)
		}
	}
	return strings.Join(list, ", "), out
}

func firmwares(peers []peer) []hwreport.Finding {
	var found []hwreport.Finding
	for _, f := range []struct {
		name, source string
		of           func(hwreport.NVMLDevice) string
	}{
		{"VBIOS", "nvmlDeviceGetVbiosVersion", func(v hwreport.NVMLDevice) string { return v.VBIOS.Or("") }},
		{"InfoROM", "nvmlDeviceGetInforomImageVersion", func(v hwreport.NVMLDevice) string { return v.InfoROM.Image.Or("") }},
		{"GSP firmware", "nvmlDeviceGetGspFirmwareVersion", func(v hwreport.NVMLDevice) string { return v.GSP.Or("") }},
	} {
		spread, out := odd(peers, f.of)
		for _, p := range out {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "gpu.firmware-differs", p.g.ID+":"+strings.ReplaceAll(f.name, " ", "-"),
				fmt.Sprintf("GPU %s: its %s is %s; equal GPUs have %s", p.g.Address, f.name, f.of(p.v), spread), hwreport.Evidence{Source: f.source, Value: f.of(p.v)}))
		}
	}
	return found
}

func limits(peers []peer) []hwreport.Finding {
	watts := func(v hwreport.NVMLDevice) string {
		if n, ok := v.Power.Enforced.Get(); ok {
			return fmt.Sprintf("%d W", n/1000)
		}
		return ""
	}
	spread, out := odd(peers, watts)
	var found []hwreport.Finding
	for _, p := range out {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "gpu.power-differs", p.g.ID, fmt.Sprintf("GPU %s: it may draw %s; equal GPUs may draw %s", p.g.Address, watts(p.v), spread),
			hwreport.Evidence{Source: "nvmlDeviceGetEnforcedPowerLimit", Value: watts(p.v)}))
	}
	return found
}

// linksDown finds NVLinks that are down where they should not be. NVML cannot
// say which ones are wired: a PCIe card has the links and no bridge to plug them
// into, and a board may leave some unused. So GPUs are held against their
// equals. A link that is down while the same link of an equal GPU is up is a
// finding; a GPU without any link up is one only where its equals' links lead to
// switches, which are wired to every GPU. Elsewhere it is a card without a
// bridge, like all its links in a machine where no GPU has any.
func linksDown(peers []peer) []hwreport.Finding {
	wired := map[int64]bool{}
	switched := false
	for _, p := range peers {
		for _, l := range p.v.NVLinks.Or(nil) {
			if l.Up.Or(false) {
				wired[l.Link] = true
				switched = switched || l.RemoteKind.Or("") == "switch"
			}
		}
	}
	var found []hwreport.Finding
	for _, p := range peers {
		links := p.v.NVLinks.Or(nil)
		var down []string
		up := 0
		for _, l := range links {
			switch on, ok := l.Up.Get(); {
			case on:
				up++
			case ok && wired[l.Link]:
				down = append(down, fmt.Sprint(l.Link))
			}
		}
		if down == nil {
			continue
		}
		severity, message := hwreport.Warning, fmt.Sprintf("GPU %s: %d NVLinks are down that are up on equal GPUs", p.g.Address, len(down))
		if up == 0 && !switched {
			severity, message = hwreport.Info, fmt.Sprintf("GPU %s: no NVLink is up, while equal GPUs have some: it has no bridge, or one that is not seated", p.g.Address)
		}
		found = append(found, hwreport.NewFinding(severity, "gpu.nvlink-down", p.g.ID, message, hwreport.Evidence{Source: "nvmlDeviceGetNvLinkState", Value: "down: " + strings.Join(down, " ")}))
	}
	return found
}
