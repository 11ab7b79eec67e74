package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

const cpuDir = "sys/devices/system/cpu"

// cpu reads the processors as the kernel runs them and the sockets as the
// firmware describes them.
func cpu(_ context.Context, m Machine, c *hwreport.CPU) ([]hwreport.Finding, error) {
	info, err := raw(m.Root, "proc/cpuinfo")
	if err != nil {
		return nil, fmt.Errorf("read processors: %w", err)
	}
	parseCPUInfo(info, c)
	if c.Hypervisor.State() == hwreport.IsUnknown && guest(m) {
		c.Hypervisor = hwreport.Value(true)
	}
	c.Present = listed(m, "present")
	online := listed(m, "online")
	if n, ok := online.Get(); ok {
		c.Threads = hwreport.Value(n)
	}
	c.MaxMHz = number(m.Root, cpuDir+"/cpu0/cpufreq/cpuinfo_max_freq")
	if khz, ok := c.MaxMHz.Get(); ok {
		c.MaxMHz = hwreport.Value(khz / 1000)
	}
	c.Caches = caches(m)
	c.NUMA = numa(m)
	c.Vulnerabilities = vulnerabilities(m)
	if c.Packages.Or(0) <= 1 && !strings.Contains(info, "physical id") {
		topology(m, c)
	}
	c.Sockets = sockets(m)
	return cpuFindings(c), nil
}

// listed counts a list of processors such as /sys/devices/system/cpu/online.
func listed(m Machine, name string) hwreport.Field[int64] {
	s, err := raw(m.Root, cpuDir+"/"+name)
	if err != nil {
		return why[int64](err)
	}
	n, ok := count(s)
	if !ok {
		return hwreport.Unknown[int64](fmt.Sprintf("%s/%s: %q is no list of processors", cpuDir, name, s))
	}
	return hwreport.Value(n)
}

