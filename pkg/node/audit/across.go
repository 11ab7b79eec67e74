package audit

import (
	"fmt"

	"github.com/bee-os/bee/pkg/hwreport"
)

// across finds what shows only when sections are held against each other.
func across(r *hwreport.Report) []hwreport.Finding {
	lastReset(r)
	found := append(supplied(r), blame(r)...)
	populated := int64(0)
	for _, s := range r.CPU.Data.Sockets.Or(nil) {
		if s.Populated.Or(false) {
			populated++
		}
	}
	if packages, ok := r.CPU.Data.Packages.Get(); ok && populated > 0 && populated != packages && !r.CPU.Data.Hypervisor.Or(false) {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "cpu.sockets-differ", "", fmt.Sprintf("the firmware has %d processors, the kernel runs %d", populated, packages),
			hwreport.Evidence{Source: "SMBIOS type 4", Value: fmt.Sprint(populated)}, hwreport.Evidence{Source: "proc/cpuinfo", Value: fmt.Sprint(packages)}))
	}
	m := &r.Memory.Data
	installed, ok1 := m.Installed.Get()
	mapped, ok2 := m.Mapped.Get()
	if ok1 && ok2 && installed > 0 && mapped != installed {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "memory.sum-differs", "", "the modules' sizes and the firmware's address map do not add up",
			hwreport.Evidence{Source: "SMBIOS type 17", Value: fmt.Sprint(installed)}, hwreport.Evidence{Source: "SMBIOS type 19", Value: fmt.Sprint(mapped)}))
	}
	if usable, ok := m.Usable.Get(); ok && ok1 && installed > 0 && usable < installed/4*3 && installed-usable > 512<<20 {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "memory.sum-differs", "kernel", "the kernel manages much less than is installed",
			hwreport.Evidence{Source: "SMBIOS type 17", Value: fmt.Sprint(installed)}, hwreport.Evidence{Source: "proc/meminfo", Value: fmt.Sprint(usable)}))
	}
	return found
}
