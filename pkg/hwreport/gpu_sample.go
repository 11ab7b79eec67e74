package hwreport

import "time"

// GPUSamples is one look at what GPUs do while they work. nvmlreport --watch
// writes one a line; a burn-in reads them. Source: NVML.
type GPUSamples struct {
	Time    time.Time   `json:"time"`
	Devices []GPUSample `json:"devices"`
}

// GPUSample is one GPU at that time. What NVML answers with NOT_SUPPORTED is
// unknown.
type GPUSample struct {
	UUID        string           `json:"uuid"`
	Address     string           `json:"address"`              // on the PCI bus, as sysfs writes it: 0000:3b:00.0
	Temperature Field[int64]     `json:"temperature_c"`        // of the GPU's core
	MemTemp     Field[int64]     `json:"memory_temperature_c"` // of its memory
	Power       Field[int64]     `json:"power_mw"`
	SMClock     Field[int64]     `json:"sm_clock_mhz"`
	MemClock    Field[int64]     `json:"memory_clock_mhz"`
	Utilisation Field[int64]     `json:"utilisation_percent"`
	Throttle    Field[[]string]  `json:"throttle"`        // reasons that hold now, in the words of GPUThrottle
	Corrected   Field[int64]     `json:"ecc_corrected"`   // since the driver was loaded
	Uncorrected Field[int64]     `json:"ecc_uncorrected"` // since the driver was loaded
	Link        Field[GPULinkAt] `json:"pcie_link"`       // idle GPUs lower it
}

// GPULinkAt is a PCIe link as it is trained at one time.
type GPULinkAt struct {
	Generation int64 `json:"generation"`
	Width      int64 `json:"width"` // lanes
}

// GPUThrottle is why a GPU runs slower than it could
// (nvmlClocksEventReason*, NVML API reference), in the order of their bits.
// Idle and the applications' own clocks are no fault.
var GPUThrottle = []struct {
	Bit   uint64
	Name  string
	Fault Severity // of one that holds under load; empty: none
}{
	{0x001, "idle", ""},
	{0x002, "applications-clocks", ""},
	{0x004, "power-cap", Info},
	{0x008, "hardware-slowdown", Failure},
	{0x010, "sync-boost", ""},
	{0x020, "software-thermal", Warning},
	{0x040, "hardware-thermal", Failure},
	{0x080, "power-brake", Failure},
	{0x100, "display-clocks", ""},
}
