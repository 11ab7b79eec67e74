package audit

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/nvidia/nvstate"
)

// What became of the driver is in the report with the kernel's words; whether it
// is a failure depends on whether there is anything to drive.
func TestDriverLoad(t *testing.T) {
	const failed = `"image":"550.163.01","flavor":"open","modules":[{"name":"nvidia","file":"/usr/local/lib/nvidia/nvidia.ko.xz","error":"it finds nothing here to drive","kernel":["NVRM: No NVIDIA GPU found."]}],"problems":["the libraries are 570"]`
	for _, c := range []struct {
		name, text string
		state      hwreport.State
		severities []hwreport.Severity
	}{
		{"nobody loads one", "", hwreport.IsAbsent, nil},
		{"nothing to do", `{"gpus":[],"nothing":"no NVIDIA GPU"}`, hwreport.IsValue, nil},
		{"without a GPU", `{"gpus":[],` + failed + `}`, hwreport.IsValue, []hwreport.Severity{hwreport.Info, hwreport.Info}},
		{"with a GPU", `{"gpus":["0000:01:00.0"],` + failed + `}`, hwreport.IsValue, []hwreport.Severity{hwreport.Failure, hwreport.Warning}},
		{"nobody told", "", hwreport.IsUnknown, []hwreport.Severity{hwreport.Warning}},
		{"nobody told, switched off", "", hwreport.IsAbsent, nil},
		{"garbage", `{`, hwreport.IsUnknown, nil},
	} {
		root := fstest.MapFS{}
		if strings.HasSuffix(c.name, "switched off") {
			root["proc/cmdline"] = &fstest.MapFile{Data: []byte("quiet bee.nvidia=off\n")}
		}
		if strings.HasPrefix(c.name, "nobody told") {
			root[bom.Path] = &fstest.MapFile{Data: []byte(`{"schema":1,"name":"bee","nvidia":{"version":"550.163.01"}}`)}
		}
		if c.text != "" {
			root[nvstate.Path] = &fstest.MapFile{Data: []byte(c.text)}
		}
		load, found := driverLoad(Machine{Root: root})
		if load.State() != c.state || len(found) != len(c.severities) {
			t.Errorf("%s: %+v, %+v", c.name, load, found)
			continue
		}
		for i, f := range found {
			if f.Severity != c.severities[i] {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		if load.State() == hwreport.IsValue && len(found) > 0 && !strings.Contains(found[0].Evidence[0].Value+load.Or(hwreport.GPULoad{}).Modules[0].Kernel[0], "No NVIDIA GPU found") {
			t.Errorf("%s: the kernel's words are not there: %+v", c.name, found[0])
		}
	}
}
