package hwreport

// CPU is the processors as the kernel runs them and the sockets as the firmware
// describes them. Sources: /proc/cpuinfo, /sys/devices/system/cpu, SMBIOS type 4.
type CPU struct {
	Vendor          Field[string]            `json:"vendor"`
	Model           Field[string]            `json:"model"`
	Signature       Field[string]            `json:"signature"` // family-model-stepping, hexadecimal: "06-8f-08"; of ARM MIDR_EL1: "413fd0c1"
	Microcode       Field[[]string]          `json:"microcode"` // distinct revisions, one in a healthy machine
	BySocket        Field[[]SocketMicrocode] `json:"microcode_by_package"`
	Hypervisor      Field[bool]              `json:"hypervisor"`      // runs as a guest (CPU flag; on ARM what firmware says)
	Packages        Field[int64]             `json:"packages"`        // sockets with an online processor
	Cores           Field[int64]             `json:"cores"`           // online
	Threads         Field[int64]             `json:"threads"`         // online
	Present         Field[int64]             `json:"threads_present"` // online or not
	MaxMHz          Field[int64]             `json:"max_mhz"`         // cpufreq, else the firmware
	Caches          Field[[]Cache]           `json:"caches"`          // one row a kind
	NUMA            Field[[]NUMANode]        `json:"numa_nodes"`      //
	Flags           Field[[]string]          `json:"flags"`           // of the first processor
	Vulnerabilities Field[[]Vulnerability]   `json:"vulnerabilities"` // /sys/devices/system/cpu/vulnerabilities
	Sockets         Field[[]Socket]          `json:"sockets"`         // SMBIOS type 4
}

// SocketMicrocode is the revisions that one package runs.
type SocketMicrocode struct {
	Package   int64    `json:"package"`
	Revisions []string `json:"revisions"`
}

// Cache is one kind of cache, all of its instances together.
type Cache struct {
	Level     int64  `json:"level"`
	Type      string `json:"type"`       // Data, Instruction, Unified
	Bytes     int64  `json:"size_bytes"` // of one instance
	Instances int64  `json:"instances"`
}

// NUMANode is one memory node.
type NUMANode struct {
	Node  int64        `json:"node"`
	CPUs  string       `json:"cpus"` // kernel list form, "0-15,32-47"
	Bytes Field[int64] `json:"memory_bytes"`
}

// Vulnerability is a known weakness and what the kernel does about it.
type Vulnerability struct {
	Name   string `json:"name"`
	Status string `json:"status"` // kernel text: "Not affected", "Mitigation: …", "Vulnerable…"
}

// Socket is SMBIOS type 4.
type Socket struct {
	ID           string        `json:"id"`
	Designation  Field[string] `json:"designation"`
	Populated    Field[bool]   `json:"populated"`
	Manufacturer Field[string] `json:"manufacturer"`
	Model        Field[string] `json:"model"`
	Serial       Field[string] `json:"serial"`
	Part         Field[string] `json:"part"`
	MaxMHz       Field[int64]  `json:"max_mhz"`
	Cores        Field[int64]  `json:"cores"`
	CoresEnabled Field[int64]  `json:"cores_enabled"`
	Threads      Field[int64]  `json:"threads"`
}
