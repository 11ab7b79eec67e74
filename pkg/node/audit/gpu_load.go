package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/nvidia/nvstate"
)

// driverLoad reads what became of NVIDIA's driver at boot. Where nobody loads
// one (another system than bee, an image without it) there is no such file;
// where somebody should have, its absence is a finding.
func driverLoad(m Machine) (hwreport.Field[hwreport.GPULoad], []hwreport.Finding) {
	s, err := nvstate.Read(m.Root)
	if errors.Is(err, fs.ErrNotExist) {
		b, err := bom.ReadHead(m.Root)
		cmdline, _ := raw(m.Root, "proc/cmdline") // without it nothing was switched off
		if params, _ := bootparam.Parse(cmdline); err != nil || b.NVIDIA == nil || params.NVIDIAOff {
			return hwreport.Absent[hwreport.GPULoad](), nil
		}
		const text = "the image carries NVIDIA's driver, and its service has told nothing of it: svc status nvidia"
		return hwreport.Unknown[hwreport.GPULoad](text), []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "gpu.driver-not-loaded", "nvidia", text, hwreport.Evidence{Source: nvstate.Path, Value: "absent"})}
	}
	if err != nil {
		return hwreport.Unknown[hwreport.GPULoad](err.Error()), nil
	}
	out := hwreport.GPULoad{Version: s.Image, Flavour: s.Flavor, Nothing: s.Nothing, Modules: []hwreport.GPUModule{}, Problems: append([]string{}, s.Problems...)}
	// Without a GPU somebody asked for it (nvidia load --force): nothing is broken.
	severity := hwreport.Info
	if len(s.GPUs) > 0 {
		severity = hwreport.Failure
	}
	var found []hwreport.Finding
	say := func(subject, message, value string) {
		found = append(found, hwreport.NewFinding(severity, "gpu.driver-not-loaded", subject, message, hwreport.Evidence{Source: nvstate.Path, Value: value}))
	}
	for _, mod := range s.Modules {
		out.Modules = append(out.Modules, hwreport.GPUModule{Name: mod.Name, File: mod.File, Loaded: mod.Loaded, Error: mod.Error, Kernel: append([]string{}, mod.Kernel...)})
		if !mod.Loaded {
			say(mod.Name, fmt.Sprintf("NVIDIA's module %s was not loaded: %s", mod.Name, mod.Error), strings.Join(mod.Kernel, "; "))
		}
	}
	if len(s.GPUs) > 0 {
		severity = hwreport.Warning
	}
	for _, p := range s.Problems {
		say("nvidia", "NVIDIA's driver: "+p, p)
	}
	return hwreport.Value(out), found
}
