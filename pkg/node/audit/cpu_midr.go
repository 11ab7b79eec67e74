package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/hwreport"
)

// armImplementers and armParts are what lscpu knows (util-linux sys-utils/
// lscpu-arm.c, Arm's MIDR_EL1), those of servers and boards. QEMU's own
// processor, which is no model of anybody's, is implementer 0 (target/arm/tcg/
// cpu64.c).
var (
	armImplementers = sync.OnceValue(func() map[string]string {
		return map[string]string{"0x00": "QEMU", "0x41": "ARM", "0x42": "Broadcom", "0x43": "Cavium", "0x46": "Fujitsu", "0x48": "HiSilicon", "0x4e": "NVIDIA", "0x50": "APM", "0x51": "Qualcomm", "0x61": "Apple", "0x6d": "Microsoft", "0x70": "Phytium", "0xc0": "Ampere"}
	})
	armParts = sync.OnceValue(func() map[string]string {
		return map[string]string{"0x00/0x051": "QEMU TCG CPU max",
			"0x41/0xd02": "Cortex-A34", "0x41/0xd03": "Cortex-A53", "0x41/0xd04": "Cortex-A35", "0x41/0xd05": "Cortex-A55", "0x41/0xd06": "Cortex-A65", "0x41/0xd07": "Cortex-A57", "0x41/0xd08": "Cortex-A72", "0x41/0xd09": "Cortex-A73", "0x41/0xd0a": "Cortex-A75", "0x41/0xd0b": "Cortex-A76", "0x41/0xd0c": "Neoverse-N1",
			"0x41/0xd0d": "Cortex-A77", "0x41/0xd0e": "Cortex-A76AE", "0x41/0xd40": "Neoverse-V1", "0x41/0xd41": "Cortex-A78", "0x41/0xd42": "Cortex-A78AE", "0x41/0xd44": "Cortex-X1", "0x41/0xd46": "Cortex-A510", "0x41/0xd47": "Cortex-A710", "0x41/0xd48": "Cortex-X2", "0x41/0xd49": "Neoverse-N2", "0x41/0xd4a": "Neoverse-E1",
			"0x41/0xd4b": "Cortex-A78C", "0x41/0xd4d": "Cortex-A715", "0x41/0xd4e": "Cortex-X3", "0x41/0xd4f": "Neoverse-V2", "0x41/0xd80": "Cortex-A520", "0x41/0xd81": "Cortex-A720", "0x41/0xd82": "Cortex-X4", "0x41/0xd83": "Neoverse-V3AE", "0x41/0xd84": "Neoverse-V3", "0x41/0xd8e": "Neoverse-N3",
			"0x43/0x0a1": "ThunderX", "0x43/0x0af": "ThunderX2", "0x42/0x516": "ThunderX2", "0x46/0x001": "A64FX", "0x48/0xd01": "Kunpeng-920", "0x48/0xd02": "Kunpeng-920",
			"0x4e/0x004": "Carmel", "0x50/0x000": "X-Gene", "0x51/0xc00": "Falkor", "0xc0/0xac3": "Ampere-1", "0xc0/0xac4": "Ampere-1a"}
	})
)

// armName is what an implementer and a part, as /proc/cpuinfo writes them, are
// called; those that are not known stay numbers.
func armName(implementer, part string) (vendor, model string) {
	vendor, model = implementer, part
	if v, ok := armImplementers()[implementer]; ok {
		vendor = v
	}
	if n, ok := armParts()[implementer+"/"+part]; ok {
		model = n
	}
	return vendor, model
}

// armKinds names the processors of an ARM machine, which may have fast and slow
// ones, each kind once, and the identification of each.
type armKinds struct{ vendors, models, ids []string }

// add takes one block of /proc/cpuinfo (kernel: arch/arm64/kernel/cpuinfo.c).
func (k *armKinds) add(get map[string]string) {
	if get["CPU implementer"] == "" {
		return
	}
	vendor, model := armName(get["CPU implementer"], get["CPU part"])
	for _, s := range []struct {
		list *[]string
		word string
	}{{&k.vendors, vendor}, {&k.models, model}, {&k.ids, midr(get)}} {
		if s.word != "" && !slices.Contains(*s.list, s.word) {
			*s.list = append(*s.list, s.word)
		}
	}
}

// put fills what the processors are. Without any ARM processor it does nothing.
func (k *armKinds) put(c *hwreport.CPU) {
	if k.models == nil {
		return
	}
	c.Vendor, c.Model, c.Signature = some(strings.Join(k.vendors, " + ")), some(strings.Join(k.models, " + ")), some(strings.Join(k.ids, " + "))
	c.Hypervisor = hwreport.Unknown[bool]("an ARM processor does not tell a guest")
}

// midr puts the main ID register (Arm ARM, MIDR_EL1) together again from the
// parts that /proc/cpuinfo shows of it: 410fd083 is a Cortex-A72 r0p3.
func midr(get map[string]string) string {
	var n [4]uint64
	for i, name := range []string{"CPU implementer", "CPU variant", "CPU part", "CPU revision"} {
		v, err := strconv.ParseUint(get[name], 0, 12)
		if err != nil {
			return ""
		}
		n[i] = v
	}
	return fmt.Sprintf("%08x", n[0]&0xff<<24|n[1]&0xf<<20|0xf<<16|n[2]&0xfff<<4|n[3]&0xf)
}

// guest settles whether an ARM machine is a virtual one, where something of it
// says so: the firmware's tables (DSP0134 7.1.2.2, bit 4: the table describes a
// virtual machine), or a device tree that only hypervisors give out.
func guest(m Machine) (found bool) {
	if t, err := m.DMI(); err == nil {
		for _, s := range t.Of(0) {
			if b, ok := s.Byte(0x13); ok && b&0x10 != 0 {
				return true
			}
		}
	}
	return exists(m, treeDir+"/hypervisor") || slices.Contains(treeStrings(m.Root, "compatible"), "linux,dummy-virt")
}
