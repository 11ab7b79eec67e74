package hwreport

// GPU is the display controllers and accelerators, whether a driver serves them
// or not. Sources: /sys/bus/pci, /proc/driver/nvidia.
type GPU struct {
	Devices Field[[]GPUDevice] `json:"devices"`
}

// GPUDevice is one.
type GPUDevice struct {
	ID        string         `json:"id"` // that of the PCI function
	Address   string         `json:"address"`
	Vendor    Field[string]  `json:"vendor"`
	Model     Field[string]  `json:"model"`
	Slot      Field[string]  `json:"slot"`
	Driver    Field[string]  `json:"driver"` // absent: none
	NUMA      Field[int64]   `json:"numa_node"`
	Link      Field[PCILink] `json:"link"`
	Aperture  Field[int64]   `json:"aperture_bytes"` // largest memory region on the bus; most of the memory with resizable BAR
	Accelerat bool           `json:"accelerator"`    // computes, drives no screen of a console
	UUID      Field[string]  `json:"uuid"`           // by the NVIDIA driver
	VBIOS     Field[string]  `json:"vbios"`          // by the NVIDIA driver
	XIDs      Field[[]XID]   `json:"xids"`           // of this boot, from the kernel's log
}

// XID is an error that the NVIDIA driver wrote to the kernel's log.
type XID struct {
	Number int64  `json:"xid"`
	Count  int64  `json:"count"`
	Text   string `json:"text"` // of the first
}