// parseCPUInfo reads /proc/cpuinfo (proc(5)): one block a thread.
func parseCPUInfo(info string, c *hwreport.CPU) {
	packages, cores := map[string]bool{}, map[string]bool{}
	var microcode []string
	bySocket := map[string]hwreport.SocketMicrocode{}
	threads := int64(0)
	var arm armKinds
	for i, block := range strings.Split(info, "\n\n") {
		get := make(map[string]string)
		for line := range strings.Lines(block) {
			k, v, _ := strings.Cut(line, ":")
			get[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
		if _, ok := get["processor"]; !ok {
			continue
		}
		threads++
		arm.add(get)
		pkg := get["physical id"]
		packages[pkg] = true
		cores[pkg+" "+get["core id"]] = true
		if u := get["microcode"]; u != "" {
			if !slices.Contains(microcode, u) {
				microcode = append(microcode, u)
			}
			n, _ := strconv.ParseInt(pkg, 10, 64) // where it is not told, all are of package 0
			s := bySocket[pkg]
			s.Package = n
			if !slices.Contains(s.Revisions, u) {
				s.Revisions = append(s.Revisions, u)
			}
			bySocket[pkg] = s
		}
		if i > 0 {
			continue
		}
		c.Vendor, c.Model = some(get["vendor_id"]), some(get["model name"])
		c.Signature = signature(get["cpu family"], get["model"], get["stepping"])
		flags := strings.Fields(get["flags"] + get["Features"])
		c.Hypervisor = hwreport.Value(slices.Contains(flags, "hypervisor"))
		c.Flags = hwreport.Absent[[]string]()
		if len(flags) > 0 {
			c.Flags = hwreport.Value(flags)
		}
	}
	arm.put(c)
	c.Packages, c.Cores, c.Threads = hwreport.Value(int64(len(packages))), hwreport.Value(int64(len(cores))), hwreport.Value(threads)
	c.Microcode, c.BySocket = hwreport.Absent[[]string](), hwreport.Absent[[]hwreport.SocketMicrocode]()
	if len(microcode) > 0 {
		slices.Sort(microcode)
		c.Microcode = hwreport.Value(microcode)
		list := slices.Collect(maps.Values(bySocket))
		slices.SortFunc(list, func(a, b hwreport.SocketMicrocode) int { return cmp.Compare(a.Package, b.Package) })
		c.BySocket = hwreport.Value(list)
	}
}

// signature is family-model-stepping as the names of microcode files have it.
func signature(family, model, stepping string) hwreport.Field[string] {
	var n [3]int
	for i, s := range []string{family, model, stepping} {
		v, err := strconv.Atoi(s)
		if err != nil {
			return hwreport.Absent[string]()
		}
		n[i] = v
	}
	return hwreport.Value(fmt.Sprintf("%02x-%02x-%02x", n[0], n[1], n[2]))
}

// caches reads /sys/devices/system/cpu/cpu*/cache (kernel: Documentation/ABI/
// testing/sysfs-devices-system-cpu) and counts each instance once.
func caches(m Machine) hwreport.Field[[]hwreport.Cache] {
	cpus, err := names(m.Root, cpuDir)
	if err != nil {
		return hwreport.Unknown[[]hwreport.Cache](err.Error())
	}
	slices.SortFunc(cpus, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	type key struct {
		level int64
		kind  string
		size  int64
	}
	shared := make(map[key]map[string]bool)
	known := make(map[string]map[int]bool) // by index: the processors of instances that were read
	for _, c := range cpus {
		if !numbered(c, "cpu") {
			continue
		}
		n, _ := strconv.Atoi(strings.TrimPrefix(c, "cpu")) // numbered
		dir := path.Join(cpuDir, c, "cache")
		for i := 0; ; i++ {
			index := fmt.Sprintf("index%d", i)
			if known[index][n] {
				continue
			}
			d := dir + "/" + index
			level := number(m.Root, d+"/level")
			if level.State() == hwreport.IsAbsent {
				break
			}
			k := key{level.Or(0), text(m.Root, d+"/type").Or("?"), kibibytes(text(m.Root, d+"/size").Or(""))}
			list := text(m.Root, d+"/shared_cpu_list").Or(strconv.Itoa(n))
			if shared[k] == nil {
				shared[k] = make(map[string]bool)
			}
			shared[k][list] = true
			if known[index] == nil {
				known[index] = make(map[int]bool)
			}
			for _, other := range expand(list) {
				known[index][other] = true
			}
			if level.State() != hwreport.IsValue || i > 15 {
				break
			}
		}
	}
	if len(shared) == 0 {
		return hwreport.Absent[[]hwreport.Cache]()
	}
	var list []hwreport.Cache
	for k, instances := range shared {
		if k.size == 0 { // a device tree or ACPI table that names the cache alone
			continue
		}
		list = append(list, hwreport.Cache{Level: k.level, Type: k.kind, Bytes: k.size, Instances: int64(len(instances))})
	}
	if list == nil {
		return hwreport.Unknown[[]hwreport.Cache]("the firmware tells no size")
	}
	slices.SortFunc(list, func(a, b hwreport.Cache) int {
		return strings.Compare(fmt.Sprintf("%d%s%020d", a.Level, a.Type, a.Bytes), fmt.Sprintf("%d%s%020d", b.Level, b.Type, b.Bytes))
	})
	return hwreport.Value(list)
}

// maxCPU bounds the numbers of a list of processors.
const maxCPU = 1 << 16

// expand lists the processors of a kernel list such as "0-3,8".
func expand(list string) []int {
	var out []int
	for _, part := range strings.Split(list, ",") {
		lo, hi, ranged := strings.Cut(part, "-")
		a, err := strconv.Atoi(lo)
		b := a
		if err == nil && ranged {
			b, err = strconv.Atoi(hi)
		}
		if err != nil || a < 0 || b < a || b > maxCPU {
			return out
		}
		for ; a <= b; a++ {
			out = append(out, a)
		}
	}
	return out
}

// topology counts packages and cores where /proc/cpuinfo does not tell them,
// as on ARM (kernel: Documentation/ABI/stable/sysfs-devices-system-cpu).
func topology(m Machine, c *hwreport.CPU) {
	cpus, err := names(m.Root, cpuDir)
	if err != nil {
		return
	}
	packages, cores := map[int64]bool{}, map[[2]int64]bool{}
	for _, n := range cpus {
		if !numbered(n, "cpu") {
			continue
		}
		p, ok1 := number(m.Root, cpuDir+"/"+n+"/topology/physical_package_id").Get()
		k, ok2 := number(m.Root, cpuDir+"/"+n+"/topology/core_id").Get()
		if ok1 && ok2 {
			packages[p], cores[[2]int64{p, k}] = true, true
		}
	}
	if len(packages) > 0 {
		c.Packages, c.Cores = hwreport.Value(int64(len(packages))), hwreport.Value(int64(len(cores)))
	}
}

// numbered says whether name is prefix and a number.
func numbered(name, prefix string) bool {
	n, ok := strings.CutPrefix(name, prefix)
	_, err := strconv.Atoi(n)
	return ok && err == nil
}

// kibibytes reads "32K" as bytes.
func kibibytes(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, "K"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

func numa(m Machine) hwreport.Field[[]hwreport.NUMANode] {
	const dir = "sys/devices/system/node"
	entries, err := names(m.Root, dir)
	if err != nil {
		return hwreport.Unknown[[]hwreport.NUMANode](err.Error())
	}
	var list []hwreport.NUMANode
	for _, e := range entries {
		if !numbered(e, "node") {
			continue
		}
		n, _ := strconv.ParseInt(strings.TrimPrefix(e, "node"), 10, 64) // numbered
		node := hwreport.NUMANode{Node: n, CPUs: text(m.Root, dir+"/"+e+"/cpulist").Or("")}
		info, err := raw(m.Root, dir+"/"+e+"/meminfo")
		if err != nil {
			node.Bytes = why[int64](err)
		} else {
			node.Bytes = meminfo(info, "MemTotal:")
		}
		list = append(list, node)
	}
	if len(list) == 0 {
		return hwreport.Absent[[]hwreport.NUMANode]()
	}
	slices.SortFunc(list, func(a, b hwreport.NUMANode) int { return int(a.Node - b.Node) })
	return hwreport.Value(list)
}

func vulnerabilities(m Machine) hwreport.Field[[]hwreport.Vulnerability] {
	const dir = cpuDir + "/vulnerabilities"
	entries, err := names(m.Root, dir)
	if err != nil {
		return hwreport.Unknown[[]hwreport.Vulnerability](err.Error())
	}
	if len(entries) == 0 {
		return hwreport.Absent[[]hwreport.Vulnerability]()
	}
	var list []hwreport.Vulnerability
	for _, e := range entries {
		list = append(list, hwreport.Vulnerability{Name: e, Status: text(m.Root, dir+"/"+e).Or("unknown")})
	}
	return hwreport.Value(list)
}

// sockets reads SMBIOS type 4 (DSP0134 7.5).
func sockets(m Machine) hwreport.Field[[]hwreport.Socket] {
	t, err := m.DMI()
	if err != nil {
		return why[[]hwreport.Socket](err)
	}
	var ids hwreport.IDs
	list := []hwreport.Socket{}
	for _, s := range t.Of(4) {
		k := hwreport.Socket{Designation: str(s, 4), Manufacturer: str(s, 7), Model: str(s, 0x10), Serial: str(s, 0x20), Part: str(s, 0x22)}
		k.ID = ids.Unique(hwreport.ID("socket", k.Designation.Or("")))
		status, _ := s.Byte(0x18)
		k.Populated = hwreport.Value(status&0x40 != 0)
		k.MaxMHz = absentZero(s.Word(0x14))
		k.Cores = counted(s, 0x23, 0x2a)
		k.CoresEnabled = counted(s, 0x24, 0x2c)
		k.Threads = counted(s, 0x25, 0x2e)
		list = append(list, k)
	}
	return hwreport.Value(list)
}

// absentZero is a number of which 0 means that the firmware does not say.
func absentZero[N byte | uint16 | uint32](n N, ok bool) hwreport.Field[int64] {
	if !ok || n == 0 {
		return hwreport.Absent[int64]()
	}
	return hwreport.Value(int64(n))
}

// counted is a count in one byte, or, where that is 255, in the word that
// version 3.0 added.
func counted(s smbios.Structure, off, wide int) hwreport.Field[int64] {
	b, ok := s.Byte(off)
	if ok && b == 0xff {
		if w, ok := s.Word(wide); ok && w != 0xffff {
			return absentZero(w, true)
		}
	}
	return absentZero(b, ok)
}

func cpuFindings(c *hwreport.CPU) []hwreport.Finding {
	var found []hwreport.Finding
	if u := c.Microcode.Or(nil); len(u) > 1 {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "cpu.microcode-differs", "", "the processors run different microcode",
			hwreport.Evidence{Source: "proc/cpuinfo microcode", Value: strings.Join(u, " ")}))
	}
	present, known := c.Present.Get()
	if threads, ok := c.Threads.Get(); ok && known && threads < present {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "cpu.offline", "", fmt.Sprintf("%d of %d processors are offline", present-threads, present),
			hwreport.Evidence{Source: cpuDir + "/online", Value: strconv.FormatInt(threads, 10)}))
	}
	for _, s := range c.Sockets.Or(nil) {
		cores, ok1 := s.Cores.Get()
		enabled, ok2 := s.CoresEnabled.Get()
		if ok1 && ok2 && enabled < cores {
			found = append(found, hwreport.NewFinding(hwreport.Info, "cpu.cores-disabled", s.ID, fmt.Sprintf("%d of %d cores are enabled", enabled, cores),
				hwreport.Evidence{Source: "SMBIOS type 4", Value: fmt.Sprintf("%d/%d", enabled, cores)}))
		}
	}
	for _, v := range c.Vulnerabilities.Or(nil) {
		if strings.HasPrefix(v.Status, "Vulnerable") {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "cpu.vulnerable", v.Name, v.Name+": "+v.Status,
				hwreport.Evidence{Source: cpuDir + "/vulnerabilities/" + v.Name, Value: v.Status}))
		}
	}
	return found
}
