package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/nvidia/nvstate"
)

// driverLoad reads what became of NVIDIA's driver at boot. Where nobody loads
// one (another system than bee) there is no such file.
func driverLoad(m Machine) (hwreport.Field[hwreport.GPULoad], []hwreport.Finding) {
	s, err := nvstate.Read(m.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return hwreport.Absent[hwreport.GPULoad](), nil
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
