package smoke

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/nvidia/nvstate"
)

// nvidiaChecks are those of the GPUs and of what serves them. They are required
// where the machine has a GPU of NVIDIA's and the image its driver.
func nvidiaChecks(root fs.FS, add func(check string, required bool, detail string, err error)) {
	text, err := fs.ReadFile(root, bom.Path)
	if err != nil {
		add("nvidia", true, "", err)
		return
	}
	bill, err := bom.Decode(text)
	if err != nil {
		add("nvidia", true, "", err)
		return
	}
	if len(bill.Compat) > 0 {
		detail, err := compatRoot(root, bill)
		add("nvidia compat root", true, detail, err)
	}
	st, err := nvstate.Read(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		add("nvidia", bill.NVIDIA != nil, "", errors.New("the service nvidia has not told anything yet; svc why nvidia"))
		return
	case err != nil:
		add("nvidia", true, "", err)
		return
	case st.Nothing != "" && len(st.GPUs) == 0:
		add("nvidia", false, st.Nothing, nil)
		return
	case st.Nothing != "":
		add("nvidia", false, "", errors.New(st.Nothing))
		return
	}
	required := len(st.GPUs) > 0
	detail, err := driverModules(root, st)
	add("nvidia modules", required, detail, err)
	detail, err = deviceFiles(root, st)
	add("nvidia devices", required, detail, err)
	detail, err = enriched(root, st)
	add("nvidia audit", required, detail, err)
}

// compatRoot says whether every file of the compat root is there and whole, and
// the names that programs ask for lead to one.
func compatRoot(root fs.FS, bill bom.BOM) (string, error) {
	var bad []string
	for _, b := range bill.Compat {
		fi, err := fs.Stat(root, path.Join(bom.CompatDir, b.Path))
		if err != nil || fi.Size() != b.Size {
			bad = append(bad, b.Path)
		}
	}
	if bill.NVIDIA != nil {
		for _, soname := range []string{"libcuda.so.1", "libnvidia-ml.so.1"} {
			if _, err := fs.Stat(root, path.Join(bom.CompatDir, "lib", soname)); err != nil {
				bad = append(bad, "lib/"+soname)
			}
		}
	}
	if len(bad) > 0 {
		return "", fmt.Errorf("missing or not whole in /%s: %s", bom.CompatDir, strings.Join(bad, " "))
	}
	return fmt.Sprintf("%d files", len(bill.Compat)), nil
}

// driverModules says whether the kernel has what was loaded (sysfs-module).
func driverModules(root fs.FS, st nvstate.State) (string, error) {
	var bad []string
	for _, m := range st.Modules {
		if !m.Loaded {
			bad = append(bad, fmt.Sprintf("%s (%s)", m.Name, m.Error))
		} else if _, err := fs.Stat(root, "sys/module/"+strings.ReplaceAll(m.Name, "-", "_")); err != nil {
			bad = append(bad, m.Name+" (it was loaded and is gone)")
		}
	}
	if len(bad) > 0 {
		return "", fmt.Errorf("would not load: %s", strings.Join(bad, ", "))
	}
	if len(st.Problems) > 0 {
		return "", errors.New(strings.Join(st.Problems, "; "))
	}
	return fmt.Sprintf("%d, driver %s (%s)", len(st.Modules), st.Driver, st.Flavor), nil
}

// deviceFiles says whether there is one for each GPU, and those that all share.
func deviceFiles(root fs.FS, st nvstate.State) (string, error) {
	found, err := fs.Glob(root, "dev/nvidia[0-9]*")
	if err != nil {
		return "", err
	}
	if len(found) < len(st.GPUs) {
		return "", fmt.Errorf("%d of %d GPUs have a device file", len(found), len(st.GPUs))
	}
	for _, name := range []string{"dev/nvidiactl", "dev/nvidia-uvm"} {
		if _, err := fs.Stat(root, name); err != nil {
			return "", err
		}
	}
	return strings.Join(found, " "), nil
}

// enriched says whether NVML told the audit about every GPU that the bus has.
func enriched(root fs.FS, st nvstate.State) (string, error) {
	text, err := fs.ReadFile(root, hwreport.Path)
	if err != nil {
		return "", err
	}
	r, err := hwreport.Decode(text)
	if err != nil {
		return "", err
	}
	told := make(map[string]hwreport.Field[hwreport.NVMLDevice])
	for _, d := range r.GPU.Data.Devices.Or(nil) {
		told[d.Address] = d.NVML
	}
	var bad []string
	for _, address := range st.GPUs {
		d, ok := told[address]
		nvml, has := d.Get()
		switch {
		case !ok:
			bad = append(bad, address+" (the audit has not seen it)")
		case !has:
			bad = append(bad, fmt.Sprintf("%s (NVML: %s)", address, reason(d)))
		case nvml.Error != "":
			bad = append(bad, fmt.Sprintf("%s (NVML: %s)", address, nvml.Error))
		}
	}
	if len(bad) > 0 {
		return "", fmt.Errorf("%d of %d GPUs are not told by NVML: %s", len(bad), len(st.GPUs), strings.Join(bad, ", "))
	}
	return fmt.Sprintf("%d GPUs told by NVML", len(st.GPUs)), nil
}

func reason(d hwreport.Field[hwreport.NVMLDevice]) string {
	if d.State() == hwreport.IsAbsent {
		return "the image has no nvmlreport"
	}
	return d.Reason()
}
