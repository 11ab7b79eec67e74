package hwreport

// GPU is the display controllers and accelerators, whether a driver serves them
// or not. Sources: /sys/bus/pci, /proc/driver/nvidia, NVML.
type GPU struct {
	Devices Field[[]GPUDevice] `json:"devices"`
	NVIDIA  Field[GPUDriver]   `json:"nvidia"`      // absent: no GPU of NVIDIA, or its driver serves none
	Load    Field[GPULoad]     `json:"driver_load"` // absent: nothing on this system loads it as bee does
}

// GPUDriver is NVIDIA's driver: its modules and its library, which have to be of
// one release.
type GPUDriver struct {
	Module   Field[string] `json:"module_version"` // of the kernel module, /proc/driver/nvidia/version
	Flavour  Field[string] `json:"flavour"`        // "proprietary" or "open", /proc/driver/nvidia/version
	Version  Field[string] `json:"driver_version"` // by NVML
	Library  Field[string] `json:"nvml_version"`   // by NVML
	CUDA     Field[string] `json:"cuda_version"`   // the newest that the driver can, by NVML
	Listed   Field[int64]  `json:"nvml_gpus"`      // how many GPUs NVML knows; absent: the image has no nvmlreport
	Unplaced []NVMLDevice  `json:"unplaced"`       // GPUs of NVML's that are at no address of the bus
}

// GPUDevice is one.
type GPUDevice struct {
	ID        string            `json:"id"` // that of the PCI function
	Address   string            `json:"address"`
	Vendor    Field[string]     `json:"vendor"`
	Model     Field[string]     `json:"model"`
	Slot      Field[string]     `json:"slot"`
	Driver    Field[string]     `json:"driver"` // absent: none
	NUMA      Field[int64]      `json:"numa_node"`
	Link      Field[PCILink]    `json:"link"`
	Aperture  Field[int64]      `json:"aperture_bytes"` // largest memory region on the bus; most of the memory with resizable BAR
	Accelerat bool              `json:"accelerator"`    // computes, drives no screen of a console
	UUID      Field[string]     `json:"uuid"`           // by the NVIDIA driver
	VBIOS     Field[string]     `json:"vbios"`          // by the NVIDIA driver
	XIDs      Field[[]XID]      `json:"xids"`           // of this boot, from the kernel's log
	NVML      Field[NVMLDevice] `json:"nvml"`           // absent: not NVIDIA's, or the image has no nvmlreport
}

// Computes says whether the device is one to count and to compare: an
// accelerator, or what NVIDIA's driver knows. The controller behind a console's
// screen is neither.
func (d GPUDevice) Computes() bool {
	return d.Accelerat || d.UUID.State() == IsValue || d.NVML.State() == IsValue
}

// XID is an error that the NVIDIA driver wrote to the kernel's log.
type XID struct {
	Number   int64    `json:"xid"`
	Count    int64    `json:"count"`
	Text     string   `json:"text"`     // of the first
	Meaning  string   `json:"meaning"`  // by NVIDIA; see XIDOf
	Severity Severity `json:"severity"` // how grave one of this number is
	Action   string   `json:"action"`   // what to do
}
